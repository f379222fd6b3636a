"""Whether everything that training needs is there."""

from __future__ import annotations

import importlib.util

from semsearch.errors import MissingExtraError

_NEEDED = ("torch", "sentence_transformers", "accelerate", "datasets")


def require_installed() -> None:
    """Nothing is imported.

    Raises:
        MissingExtraError: a package of the extra `train` is missing.
    """
    for name in _NEEDED:
        if importlib.util.find_spec(name) is None:
            raise MissingExtraError(f"{name.replace('_', '-')} (needed to train)", "train")
