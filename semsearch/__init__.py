"""Find the right standard question in milliseconds.

from semsearch import Index

with Index.build("faq.csv", "index/faq") as index:
    print(index.search("where is my parcel")[0].hits[0].answer)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

__all__ = ["Encoder", "Hit", "Index", "Result", "SemsearchError", "StandardQuestion"]

if TYPE_CHECKING:
    from semsearch.encoder import Encoder
    from semsearch.errors import SemsearchError
    from semsearch.index import Index
    from semsearch.types import Hit, Result, StandardQuestion

_HOMES = {
    "Encoder": "semsearch.encoder",
    "Hit": "semsearch.types",
    "Index": "semsearch.index",
    "Result": "semsearch.types",
    "SemsearchError": "semsearch.errors",
    "StandardQuestion": "semsearch.types",
}


def __getattr__(name: str) -> Any:
    """Public names are loaded when they are first used, so that the command line starts fast."""
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    import importlib

    return getattr(importlib.import_module(_HOMES[name]), name)
