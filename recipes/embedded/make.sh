#!/usr/bin/env bash
# Make the encoder that ships with semsearch: recipes/embedded/make.sh DATA WORK
# A step that is done is not done again; one that was stopped goes on.
set -euo pipefail
data=$1 work=$2
here=$(dirname "${BASH_SOURCE[0]}")
mkdir -p "$work"

[ -f "$work/tables/tables.json" ] || python "$here/prepare.py" "$data" "$work/tables"
[ -d "$work/start" ] || python "$here/start.py" "$work/tables" "$work/start"
[ -d "$work/start-words" ] || python "$here/start.py" "$work/tables" "$work/start-words" --words

tests=() # no sentence of theirs is learnt from
for set in sts_en/stsbenchmark sts_en/sick sts_zh/stsb_zh sts_zh/lcqmc sts_zh/bq sts_zh/atec; do
  tests+=(--evaluate "$data/$set/test.parquet")
done
distil() { # NAME TABLE ENCODER STEPS SEED [more options]
  [ -d "$work/$1" ] || semsearch train "$work/tables/$2.parquet" "$work/$1" \
    --objective distil --shape pairs --encoder "$work/$3" --teacher minilm --max-length 128 \
    --dims 128,64 --distance cosine --similarities 2 --ranking 0.1 \
    --batch-tokens 4096 --topics 400 --dropout 0 --steps "$4" --seed "$5" \
    --dev "$work/tables/dev.parquet" "${tests[@]}" --drop-leaks "${@:6}" \
    $([ -d "$work/$1.training" ] && echo --resume)
}
runs=()
all_done() {
  for run in "${runs[@]}"; do wait "$run"; done
  runs=()
}

# Match the teacher, in both languages. Steps that are begun at once want a core each, and
# OMP_NUM_THREADS=1.
fast=(--learning-rate 3e-4 --embedding-rate 1e-3)
slow=(--learning-rate 2e-4 --embedding-rate 7e-4)
nli=(--also supervised-simcse="$work/tables/triplets.parquet")
edits=(--also cosent="$work/tables/overlap.parquet")
questions=(--also cosent="$work/tables/overlap-questions.parquet")
distil taught pairs start 7000 0 --dim 256 --checks 7 "${fast[@]}" "${nli[@]}" &
runs+=($!)
distil spelt pairs start 4500 0 --dim 256 --checks 3 "${fast[@]}" "${nli[@]}" "${edits[@]}" \
  --literal 2 &
runs+=($!)
all_done
distil worded pairs start-words 1500 0 --dim 256 --checks 1 "${fast[@]}" "${nli[@]}" &
runs+=($!)
# Go on from the first, twice, with what Chinese sentences share of their characters beside.
for seed in 2 3; do
  distil "ranked-$seed" pairs taught 900 "$seed" --checks 1 "${slow[@]}" "${nli[@]}" "${edits[@]}" &
  runs+=($!)
done
all_done

# What was learnt without words, with the words that were learnt apart.
[ -d "$work/mixed" ] || {
  rm -rf "$work"/making-*
  python "$here/average.py" "$work/making-all" "$work/spelt" "$work/ranked-2=0.5" "$work/ranked-3=0.5"
  python "$here/graft.py" "$work/making-grafted" "$work/making-all" "$work/worded"
  python "$here/average.py" "$work/making-mixed" "$work/making-grafted=0.7" "$work/worded=0.3"
  mv "$work/making-mixed" "$work/mixed"
}

# Several of the same kind, which differ in the seed, in how words are read and in what is edited: one
# is as far from the next as most changes of the recipe, and their average is better than each.
last() { # SEED TABLE STEPS [more options]
  distil "last-$1" "$2" mixed "$3" "$1" --checks 1 "${nli[@]}" "${edits[@]}" "${@:4}" &
  runs+=($!)
}
last 4 pairs 1200 "${slow[@]}"
last 6 pairs 1200 "${fast[@]}" "${questions[@]}"
all_done
last 8 pairs-apart 1500 "${fast[@]}"
last 9 pairs-apart 1500 "${fast[@]}" "${questions[@]}"
all_done

[ -d "$work/folded" ] || {
  rm -rf "$work/making-folded"
  python "$here/average.py" "$work/making-folded" "$work"/last-{4,6,8,9}
  python "$here/fold.py" "$work/making-folded"
  mv "$work/making-folded" "$work/folded"
}

# What a help desk is asked: in other words, and what only looks like it. Averaged with what they began
# from, which is better at whole sentences.
asked() { # SEED [more options]
  distil "asked-$1" pairs-asked folded 1500 "$1" --checks 1 "${@:2}" &
  runs+=($!)
}
apart=(--also supervised-simcse="$work/tables/triplets-asked.parquet")
alike=(--also cosent="$work/tables/overlap-asked.parquet")
asked 31 "${fast[@]}" "${apart[@]}" "${edits[@]}"
asked 32 "${fast[@]}" "${nli[@]}" "${alike[@]}"
all_done
asked 33 "${slow[@]}" "${apart[@]}" "${alike[@]}"
asked 34 "${slow[@]}" "${apart[@]}" "${edits[@]}"
all_done

# And in whose words: wordings that share nothing with the question but what is meant.
said=(--also supervised-simcse="$work/tables/triplets-said.parquet")
distil said pairs-said folded 1500 34 --checks 1 "${fast[@]}" "${said[@]}" "${edits[@]}"

[ -d "$work/float" ] || {
  rm -rf "$work/making-float"
  python "$here/average.py" "$work/making-float" "$work/folded" "$work"/asked-{31,32,33,34}=0.5 \
    "$work/said=2"
  python "$here/weigh.py" "$work/making-float" "$work/tables/pairs.parquet"
  mv "$work/making-float" "$work/float"
}
[ -d "$work/embedded" ] || semsearch quantize "$work/float" "$work/embedded" --min-cosine 0.995
