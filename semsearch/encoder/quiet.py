"""Keep what torch and its friends print away from the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Iterator

_CHATTY = ("torch", "torch.onnx", "onnxscript", "onnx_ir", "transformers", "sentence_transformers")


@contextlib.contextmanager
def quiet() -> Iterator[None]:
    """No prints, progress bars, warnings or log lines below ERROR while the block runs."""
    loggers = [logging.getLogger(name) for name in _CHATTY]
    levels = [logger.level for logger in loggers]
    with (
        warnings.catch_warnings(),
        contextlib.redirect_stdout(io.StringIO()),
        contextlib.redirect_stderr(io.StringIO()),
    ):
        warnings.simplefilter("ignore")
        try:
            for logger in loggers:
                logger.setLevel(logging.ERROR)
            yield
        finally:
            for logger, level in zip(loggers, levels, strict=True):
                logger.setLevel(level)
