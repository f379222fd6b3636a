"""How likely a text is under a standard question, by what the whole bank knows of wordings.

Phrasings of one standard question scatter around its centre, and centres scatter around the mean
of the bank; both covariances are estimated from the whole bank, so that even a standard question
with few phrasings has a density (probabilistic linear discriminant analysis; Ioffe 2006, ECCV).
Directions that wordings vary in anyway count little, and that is what a bare cosine cannot know.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from semsearch.review.bank import Filed, Floats, blocks
from semsearch.types import Ids

_DIRECTIONS = 256


@dataclass(frozen=True, slots=True)
class Density:
    """Coordinates in which wordings scatter with variance 1 in every direction.

    Attributes:
        points: (n, e) phrasings.
        centres: (K, e) means of the phrasings of each standard question.
        sizes: (K,).
        between: (e,) variance of the centres.
    """

    points: Floats
    centres: Floats
    sizes: Floats
    between: Floats

    @classmethod
    def of(cls, bank: Filed) -> Density:
        """Estimate it of a bank in which some standard question has two phrasings or more."""
        from sklearn.covariance import ledoit_wolf

        sizes = bank.sizes.astype(np.float64)
        centres = bank.sums / sizes[:, None]
        several = sizes[bank.question] > 1
        correction = np.sqrt(sizes / np.maximum(sizes - 1, 1))[bank.question[several], None]
        within, _ = ledoit_wolf(
            (bank.vectors[several] - centres[bank.question[several]]) * correction,
            assume_centered=True,
        )
        within += np.eye(len(within)) * (1e-6 + 1e-3 * np.trace(within) / len(within))
        mean = bank.vectors.mean(axis=0, dtype=np.float64)
        whiten = np.linalg.inv(np.linalg.cholesky(within)).T
        spread = (centres - mean) @ whiten
        variances, axes = np.linalg.eigh(spread.T @ spread / len(spread))
        # Means of few phrasings scatter by chance, too.
        between = np.maximum(variances - np.mean(1 / sizes), 1e-3)
        map_ = whiten @ axes[:, -_DIRECTIONS:]
        return cls((bank.vectors - mean) @ map_, (centres - mean) @ map_, sizes,
                   between[-_DIRECTIONS:])  # fmt: skip

    def log_likelihood(self, rows: Ids, questions: Ids, own: bool = False) -> Floats:
        """Of phrasings (m,) under standard questions (m,), each pair; up to one constant.

        Args:
            own: the phrasings are filed under these questions, and are left out of them.
        """
        found = np.empty(len(rows))
        for block in blocks(len(rows), 4 * self.points.shape[1]):
            points, sizes = self.points[rows[block]], self.sizes[questions[block], None]
            centres = self.centres[questions[block]]
            if own:
                centres = (centres * sizes - points) / np.maximum(sizes - 1, 1)
                sizes = sizes - 1
            drawn = sizes * self.between / (1 + sizes * self.between)
            variance = 1 + self.between / (1 + sizes * self.between)
            away = np.square(points - drawn * centres) / variance
            found[block] = -0.5 * (away + np.log(variance)).sum(axis=1)
        return found
