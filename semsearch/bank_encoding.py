"""Encode a whole bank: the first build, or a rebuild."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TypeAlias

import numpy as np

from semsearch.encoder import Encoder
from semsearch.encoding import Encoding, text_warnings
from semsearch.recipe import Recipe, whitened
from semsearch.store import EncoderRecord
from semsearch.sync import SyncWarning
from semsearch.types import Vectors
from semsearch.whitening import Whitening, fit_and_compare

log = logging.getLogger(__name__)

BankVectors: TypeAlias = tuple[dict[str, Vectors], EncoderRecord, list[SyncWarning]]


def encode_bank(
    encoding: Encoding, recipe: Recipe, base: Encoder, texts: Sequence[str]
) -> BankVectors:
    """Vectors (dim,) by text, which encoder makes them, and what is to be said of it.

    Args:
        recipe: how; a whitening is fitted here, and kept in the index's directory.
        base: its encoder, not yet whitened.
        texts: of the bank, distinct.
    """
    if recipe.whiten is None:
        base = base.suited_to(texts)
        warnings = text_warnings(base, texts)
        return encoding.vectors(base, texts), recipe.record(base), warnings
    # Not on what is fastest: a whitening would make small differences larger.
    warnings = text_warnings(base, texts)
    embeddings = encoding.embeddings(base, list(recipe.whiten_on or texts))
    fit_on = np.stack(list(embeddings.values()))
    whitening, report = fit_and_compare(fit_on, recipe.whiten)
    log.info("%s", whitening)
    if report:
        log.info("  %s", report)
    if whitening.shrinkage:
        warnings.append(_little_to_fit_on(whitening))
    _, record = whitened(encoding.directory, base, whitening, recipe.record(base))
    if recipe.whiten_on is not None:
        embeddings = encoding.embeddings(base, texts)
    rows = whitening.unit(np.stack([embeddings[text] for text in texts]))
    return dict(zip(texts, rows, strict=True)), record, warnings


def _little_to_fit_on(whitening: Whitening) -> SyncWarning:
    return SyncWarning(
        "whitening",
        f"{whitening.n_samples} texts are few to estimate {len(whitening.mean)} dimensions from: "
        f"whitening was shrunk ({whitening.shrinkage:.2f}). Fit it on more: --whiten-on FILE.",
        whitening.n_samples,
    )
