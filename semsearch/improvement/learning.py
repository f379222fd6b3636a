"""Learn a lesson: a linear map and a classifier behind an encoder, or the encoder itself, too."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.classifier import Classifier
from semsearch.encoder import Encoder
from semsearch.improvement import classifying, linear
from semsearch.improvement.material import Lesson
from semsearch.improvement.queries import Queries
from semsearch.improvement.sides import State
from semsearch.improvement.start import Start
from semsearch.types import Vectors

Watch = Callable[[str, int, int, "float | None"], None]
"""Called with what is being done, how much of it is done, how much there is, and a loss."""


@dataclass(frozen=True, slots=True, eq=False)
class Learnt:
    """An encoder, and the bank as it encodes it."""

    encoder: Encoder
    state: State


@dataclass(frozen=True, slots=True, eq=False)
class Learner:
    """How lessons are learnt, from one start.

    Attributes:
        light: leave the encoder, and fit what stands behind it only.
        steps: of training, in place of what fits the size of a lesson.
        device: where it is trained.
    """

    start: Start
    queries: Queries
    light: bool
    steps: int | None
    seed: int
    device: str
    progress: Watch | None
    _made: classifying.Made = field(default_factory=classifying.Made, init=False)

    def learn(
        self, lesson: Lesson, work: Path, settings: dict[str, Any] | None
    ) -> tuple[Learnt, dict[str, Any]]:
        """Learn a lesson, as settings say where there are some."""
        mapped, chosen = self._map(lesson, settings)
        if self.light:
            return mapped, chosen
        from semsearch.improvement import finetuning

        steps = self.steps or finetuning.steps_for(len(lesson))
        work.mkdir()
        encoder = finetuning.finetune(
            mapped.encoder,
            lesson,
            work,
            steps=steps,
            seed=self.seed,
            device=self.device,
            progress=self._stage("training"),
        )
        texts = list(dict.fromkeys(self.start.bank.texts))
        show = self._stage("encoding")
        done = 0

        def finished(n: int) -> None:
            nonlocal done
            done += n
            show(done, len(texts), None)

        vectors = dict(zip(texts, encoder.encode(texts, progress=finished), strict=True))
        asked = [query.text for query in self.queries.labelled]
        queries = encoder.encode(asked, kind="query")
        known = dict(zip(asked, queries, strict=True)) | vectors
        more = [text for text in dict.fromkeys(lesson.texts) if text not in known]
        known |= dict(zip(more, encoder.encode(more, kind="query"), strict=True))
        state = State(
            np.stack([vectors[text] for text in self.start.bank.texts]),
            queries,
            self._classifier(np.stack([known[text] for text in lesson.texts]), lesson, chosen),
        )
        return Learnt(encoder, state), {**chosen, "steps": steps, **finetuning.SETTINGS}

    def _map(
        self, lesson: Lesson, settings: dict[str, Any] | None
    ) -> tuple[Learnt, dict[str, Any]]:
        start = self.start
        known = dict(zip(start.bank.texts, start.state.vectors, strict=True))
        asked = dict(zip((q.text for q in self.queries.labelled), start.state.queries, strict=True))
        missing = [t for t in dict.fromkeys(lesson.texts) if t not in known and t not in asked]
        known = asked | known
        known |= dict(zip(missing, start.encoder.encode(missing, kind="query"), strict=True))
        vectors = np.stack([known[text] for text in lesson.texts])
        if settings is None:
            choice = linear.choose(vectors, lesson.questions, start.score, self.seed)
        else:
            choice = linear.Choice(settings["ridge"], settings["beta"])
        kernel = linear.fit(vectors, lesson.questions, choice)
        mapped = linear.unit(vectors @ kernel)
        if settings is None:
            weight = classifying.choose(
                lesson.texts, mapped, lesson.questions, start.score, self.seed, self._made
            )
            settings = {**asdict(choice), "classifier": weight}
        state = State(
            linear.unit(start.state.vectors @ kernel),
            linear.unit(start.state.queries @ kernel),
            # Training changes the vectors, and a classifier is fitted to those.
            self._classifier(mapped, lesson, settings) if self.light else None,
        )
        encoder = start.encoder if choice.beta == 0 else start.encoder.mapped(kernel)
        return Learnt(encoder, state), settings

    def _classifier(
        self, vectors: Vectors, lesson: Lesson, settings: Mapping[str, Any]
    ) -> Classifier | None:
        """The classifier of a lesson whose texts have these vectors (n, d)."""
        weight = float(settings["classifier"])
        if not weight:
            return None
        return classifying.fit(lesson.texts, vectors, lesson.questions, weight, self._made)

    def _stage(self, name: str) -> Callable[[int, int, float | None], None]:
        def show(done: int, total: int, loss: float | None = None) -> None:
            if self.progress is not None:
                self.progress(name, done, total, loss)

        return show
