"""What was held out of a bank and asked again, as queries to calibrate on; kept in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from semsearch.confidence.signals import SIGNALS, Signals
from semsearch.errors import CorruptIndexError
from semsearch.types import Ids

FILE = "selfmade.npz"
"""In the folder of an improved encoder: queries made with phrasings that it had not learnt."""

Mask = NDArray[np.bool_]


@dataclass(frozen=True, slots=True)
class SelfMade:
    """Queries made of the bank; each group is a standard question that they were held out of.

    Attributes:
        asked: signals (n, s) of phrasings held out one at a time.
        right: (n,) whether the top hit is the standard question they are of.
        asked_groups: (n,).
        alone: signals (m, s) of phrasings held out with their standard question.
        topic: signals (m, s) of the same, held out with all that is like it.
        groups: (m,) of both.
    """

    asked: Signals
    right: Mask
    asked_groups: Ids
    alone: Signals
    topic: Signals
    groups: Ids

    def save(self, path: Path) -> None:
        """Write it to a file that `load` reads."""
        arrays = {name: getattr(self, name) for name in _ARRAYS}
        np.savez(path, names=np.array(SIGNALS), **arrays)

    @classmethod
    def load(cls, path: Path) -> SelfMade:
        """What `save` wrote.

        Raises:
            CorruptIndexError: the file cannot be read, or holds other signals.
        """
        try:
            with np.load(path, allow_pickle=False) as arrays:
                if arrays["names"].tolist() != list(SIGNALS):
                    raise ValueError("its signals are those of another version")
                return cls(**{name: arrays[name] for name in _ARRAYS})
        except (OSError, ValueError, KeyError, EOFError, BadZipFile) as error:
            raise CorruptIndexError(
                f"{path}: {error}. Calibrate on labelled queries, or roll back and improve again."
            ) from error


_ARRAYS = ("asked", "right", "asked_groups", "alone", "topic", "groups")


@dataclass(frozen=True, slots=True)
class HeldOut:
    """Some phrasings that were held out, whatever they find then.

    Attributes:
        groups: (n,) the standard questions they are of.
        asked: signals (n, s), as of `SelfMade`.
        alone, topic: the same; (0, s) where none stands for a query without an answer.
        right: (n,) whether one that is held out by itself finds its standard question.
        several: (n,) whether that has other phrasings.
        places: (n,) where it finds its standard question, 1 for the first; 0 not among ten.
    """

    groups: Ids
    asked: Signals
    right: Mask
    alone: Signals
    topic: Signals
    several: Mask
    places: Ids

    @property
    def refusable(self) -> Mask:
        """(n,) those that may stand for queries without an answer.

        Where even the phrasing's own question lost to another, that other may well be an answer.
        """
        return self.right | ~self.several


def as_queries(parts: Sequence[HeldOut], without: HeldOut, refusable: Mask) -> SelfMade:
    """What was held out, as queries.

    Args:
        parts: of them are those with an answer.
        without: of it are those without one, where `refusable` (n,).
    """
    return SelfMade(
        asked=np.concatenate([part.asked[part.several] for part in parts]),
        right=np.concatenate([part.right[part.several] for part in parts]),
        asked_groups=np.concatenate([part.groups[part.several] for part in parts]),
        alone=without.alone[refusable],
        topic=without.topic[refusable],
        groups=without.groups[refusable],
    )
