"""From ranked labels to hits: read what was found, each row held against its checksum."""

from __future__ import annotations

import json
from collections.abc import Sequence

from semsearch.ranking import Ranked
from semsearch.store import BankReader
from semsearch.store.rows import split_label
from semsearch.types import Hit


def gather(
    reader: BankReader, ranked: Sequence[Ranked], min_score: float | None
) -> list[tuple[Hit, ...]]:
    """The hits of each query, best first; to be called inside `reader.reading()`.

    Args:
        min_score: leave out hits with a lower score.

    Raises:
        CorruptIndexError: a row that was found is damaged or missing.
    """
    kept = [
        [
            (split_label(label), score, lexical)
            for label, score, lexical in zip(
                found.labels.tolist(), found.scores.tolist(), _lexical(found), strict=True
            )
            if min_score is None or score >= min_score
        ]
        for found in ranked
    ]
    questions = reader.questions(question for found in kept for (question, _), _, _ in found)
    phrasings = reader.phrasings(phrasing for found in kept for (_, phrasing), _, _ in found)
    return [
        tuple(
            Hit(
                rank=rank,
                key=questions[question_id].key,
                question=questions[question_id].question,
                answer=questions[question_id].answer,
                score=score,
                phrasing=phrasings[phrasing_id].text,
                fields=json.loads(questions[question_id].fields),
                lexical=lexical,
            )
            for rank, ((question_id, phrasing_id), score, lexical) in enumerate(found, 1)
        )
        for found in kept
    ]


def _lexical(found: Ranked) -> list[float | None]:
    return [None] * len(found.labels) if found.lexical is None else found.lexical.tolist()
