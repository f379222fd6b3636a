"""What an objective learns from, as columns of equal length."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import DataError
from semsearch.types import Ids

Shape = Literal["sentences", "pairs", "scored", "labelled", "triplets"]

COLUMNS: Mapping[Shape, tuple[str, ...]] = {
    "sentences": ("sentence",),
    "pairs": ("anchor", "positive"),
    "scored": ("sentence1", "sentence2"),
    "labelled": ("sentence1", "sentence2"),
    "triplets": ("anchor", "positive", "negative"),
}
"""The columns of texts that each shape has, in the order in which a loss takes them."""


@dataclass(frozen=True, slots=True, eq=False)
class Examples:
    """Rows to learn from.

    Attributes:
        shape: which columns there are.
        columns: texts by the names of `COLUMNS[shape]`, n of each.
        scores: (n,) float64 in 0..1, of "scored" only.
        labels: (n,) int64, positions in `label_names`, of "labelled" only.
        label_names: the classes, in a fixed order.
        groups: (n,) int64: rows of one group say the same and are never each other's negatives;
            in a bank the group is the standard question. None where nothing is known.
        negative_groups: (n,) int64: the group that the negative of each triplet is from, where
            it was mined.
        sources: where they came from, for the report: {"path", "sha256", "rows"} each.
    """

    shape: Shape
    columns: Mapping[str, Sequence[str]]
    scores: NDArray[np.float64] | None = None
    labels: Ids | None = None
    label_names: tuple[str, ...] = ()
    groups: Ids | None = None
    negative_groups: Ids | None = None
    sources: tuple[Mapping[str, Any], ...] = field(default=())

    def __post_init__(self) -> None:
        if tuple(self.columns) != COLUMNS[self.shape]:
            raise DataError(f"{self.shape} have the columns {', '.join(COLUMNS[self.shape])}.")
        n = len(self)
        beside = [self.scores, self.labels, self.groups, self.negative_groups]
        lengths = {len(c) for c in (*self.columns.values(), *(b for b in beside if b is not None))}
        if lengths != {n}:
            raise DataError("the columns of examples have different lengths.")

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    @property
    def texts(self) -> list[str]:
        """Every distinct text, in the order of its first appearance."""
        return list(dict.fromkeys(text for column in self.columns.values() for text in column))

    def take(self, rows: Ids | Sequence[int]) -> Examples:
        """The examples of some rows, in that order."""
        index = np.asarray(rows, np.int64)

        def taken(values: Any) -> Any:
            return None if values is None else values[index]

        return replace(
            self,
            columns={name: [column[row] for row in index] for name, column in self.columns.items()},
            scores=taken(self.scores),
            labels=taken(self.labels),
            groups=taken(self.groups),
            negative_groups=taken(self.negative_groups),
        )

    @property
    def sha256(self) -> str:
        """Of the content: what a run can be held to."""
        sha = hashlib.sha256()
        for name, column in self.columns.items():
            sha.update(json.dumps([name, list(column)], ensure_ascii=False).encode())
        for array in (self.scores, self.labels, self.groups, self.negative_groups):
            sha.update(b"-" if array is None else np.ascontiguousarray(array).tobytes())
        return sha.hexdigest()
