"""From what a user names to what a run takes: examples, held-out ones, and tests."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.encoder import Encoder
from semsearch.errors import BadRowsError, DataError
from semsearch.evaluation.queries import read_labelled
from semsearch.training.also import read_also
from semsearch.training.dev import Dev, Search, dev_of
from semsearch.training.examples import Examples, Shape
from semsearch.training.leaks import keep_out
from semsearch.training.mining import mine
from semsearch.training.objectives import RECORDS, ObjectiveName
from semsearch.training.phrasings import BankPhrasings, pairs_within, read_bank_examples
from semsearch.training.reading import read_examples, require
from semsearch.training.splits import split, split_bank
from semsearch.training.tasks import Task

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Sources:
    """What a user gives a run to learn from and to be judged by.

    Attributes:
        files: tables of examples.
        bank: a table of standard questions, or an index, whose phrasings are paired.
        dev: tables to judge by while training; none holds out a share of the examples.
        dev_share: of the examples, 0 holds out none.
        tests: tables to judge by before and after. Like those of `dev` they hold examples of the
            same shape, or pairs with scores, or for a bank labelled queries.
        also: objectives and tables to learn from in the same run, see `read_also`.
        reading: what else `read_examples` takes, or for a bank `read_bank_examples`.
    """

    files: tuple[str, ...] = ()
    bank: str | None = None
    shape: Shape | None = None
    dev: tuple[str, ...] = ()
    dev_share: float = 0.1
    tests: tuple[str, ...] = ()
    drop_leaks: bool = False
    also: tuple[tuple[ObjectiveName, str], ...] = ()
    reading: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, eq=False)
class Prepared:
    """What a run takes.

    Attributes:
        examples: to learn from.
        dev: held out; None where none were.
        tests: by the name of their file.
        rounds: how many epochs `examples` stand for: a bank pairs its phrasings anew in each.
        also: what is learnt from other tables.
    """

    examples: Examples
    dev: Dev | None
    tests: Mapping[str, Dev]
    held_out: Examples | None = None
    rounds: int = 1
    also: tuple[Task, ...] = ()


def prepare(
    objective: ObjectiveName,
    sources: Sources,
    *,
    rounds: int = 1,
    seed: int = 0,
    batch_size: int = 1,
) -> Prepared:
    """Read examples, hold some out, and make sure that none is in what they are judged by.

    Args:
        rounds: how often the phrasings of a bank are paired; once where there are other tables,
            which are in an epoch once.
        batch_size: that the examples must fill, before any are held out.

    Raises:
        DataError: a table cannot be used, or examples are in the test data.
    """
    if bool(sources.files) == (sources.bank is not None):
        raise DataError("give tables to learn from, or a bank with --bank.")
    shape = _shape(objective, sources)
    if sources.bank is not None:
        return _of_bank(sources, 1 if sources.also else rounds, seed)
    examples = read_examples(sources.files, shape, **sources.reading)
    require(replace(examples, groups=None), batch_size)
    judged = {
        file: _judging(file, shape, sources.reading) for file in (*sources.dev, *sources.tests)
    }
    for file, others in judged.items():
        examples = keep_out(examples, others, file, drop=sources.drop_leaks)
    held_out: Examples | None
    if sources.dev:
        held_out = _joined([judged[file] for file in sources.dev])
    else:
        examples, held_out = _split(examples, sources.dev_share, seed)
    also = _also(sources, judged, None if sources.dev else held_out)
    return Prepared(
        examples,
        dev_of(held_out) if held_out is not None else None,
        {name: dev_of(judged[file]) for name, file in _named(sources.tests).items()},
        held_out,
        also=also,
    )


def with_hard_negatives(prepared: Prepared, encoder: Encoder, n_negatives: int) -> Examples:
    """The pairs of a run as triplets with negatives that the encoder finds hard.

    Raises:
        DataError: the examples are no pairs, or have no negatives.
    """

    def encode(texts: Sequence[str]) -> Any:
        return encoder.encode(list(texts))

    mined = mine(prepared.examples, encode, n_negatives=n_negatives)
    logger.info(
        "%s triplets with mined negatives; %s pairs have none that is hard enough",
        f"{len(mined.triplets):,}",
        f"{mined.without:,}",
    )
    return mined.triplets


def _shape(objective: ObjectiveName, sources: Sources) -> Shape:
    shapes = RECORDS[objective].shapes
    if sources.bank is not None:
        if "pairs" not in shapes:
            raise DataError(f"a bank gives pairs, and {objective} learns from {shapes[0]}.")
        return "pairs"
    if sources.shape is None:
        return shapes[0]
    if sources.shape not in shapes:
        raise DataError(f"{objective} learns from {' or '.join(shapes)}, not {sources.shape}.")
    return sources.shape


def _named(files: Sequence[str]) -> dict[str, str]:
    """Files by their names, or by all of their paths where two have one name."""
    names = [Path(file).name for file in files]
    return dict(zip(names if len(set(names)) == len(names) else files, files, strict=True))


def _judging(file: str, shape: Shape, reading: Mapping[str, Any]) -> Examples:
    """A table to judge by: of the shape that is learnt from, or pairs with scores.

    A table with two columns of sentences and a score is an STS set, even where plain sentences
    or labels are learnt from.
    """
    shapes: tuple[Shape, Shape] = (shape, "scored")
    first, second = reversed(shapes) if shape in ("sentences", "labelled") else shapes
    try:
        return read_examples([file], first, **_fitting(reading, first))
    except BadRowsError:
        raise
    except DataError as error:
        if second == first:
            raise
        try:
            return read_examples([file], second, **_fitting(reading, second))
        except DataError:
            raise error from None


def _fitting(reading: Mapping[str, Any], shape: Shape) -> dict[str, Any]:
    """What was said of how to read tables, so far as it can be said of a shape."""
    allowed = {"labelled": {"labels"}, "triplets": {"labels"}, "scored": {"score_range"}}
    left_out = {"labels", "score_range"} - allowed.get(shape, set())
    return {name: value for name, value in reading.items() if name not in left_out}


def _joined(parts: Sequence[Examples]) -> Examples:
    """Held-out tables as one.

    Raises:
        DataError: they are of different shapes.
    """
    first, *others = parts
    if not others:
        return first
    if {part.shape for part in parts} != {first.shape} or first.shape == "labelled":
        raise DataError("several --dev tables must hold the same, with scores or with pairs.")
    columns = {
        name: [text for part in parts for text in part.columns[name]] for name in first.columns
    }
    scores = [part.scores for part in parts if part.scores is not None]
    return Examples(first.shape, columns, np.concatenate(scores) if scores else None)


def _also(
    sources: Sources, judged: Mapping[str, Examples], held_out: Examples | None
) -> tuple[Task, ...]:
    return read_also(
        sources.also, judged, held_out, drop=sources.drop_leaks, reading=sources.reading
    )


def _split(examples: Examples, share: float, seed: int) -> tuple[Examples, Examples | None]:
    if not share:
        return examples, None
    parts = split(examples, share, seed=seed)
    if parts.dropped:
        logger.info(
            "%s examples share a sentence with held-out ones and are left out", f"{parts.dropped:,}"
        )
    return parts.train, parts.dev


def _of_bank(sources: Sources, rounds: int, seed: int) -> Prepared:
    """The phrasings of a bank in pairs; the dev and test data are labelled queries."""
    assert sources.bank is not None
    phrasings = read_bank_examples(sources.bank, **sources.reading)
    judged = {
        file: _queries(file, phrasings, sources.reading) for file in (*sources.dev, *sources.tests)
    }
    train, held_out = phrasings, None
    if not sources.dev and sources.dev_share:
        train, held_out = split_bank(phrasings, sources.dev_share, seed=seed)
    examples = pairs_within(train, seed, rounds)
    asked = {file: _sentences(queries) for file, queries in judged.items()}
    for file, others in asked.items():
        examples = keep_out(examples, others, file, drop=sources.drop_leaks)
    dev = search_of(train, held_out) if held_out is not None else None
    if sources.dev:
        dev = search_of(train, _together([judged[file] for file in sources.dev]))
    tests = {name: search_of(train, judged[file]) for name, file in _named(sources.tests).items()}
    also = _also(sources, asked, _sentences(held_out) if held_out is not None else None)
    return Prepared(examples, dev, tests, rounds=rounds, also=also)


def _sentences(phrasings: BankPhrasings) -> Examples:
    return Examples("sentences", {"sentence": phrasings.texts})


def _queries(file: str, bank: BankPhrasings, reading: Mapping[str, Any]) -> BankPhrasings:
    """The labelled queries of a table that expect an answer."""
    groups = {key: group for group, key in enumerate(bank.keys)}
    options = {name: reading[name] for name in ("encoding", "skip_bad") if name in reading}
    found, _ = read_labelled(file, groups, **options)
    known = [(query.text, groups[query.key]) for query in found if query.key is not None]
    if not known:
        raise DataError(f"{file}: no query expects an answer.")
    texts, numbers = zip(*known, strict=True)
    return BankPhrasings(texts, np.array(numbers, np.int64), bank.keys)


def _together(parts: Sequence[BankPhrasings]) -> BankPhrasings:
    texts = tuple(text for part in parts for text in part.texts)
    return BankPhrasings(texts, np.concatenate([part.groups for part in parts]), parts[0].keys)


def search_of(bank: BankPhrasings, queries: BankPhrasings) -> Search:
    """Whether queries find their standard question by its nearest phrasing: accuracy@1."""
    return Search(queries.texts, queries.groups, bank.texts, bank.groups)
