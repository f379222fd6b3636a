"""Whitening: the linear map that makes sentence embeddings isotropic, fitted with care.

Su et al. 2021, "Whitening Sentence Representations for Better Semantics and Faster Retrieval",
arXiv:2103.15316.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import EncoderError
from semsearch.types import Embeddings, Vectors

MAX_KERNEL = 1e3
"""No entry of a kernel is larger: beyond this it multiplies noise."""

_MAX_CONDITION = 1e10
_MAX_COMPARED = 2000
_MIN_HELD_OUT_OF = 20

_Matrix = NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class Whitening:
    """(x - mean) @ kernel, and how it was fitted."""

    mean: NDArray[np.float32]  # (d,)
    kernel: NDArray[np.float32]  # (d, dim)
    n_samples: int
    variance_kept: float  # share of the variance that the dimensions kept had, 0..1
    shrinkage: float  # 0: the covariance as it was; 1: all directions taken as equal

    @property
    def dim(self) -> int:
        return int(self.kernel.shape[1])

    def __str__(self) -> str:
        """One line for people."""
        return (
            f"{len(self.mean)} dimensions whitened to {self.dim}, fitted on {self.n_samples} "
            f"texts; {self.variance_kept:.1%} of the variance kept, shrinkage {self.shrinkage:.3f}"
        )

    @property
    def weight(self) -> NDArray[np.float32]:
        """(dim, d), as a linear layer holds it."""
        return np.ascontiguousarray(self.kernel.T)

    @property
    def bias(self) -> NDArray[np.float32]:
        """(dim,): -mean @ kernel, so that x @ weight.T + bias whitens x."""
        product = self.mean.astype(np.float64) @ self.kernel.astype(np.float64)
        return np.asarray(-product, np.float32)

    def __call__(self, embeddings: Embeddings) -> Embeddings:
        """(n, d) to (n, dim) float32, not of unit length."""
        return np.asarray((embeddings - self.mean) @ self.kernel, np.float32)

    def unit(self, embeddings: Embeddings) -> Vectors:
        """(n, d) to (n, dim) float32 of unit length."""
        rows = self(embeddings)
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return np.asarray(rows / np.maximum(norms, 1e-12), np.float32)


@dataclass(frozen=True, slots=True)
class WhiteningReport:
    """What a whitening does to rows it was not fitted on; each field before and after.

    Attributes:
        mean_cosine: mean cosine of two different rows; 0 where directions are used evenly
            (anisotropy, Ethayarajh 2019, arXiv:1909.00512).
        mean_correlation: mean absolute correlation of two different dimensions.
        effective_rank: how many dimensions carry the variance, as exp of the entropy of its
            shares (Roy and Vetterli 2007), divided by the dimensions there are.
    """

    n_rows: int
    mean_cosine: tuple[float, float]
    mean_correlation: tuple[float, float]
    effective_rank: tuple[float, float]

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    def __str__(self) -> str:
        """One line for people."""
        changes = (
            f"{name.replace('_', ' ')} {before:.3f} -> {after:.3f}"
            for name, (before, after) in (
                ("mean_cosine", self.mean_cosine),
                ("mean_correlation", self.mean_correlation),
                ("effective_rank", self.effective_rank),
            )
        )
        return f"on {self.n_rows} held-out texts: {', '.join(changes)}"


def fit(embeddings: Embeddings, dim: int) -> Whitening:
    """Fit the linear map that makes sentence embeddings isotropic.

    On few distinct rows, or on rows that hardly vary in some direction, the covariance is
    shrunk towards equal variances (Ledoit and Wolf 2004) before it is inverted.

    Args:
        embeddings: (n, d) float32, one row per sentence.
        dim: dimensions kept, 1 <= dim <= d, those of largest variance.

    Returns:
        Whitening with mean (d,) and kernel (d, dim), float32.

    Raises:
        EncoderError: dim outside 1..d, values that are not finite, or fewer than two
            distinct rows.

    Su et al. 2021, arXiv:2103.15316, eq. 6.
    """
    rows = np.asarray(embeddings, dtype=np.float64)
    if rows.ndim != 2:
        raise EncoderError(f"whitening takes a matrix of embeddings, not shape {rows.shape}.")
    n, d = rows.shape
    check_dim(dim, d)
    if not np.isfinite(rows).all():
        raise EncoderError("whitening: some embeddings hold NaN or infinity.")
    distinct = _distinct(rows)
    scale = float(np.abs(rows).max(initial=0.0))
    if len(distinct) < 2 or float(np.ptp(distinct, axis=0).max()) <= 1e-6 * scale:
        raise EncoderError(
            f"whitening needs different embeddings: {n} rows hold {min(len(distinct), 1)} that "
            "can be told apart. Fit it on more texts."
        )
    mean = rows.mean(axis=0)
    covariance, shrinkage = np.atleast_2d(np.cov(rows.T)), 0.0
    directions, variances = _spectrum(covariance)
    total = variances.sum()
    kept = float(variances[:dim].sum() / total)
    if len(distinct) <= d or _too_steep(directions, variances, dim):
        covariance, shrinkage = _shrunk(distinct, dim)
        directions, variances = _spectrum(covariance)
    kernel = (directions / np.sqrt(variances))[:, :dim]
    return Whitening(
        mean=mean.astype(np.float32),
        kernel=kernel.astype(np.float32),
        n_samples=n,
        variance_kept=kept,
        shrinkage=shrinkage,
    )


def check_dim(dim: int, d: int) -> None:
    """Find out before anything is encoded that d dimensions cannot be whitened to `dim`.

    Raises:
        EncoderError: dim outside 1..d.
    """
    if not 1 <= dim <= d:
        raise EncoderError(f"whitening to {dim} dimensions: the embeddings have {d}.")


def fit_and_compare(embeddings: Embeddings, dim: int) -> tuple[Whitening, WhiteningReport | None]:
    """`fit`, with a report on rows that a fit on nine tenths of them has not seen.

    Returns:
        The whitening, fitted on all rows; the report, None for too few rows to hold any out.

    Raises:
        EncoderError: as `fit`.
    """
    whitening = fit(embeddings, dim)
    if len(embeddings) < _MIN_HELD_OUT_OF:
        return whitening, None
    held_out = np.arange(len(embeddings)) % 10 == 0
    try:
        return whitening, compare(fit(embeddings[~held_out], dim), embeddings[held_out])
    except EncoderError:  # the rows that are left are too much alike
        return whitening, None


def compare(whitening: Whitening, heldout: Embeddings) -> WhiteningReport:
    """How even the directions of held-out rows are, before and after whitening.

    Args:
        heldout: (n, d) float32, n >= 2, rows that `fit` has not seen; at most 2000 are used.

    Raises:
        EncoderError: fewer than two rows, or rows of another width.
    """
    rows = np.asarray(heldout, dtype=np.float32)
    if rows.ndim != 2 or len(rows) < 2 or rows.shape[1] != len(whitening.mean):
        raise EncoderError(
            f"comparing needs at least 2 rows of {len(whitening.mean)} values, not {rows.shape}."
        )
    rows = rows[np.linspace(0, len(rows) - 1, min(len(rows), _MAX_COMPARED)).astype(int)]
    before, after = rows.astype(np.float64), whitening(rows).astype(np.float64)
    return WhiteningReport(
        n_rows=len(rows),
        mean_cosine=(_mean_cosine(before), _mean_cosine(after)),
        mean_correlation=(_mean_correlation(before), _mean_correlation(after)),
        effective_rank=(_effective_rank(before), _effective_rank(after)),
    )


def _distinct(rows: _Matrix) -> _Matrix:
    """Each different row once; compared byte by byte, which is much faster than np.unique."""
    as_bytes = np.ascontiguousarray(rows + 0.0).view(np.dtype((np.void, 8 * rows.shape[1])))
    return rows[np.unique(as_bytes.ravel(), return_index=True)[1]]


def _spectrum(covariance: _Matrix) -> tuple[_Matrix, _Matrix]:
    directions, variances, _ = np.linalg.svd(covariance)
    return directions, variances


def _too_steep(directions: _Matrix, variances: _Matrix, dim: int) -> bool:
    """Whether inverting these variances would amplify rounding errors or give huge entries."""
    smallest = variances[dim - 1]
    if smallest <= variances[0] / _MAX_CONDITION:
        return True
    return bool(np.abs(directions[:, :dim] / np.sqrt(variances[:dim])).max() > MAX_KERNEL)


def _shrunk(distinct: _Matrix, dim: int) -> tuple[_Matrix, float]:
    """Ledoit-Wolf; more than it asks for where entries of the kernel would still be too large."""
    from sklearn.covariance import ledoit_wolf

    # Rows are brought to one scale first: the estimate does not depend on it, its rounding does.
    scale = float(distinct.std())
    estimate, found = ledoit_wolf(distinct / scale)
    covariance, shrinkage = np.asarray(estimate, np.float64), float(found)
    even = np.eye(len(covariance)) * np.trace(covariance) / len(covariance)
    more = 1e-4
    while _too_steep(*_spectrum(covariance * scale**2), dim):
        if more > 1:
            raise EncoderError(
                "whitening: the embeddings hardly differ; the map that would spread them "
                "multiplies noise. Fit it on other texts, or keep fewer dimensions."
            )
        covariance = (1 - more) * covariance + more * even
        shrinkage = 1 - (1 - shrinkage) * (1 - more)
        more *= 10
    return covariance * scale**2, shrinkage


def _mean_cosine(rows: _Matrix) -> float:
    units = rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)
    n, total = len(units), units.sum(axis=0)
    return float((total @ total - (units**2).sum()) / (n * (n - 1)))


def _mean_correlation(rows: _Matrix) -> float:
    d = rows.shape[1]
    if d < 2:
        return 0.0
    centred = rows - rows.mean(axis=0)
    units = centred / np.maximum(np.linalg.norm(centred, axis=0), 1e-12)
    correlation = np.abs(units.T @ units)
    return float((correlation.sum() - np.trace(correlation)) / (d * (d - 1)))


def _effective_rank(rows: _Matrix) -> float:
    variances = np.linalg.svd(rows - rows.mean(axis=0), compute_uv=False) ** 2
    shares = variances / max(float(variances.sum()), 1e-300)
    shares = shares[shares > 0]
    return float(np.exp(-(shares * np.log(shares)).sum()) / rows.shape[1])
