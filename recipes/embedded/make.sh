#!/usr/bin/env bash
# Make the encoder that ships with semsearch: recipes/embedded/make.sh DATA WORK
# A step that is done is not done again; one that was stopped goes on.
set -euo pipefail
data=$1 work=$2
here=$(dirname "${BASH_SOURCE[0]}")
mkdir -p "$work"

[ -f "$work/tables/tables.json" ] || python "$here/prepare.py" "$data" "$work/tables"
[ -d "$work/start" ] || python "$here/start.py" "$work/tables" "$work/start"

# Read both languages, so that characters that no translation has mean something.
[ -d "$work/read" ] || semsearch pretrain "$work/tables/reading.txt" "$work/read" \
  --encoder "$work/start" --steps 1200 --learning-rate 3e-4 --seed 0 \
  $([ -d "$work/read.training" ] && echo --resume)

# Match the teacher, in both languages. No sentence of a test set is learnt from.
tests=()
for set in sts_en/stsbenchmark sts_en/sick sts_zh/stsb_zh sts_zh/lcqmc sts_zh/bq sts_zh/atec; do
  tests+=(--evaluate "$data/$set/test.parquet")
done
[ -d "$work/float" ] || semsearch train "$work/tables/pairs.parquet" "$work/float" \
  --objective distil --shape pairs --encoder "$work/read" --teacher minilm --max-length 128 \
  --dim 256 --dims 128,64 --distance cosine --similarities 2 --ranking 0.1 \
  --batch-tokens 4096 --topics 400 --dropout 0 --learning-rate 3e-4 --embedding-rate 1e-3 --steps 8000 \
  --also cosent="$work/tables/overlap.parquet" \
  --also supervised-simcse="$work/tables/triplets.parquet" \
  --dev "$work/tables/dev.parquet" --checks 8 --seed 0 \
  --drop-leaks "${tests[@]}" \
  $([ -d "$work/float.training" ] && echo --resume)
python "$here/tie.py" "$work/float"

[ -d "$work/embedded" ] || semsearch quantize "$work/float" "$work/embedded" --min-cosine 0.995
