"""What can be made of the same embeddings: whitened, reduced by PCA or cut off."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from semsearch import whitening
from semsearch.types import Embeddings

Kind = Literal["raw", "whitened", "pca", "truncated"]


@dataclass(frozen=True, slots=True)
class Variant:
    """One thing to do with embeddings; `fitted_on` is target, nli or a file."""

    kind: Kind = "raw"
    dim: int | None = None
    fitted_on: str | None = None

    @property
    def label(self) -> str:
        """In words, empty for embeddings as they are."""
        if self.kind == "raw":
            return ""
        what = {"whitened": "whitened", "pca": "PCA", "truncated": "first"}[self.kind]
        on = f" on {self.fitted_on}" if self.fitted_on else ""
        return f"{what} {self.dim}{on}"


def plan(
    whiten: tuple[int, ...], dims: tuple[int, ...], fitted_on: tuple[str, ...]
) -> list[Variant]:
    """The variants of a run: raw first, the whitened ones, then the sweep over dimensions."""
    found = [Variant()]
    for source in fitted_on:
        found += [Variant("whitened", dim, source) for dim in (*whiten, *dims)]
        found += [Variant("pca", dim, source) for dim in dims]
    found += [Variant("truncated", dim) for dim in dims]
    return list(dict.fromkeys(found))


class Reduction:
    """The maps that are fitted on one set of embeddings, each computed when first asked for."""

    def __init__(self, embeddings: Embeddings, largest: int) -> None:
        """Take the embeddings to fit on, (n, d), and the most dimensions that will be asked for."""
        self.n_texts = len(embeddings)
        self._embeddings = embeddings
        self._largest = largest
        self._whitenings: dict[int, whitening.Whitening] = {}
        self._axes: NDArray[np.float64] | None = None

    def apply(self, variant: Variant, x: Embeddings) -> Embeddings:
        """(n, d) to (n, dim) float32, not of unit length.

        Raises:
            EncoderError: the embeddings that it is fitted on cannot be whitened.
        """
        assert variant.dim is not None
        if variant.kind == "whitened":
            return self._whitening(variant.dim)(x)
        mean = self._embeddings.mean(axis=0, dtype=np.float64)
        return np.asarray((x - mean) @ self._principal()[:, : variant.dim], np.float32)

    def _whitening(self, dim: int) -> whitening.Whitening:
        largest = max(dim, self._largest)
        if largest not in self._whitenings:
            self._whitenings[largest] = whitening.fit(self._embeddings, largest)
        whole = self._whitenings[largest]
        if whole.shrinkage == 0:
            # Directions are sorted by variance: fewer of them are the first of these.
            return replace(whole, kernel=whole.kernel[:, :dim])
        if dim not in self._whitenings:
            self._whitenings[dim] = whitening.fit(self._embeddings, dim)
        return self._whitenings[dim]

    def _principal(self) -> NDArray[np.float64]:
        """(d, d), the directions of largest variance first (Pearson 1901)."""
        if self._axes is None:
            covariance = np.atleast_2d(np.cov(self._embeddings.T.astype(np.float64)))
            self._axes = np.linalg.eigh(covariance)[1][:, ::-1]
        return self._axes


def derive(variant: Variant, x: Embeddings, reduction: Reduction | None, unit: bool) -> Embeddings:
    """The embeddings of a variant.

    Args:
        x: (n, d) float32, as `Encoder.embed` gives them.
        reduction: fitted on what `variant.fitted_on` says, None where it says nothing.
        unit: bring the result to unit length; whitened ones always are, as they are saved so.
    """
    if variant.kind == "truncated":
        x = x[:, : variant.dim]
    elif reduction is not None:
        x = reduction.apply(variant, x)
    if not unit and variant.kind != "whitened":
        return x
    norms = np.linalg.norm(x.astype(np.float64), axis=1, keepdims=True)
    return np.asarray(x / np.maximum(norms, 1e-12), np.float32)
