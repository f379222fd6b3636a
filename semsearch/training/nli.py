"""Labels of natural language inference, and the triplets that can be made of them."""

from __future__ import annotations

from collections.abc import Iterable

from semsearch.training.components import folded

ENTAILMENT, NEUTRAL, CONTRADICTION = "entailment", "neutral", "contradiction"
ORDER = (ENTAILMENT, NEUTRAL, CONTRADICTION)
"""The order of the classes, whatever the order in a file."""

_NAMES = {
    ENTAILMENT: "entailment entails entail 蕴含 蕴涵 蘊含 蘊涵",
    NEUTRAL: "neutral 中立 中性",
    CONTRADICTION: "contradiction contradictory contradicts 矛盾",
}
_CLASSES = {name: label for label, names in _NAMES.items() for name in names.split()}

Triplet = tuple[str, str, str]


def canonical(label: str) -> str | None:
    """One of `ORDER`, None where the label is of another kind."""
    return _CLASSES.get(label.strip().casefold())


def triplets(rows: Iterable[tuple[str, str, str]]) -> tuple[list[Triplet], int]:
    """A premise with an entailed and a contradicted hypothesis of it.

    Each entailed hypothesis makes one triplet; where a premise has fewer contradicted ones, they
    are taken in turn. A hypothesis that is given both labels is left out.

    Args:
        rows: (premise, hypothesis, label), labels as `canonical` gives them.

    Returns:
        The triplets, and how many premises have not both kinds of hypotheses.

    Gao et al. 2021, arXiv:2104.08821, section 4.
    """
    premises: dict[str, tuple[str, dict[str, dict[str, str]]]] = {}
    for premise, hypothesis, label in rows:
        _, kinds = premises.setdefault(folded(premise), (premise, {}))
        kinds.setdefault(label, {}).setdefault(folded(hypothesis), hypothesis)
    made: list[Triplet] = []
    lacking = 0
    for plain, (premise, kinds) in premises.items():
        entailed, contradicted = kinds.get(ENTAILMENT, {}), kinds.get(CONTRADICTION, {})
        never = {plain, *(entailed.keys() & contradicted.keys())}
        positives = [text for key, text in entailed.items() if key not in never]
        negatives = [text for key, text in contradicted.items() if key not in never]
        if not positives or not negatives:
            lacking += 1
            continue
        made += [
            (premise, positive, negatives[place % len(negatives)])
            for place, positive in enumerate(positives)
        ]
    return made, lacking
