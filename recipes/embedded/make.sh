#!/usr/bin/env bash
# Make the encoder that ships with semsearch: recipes/embedded/make.sh DATA WORK
# A step that is done is not done again; one that was stopped goes on.
set -euo pipefail
data=$1 work=$2
here=$(dirname "${BASH_SOURCE[0]}")
mkdir -p "$work"

[ -f "$work/tables/tables.json" ] || python "$here/prepare.py" "$data" "$work/tables"
[ -d "$work/start" ] || python "$here/start.py" "$work/tables" "$work/start"

distil() { # NAME ENCODER STEPS SEED [more options]
  [ -d "$work/$1" ] || semsearch train "$work/tables/pairs.parquet" "$work/$1" \
    --objective distil --shape pairs --encoder "$work/$2" --teacher minilm --max-length 128 \
    --dims 128,64 --distance cosine --similarities 2 --ranking 0.1 \
    --batch-tokens 4096 --topics 400 --dropout 0 --steps "$3" --seed "$4" \
    --also supervised-simcse="$work/tables/triplets.parquet" \
    --dev "$work/tables/dev.parquet" --drop-leaks "${@:5}" \
    $([ -d "$work/$1.training" ] && echo --resume)
}

# Match the teacher, in both languages. No sentence of a test set is learnt from. Steps that are
# begun at once want a core each, and OMP_NUM_THREADS=1.
tests=()
for set in sts_en/stsbenchmark sts_en/sick sts_zh/stsb_zh sts_zh/lcqmc sts_zh/bq sts_zh/atec; do
  tests+=(--evaluate "$data/$set/test.parquet")
done
first=(--dim 256 --learning-rate 3e-4 --embedding-rate 1e-3 "${tests[@]}")
edits=(--also cosent="$work/tables/overlap.parquet")
distil taught start 7000 0 --checks 7 "${first[@]}" &
runs=($!)
distil spelt start 4500 0 --checks 3 "${first[@]}" "${edits[@]}" --literal 2 &
runs+=($!)
for run in "${runs[@]}"; do wait "$run"; done

# Go on from the first, twice, with what Chinese sentences share of their characters beside.
runs=()
for seed in 2 3; do
  distil "ranked-$seed" taught 900 "$seed" --checks 1 --learning-rate 2e-4 --embedding-rate 7e-4 \
    "${edits[@]}" &
  runs+=($!)
done
for run in "${runs[@]}"; do wait "$run"; done

[ -d "$work/float" ] || {
  python "$here/average.py" "$work/average" "$work/spelt" "$work/ranked-2=0.5" "$work/ranked-3=0.5"
  python "$here/tie.py" "$work/average"
  mv "$work/average" "$work/float"
}
[ -d "$work/embedded" ] || semsearch quantize "$work/float" "$work/embedded" --min-cosine 0.995
