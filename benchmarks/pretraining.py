"""The bases of the training benchmarks: small BERTs that have read nothing but Wikipedia.

4 layers, 256 wide, with a vocabulary of their own, pre-trained by guessing masked whole words; the
steps are what one quiet core of the machine in results/ does in 30 minutes, so that both bases take
30 minutes on two cores. A run that is stopped goes on where it was. Huge pages make it a quarter
faster:

    OMP_NUM_THREADS=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python benchmarks/pretraining.py en
    OMP_NUM_THREADS=1 GLIBC_TUNABLES=glibc.malloc.hugetlb=1 python benchmarks/pretraining.py zh
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import provenance

from semsearch.tables import read_texts
from semsearch.training.pretraining import pretrain
from semsearch.training.pretraining_report import PretrainingReport
from semsearch.training.pretraining_settings import PretrainingSettings

WORK = provenance.HERE / "work"
TEXTS = {"en": "text/enwiki", "zh": "text/zhwiki"}
SETTINGS = {
    "en": PretrainingSettings(
        vocab_size=14_000,
        layers=4,
        width=256,
        heads=4,
        max_length=64,
        masking="word",
        batch_tokens=4096,
        learning_rate=7e-4,
        warmup=0.05,
        steps=4_500,
    ),
    "zh": PretrainingSettings(
        vocab_size=10_000,
        layers=4,
        width=256,
        heads=4,
        max_length=64,
        masking="word",
        batch_tokens=4096,
        learning_rate=7e-4,
        warmup=0.05,
        steps=4_800,
    ),
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("language", choices=sorted(SETTINGS))
    language = parser.parse_args().language
    report = make(language)
    print(f"{WORK / f'mlm_{language}'}: {report} in {report.seconds / 60:.0f} minutes")


def base(language: str) -> Path:
    """The directory of the base of a language, "en" or "zh"; it is made first if it is missing."""
    out = WORK / f"mlm_{language}"
    if not (out / "training.json").is_file():
        make(language)
    return out


def make(language: str) -> PretrainingReport:
    """Pre-train the base of a language, or go on with it."""
    train, dev = (
        read_texts(provenance.data_dir() / TEXTS[language] / f"{part}.parquet")
        for part in ("train", "dev")
    )
    out = WORK / f"mlm_{language}"
    began = time.monotonic()

    def progress(step: int, steps: int, loss: float) -> None:
        if step % 100 == 0:
            print(f"{time.monotonic() - began:7.0f} s  {step}/{steps}, loss {loss:.3f}", flush=True)

    return pretrain(
        train,
        out,
        SETTINGS[language],
        dev=dev,
        resume=out.with_name(f"{out.name}.training").exists(),
        device="cpu",
        progress=progress,
    )


if __name__ == "__main__":
    main()
