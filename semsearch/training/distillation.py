"""What a student is taught beside its teacher's vectors; imports torch."""

from __future__ import annotations

from typing import Any

import torch
from sentence_transformers.sentence_transformer.losses import EmbedDistillLoss
from torch.nn.functional import cross_entropy, mse_loss, normalize

from semsearch.training.objectives import Distance
from semsearch.types import Embeddings

SAME = 0.9
"""Two targets with a higher cosine may well be of one meaning: neither is the other's negative."""


class DistillationLoss(EmbedDistillLoss):  # type: ignore[misc]
    """How far a batch of student vectors is from those of the teacher, alone and among each other.

    The sum of

    - distance: the mean squared error (Reimers and Gurevych 2020, arXiv:2004.09813, eq. 1), or the
      mean of 1 - cosine, of each sentence and its target;
    - similarities times the mean squared error of the cosines of all pairs of sentences, to those
      of their targets (Tung and Mori 2019, arXiv:1907.09682, who take inner products);
    - ranking times the cross-entropy of finding the own target among those of the batch by
      cosine / temperature, where targets that are nearly the own one are no negatives (van den
      Oord et al. 2018, arXiv:1807.03748; among translations Feng et al. 2020, arXiv:2007.01852).

    It is computed in float32 whatever the model computes in. Labels are (n, d) float: the target
    of each row, which all columns of sentences are to match.
    """

    def __init__(
        self,
        model: Any,
        distance: Distance = "mse",
        *,
        similarities: float = 0.0,
        ranking: float = 0.0,
        temperature: float = 0.05,
    ) -> None:
        super().__init__(model, distance_metric=distance)
        self._similarities = similarities
        self._ranking = ranking
        self._temperature = temperature

    def compute_loss_from_embeddings(
        self, embeddings: list[torch.Tensor], teacher_embeddings: list[torch.Tensor]
    ) -> torch.Tensor:
        with torch.autocast(embeddings[0].device.type, enabled=False):
            students = [part.float() for part in embeddings]
            teachers = [part.float().to(students[0].device) for part in teacher_embeddings]
            loss: torch.Tensor = super().compute_loss_from_embeddings(students, teachers)
            if not self._similarities and not self._ranking:
                return loss
            student = normalize(torch.cat(students), dim=1)
            teacher = normalize(torch.cat(teachers), dim=1)
            wanted = teacher @ teacher.T
            if self._similarities:
                loss = loss + self._similarities * mse_loss(student @ student.T, wanted)
            if self._ranking:
                loss = loss + self._ranking * self._rank(student @ teacher.T, wanted)
        return loss

    def _rank(self, cosines: torch.Tensor, wanted: torch.Tensor) -> torch.Tensor:
        same = (wanted > SAME).fill_diagonal_(False)
        own = torch.arange(len(cosines), device=cosines.device)
        return cross_entropy((cosines / self._temperature).masked_fill(same, -torch.inf), own)


class NumberedTargets(torch.nn.Module):  # type: ignore[misc]
    """A loss of which a batch names its targets by number, so that each is in memory once.

    Labels are (n,) int64. The targets stay where they are, in the memory of the CPU; those of a
    batch are taken to its device.
    """

    def __init__(self, loss: Any, targets: Embeddings) -> None:
        super().__init__()
        self.model = loss.model  # which the trainer looks for
        self.loss = loss
        self._targets = torch.from_numpy(targets)

    def forward(self, sentence_features: Any, labels: torch.Tensor) -> torch.Tensor:
        targets = self._targets[labels.cpu()].to(labels.device)
        loss: torch.Tensor = self.loss(sentence_features, targets)
        return loss
