"""The runtime that encodes many texts in the least time, if it gives the same vectors."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator, Sequence

import numpy as np

from semsearch.encoder import openvino
from semsearch.encoder.export import find
from semsearch.encoder.layout import Layout
from semsearch.encoder.openvino import OpenVinoRuntime
from semsearch.encoder.runtime import Runtime
from semsearch.errors import EncoderError
from semsearch.types import Vectors

_log = logging.getLogger("semsearch")

MANY = 4096
"""Distinct texts from which another runtime may pay: it takes a second or two to start."""

MIN_COSINE = 0.995
"""Mean over some of the texts themselves, between their vectors in both."""

_SAMPLE = 128

Encode = Callable[[Runtime, Sequence[str]], Vectors]


def fastest(
    layout: Layout, quick: Runtime, texts: Sequence[str], encode: Encode, *, asked: bool
) -> Runtime:
    """What to encode texts with, `quick` or the fastest of OpenVINO's precisions that is as good.

    The same texts on the same machine get the same runtime: some of them, at equal distances, are
    encoded by both.

    Args:
        quick: what the encoder runs on; its vectors are what others are held against.
        encode: gives vectors of texts on a runtime.
        asked: OpenVINO was asked for by name, however few texts there are.
    """
    if quick.name not in ("onnx", "openvino") or not openvino.is_installed():
        return quick
    if not asked and not _are_many(texts):
        return quick
    sample = list(dict.fromkeys(texts[:: max(1, len(texts) // _SAMPLE)]))
    if not sample:
        return quick
    expected = encode(quick, sample)
    for runtime in _candidates(layout, quick):
        try:
            cosine = float(np.sum(encode(runtime, sample) * expected, axis=1).mean())
        except EncoderError as error:  # it fails on such texts, or overflows
            _log.info("%s in %s: %s", runtime.name, runtime.precision, error)
            continue
        if cosine >= MIN_COSINE:
            _log.debug("%s in %s: mean cosine %.4f", runtime.name, runtime.precision, cosine)
            return runtime
        _log.info(
            "%s in %s changes the vectors of these texts (mean cosine %.4f): not used",
            *(runtime.name, runtime.precision, cosine),
        )
    return quick


def _are_many(texts: Sequence[str]) -> bool:
    distinct: set[str] = set()
    for text in texts:
        distinct.add(text)
        if len(distinct) == MANY:
            return True
    return False


def _candidates(layout: Layout, quick: Runtime) -> Iterator[Runtime]:
    """What this CPU computes natively, the fastest first."""
    model = find(layout)
    if model is None:
        return
    for precision in openvino.native():
        if (quick.name, quick.precision) == ("openvino", precision):
            return  # those behind it are slower
        try:
            yield OpenVinoRuntime(layout, model, precision)
        except EncoderError as error:  # a body that OpenVINO does not know
            _log.debug("%s", error)
