"""Sentences of NLI sets, on which the papers fit a whitening that has not seen the target.

Su et al. 2021, arXiv:2103.15316, and Li et al. 2020, arXiv:2011.05864, take SNLI and MultiNLI.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from semsearch.errors import DataError
from semsearch.evaluation.data import SUFFIXES, read_sentence_pairs
from semsearch.evaluation.tasks import Language

# SICK-E is left out: its sentences are those of SICK-R, and of this no reader would think.
SETS: dict[Language, tuple[str, ...]] = {
    "en": ("snli", "multinli", "mnli", "snli_cad"),
    "zh": ("csnli", "cmnli", "ocnli"),
}
LIMIT = 20_000
"""Sentences at most, evenly spaced: enough for the covariance of some hundred dimensions."""


def sentences(data_dir: str | Path | None, language: Language) -> list[str]:
    """Distinct premises and hypotheses of a language's sets under `nli/`, at most `LIMIT`.

    Raises:
        DataError: none of the sets is there.
    """
    if data_dir is None:
        raise DataError("a whitening on NLI sentences needs them in a directory. Give --data.")
    files = [
        path
        for name in SETS[language]
        for path in sorted((Path(data_dir) / "nli" / name).glob("*"))
        if path.suffix in SUFFIXES
    ]
    if not files:
        names = ", ".join(f"nli/{name}" for name in SETS[language])
        raise DataError(f"{data_dir}: no NLI sentences to fit a whitening on: none of {names}.")
    texts = [item for file in files for pair in read_sentence_pairs(file) for item in pair if item]
    distinct = list(dict.fromkeys(texts))
    chosen = np.linspace(0, len(distinct) - 1, min(len(distinct), LIMIT)).astype(int)
    return [distinct[row] for row in chosen]
