"""Keep what torch and its friends print away from the user's terminal."""

from __future__ import annotations

import contextlib
import io
import logging
import sys
import warnings
from collections.abc import Callable, Iterator
from typing import Any

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


def aloud(function: Callable[..., Any]) -> Callable[..., Any]:
    """The same function, printing to where it would now, also when called while `quiet`."""
    out, err = sys.stdout, sys.stderr

    def call(*args: Any, **kwargs: Any) -> Any:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            return function(*args, **kwargs)

    return call
