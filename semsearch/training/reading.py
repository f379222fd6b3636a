"""Tables of pairs, triplets or sentences as examples; what is wrong is found before training."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from semsearch.errors import DataError
from semsearch.tables.cells import brief
from semsearch.tables.table import bad_rows
from semsearch.training import marks, nli
from semsearch.training.components import components, in_order, text_ids
from semsearch.training.examples import COLUMNS, Examples, Shape
from semsearch.training.labels import found_names, given_names
from semsearch.training.marks import Range
from semsearch.training.rows import Line, Part, read_part
from semsearch.types import Ids


def read_examples(
    files: Sequence[str | Path],
    shape: Shape,
    *,
    columns: Mapping[str, str] | None = None,
    labels: Sequence[str] | int | None = None,
    score_range: Range | None = None,
    encoding: str | None = None,
    skip_bad: bool = False,
) -> Examples:
    """Read examples of one shape from one or more tables.

    - sentences: of a column of texts, or of both columns of a table of pairs, or the lines of a
      `.txt` file; equal ones are taken once.
    - pairs: every row, or those of score 1 (or label entailment) where there is such a column;
      also the two languages of a parallel table.
    - scored: scores are brought to 0..1 from `score_range`. Without it the range is found for each
      file: 0..1 if no score is above 1, else 0..5; `sources` says which was taken.
    - labelled: classes go by name, in the order of `labels.found_names`.
    - triplets: three columns, or what `nli.triplets` makes of premises, hypotheses and labels.

    Pairs and triplets have groups: those of a column, the same in all files; where there is none,
    rows that share an anchor or a positive, however indirectly, are one group.

    Args:
        files: whatever `read_table` takes.
        columns: names of columns by role, in place of the usual names; see `columns.ROLES`.
        labels: the classes in their order, or how many there are, which then are 0, 1, and so on;
            a label that is a number then counts the classes from 0.
        score_range: the lowest and the highest score there can be.
        encoding: of text files; found out when None.
        skip_bad: leave bad rows out and count them in `sources`, rather than raise.

    Raises:
        BadRowsError: rows are bad: a text that is missing or endless, a score that is no number
            or out of range, an unknown label; `problems` lists them.
        DataError: a table cannot be read, it is not clear which column is which or what range the
            scores have, or nothing can be learned: no row is left, or one label, or one score.
    """
    if not files or isinstance(files, str | Path):
        raise DataError("the files to learn from must be a list of one or more.")
    _check_options(shape, labels, score_range)
    names = None if labels is None else given_names(labels)
    parts = [read_part(file, shape, columns or {}, encoding) for file in files]
    for part in parts:
        if shape == "scored":
            marks.scale(part, score_range)
        elif "label" in part.roles and (names or shape == "triplets"):
            marks.classify(part, names or nli.ORDER)
    bad = [
        (part.path, problem)
        for part in parts
        for problem in sorted(part.problems, key=lambda problem: problem.line)
    ]
    if bad and not skip_bad:
        raise bad_rows(bad, "Fix what is bad, or leave it out with --skip-bad.")
    if shape == "labelled" and names is None:
        names = found_names(line.mark for part in parts for line in part.lines)
        for part in parts:
            marks.classify(part, names)
    for part in parts:
        if shape == "pairs" and "score" in part.roles:
            marks.keep_same(part)
        elif "premise" in part.roles:
            _make_triplets(part, names or nli.ORDER)
    if shape == "sentences":
        _keep_distinct(parts)
    return _examples(parts, shape, names or ())


def require(examples: Examples, batch_size: int) -> None:
    """Make sure that a batch can be filled.

    Raises:
        DataError: there are fewer examples than a batch has, or fewer groups, of which a batch
            has one example each.
    """
    n, shape = len(examples), examples.shape
    remedy = "Give more, or pass a smaller --batch-size."
    if n < batch_size:
        raise DataError(f"{n:,} {shape} do not fill a batch of {batch_size:,}. {remedy}")
    groups = n if examples.groups is None else len(np.unique(examples.groups))
    if groups < batch_size:
        raise DataError(
            f"{n:,} {shape} of {groups:,} groups do not fill a batch of {batch_size:,}, which has "
            f"one of a group. {remedy}"
        )


def _check_options(
    shape: Shape, labels: Sequence[str] | int | None, score_range: Range | None
) -> None:
    if labels is not None and shape not in ("labelled", "triplets"):
        raise DataError(f"labels belong to labelled pairs and to triplets, not to {shape}.")
    if score_range is None:
        return
    if shape != "scored":
        raise DataError(f"a score range belongs to scored pairs, not to {shape}.")
    low, high = score_range
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise DataError(f"a score range goes from a low to a high score, not {low:g} to {high:g}.")


def _make_triplets(part: Part, names: Sequence[str]) -> None:
    labels = [nli.canonical(name) or name for name in names]
    rows = ((line.texts[0], line.texts[1], labels[line.mark]) for line in part.lines)
    made, lacking = nli.triplets(rows)
    part.lines = [Line(0, texts) for texts in made]
    part.left_out["premises without both an entailed and a contradicted hypothesis"] = lacking


def _keep_distinct(parts: Sequence[Part]) -> None:
    """Take sentences one by one, from both columns of a table of pairs, and equal ones once."""
    seen: set[str] = set()

    def is_new(line: Line) -> bool:
        known = len(seen)
        seen.update(line.texts)
        return len(seen) > known

    for part in parts:
        part.lines = [Line(line.number, (text,)) for line in part.lines for text in line.texts]
        part.keep(is_new, "sentences seen before")


def _examples(parts: Sequence[Part], shape: Shape, names: Sequence[str]) -> Examples:
    lines = [line for part in parts for line in part.lines]
    paths = ", ".join(part.path for part in parts)
    if not lines:
        left_out = sum((part.counts() for part in parts), Counter[str]())
        why = ", ".join(f"{count:,} {what}" for what, count in left_out.items())
        raise DataError(f"{paths}: no {shape} to learn from: {why}.")
    columns = {
        role: [line.texts[place] for line in lines] for place, role in enumerate(COLUMNS[shape])
    }
    found = Examples(shape, columns, sources=tuple(part.record() for part in parts))
    if shape in ("pairs", "triplets"):
        return replace(found, groups=_groups(lines, columns))
    if shape == "sentences":
        return found
    values = [line.mark for line in lines]
    if len(set(values)) < 2:
        what = f"label is {brief(names[values[0]])}" if names else "score is the same"
        raise DataError(
            f"{paths}: every {what}, which leaves nothing to tell apart. Give rows of at least two."
        )
    if shape == "scored":
        return replace(found, scores=np.array(values, np.float64))
    return replace(found, labels=np.array(values, np.int64), label_names=tuple(names))


def _groups(lines: Sequence[Line], columns: Mapping[str, Sequence[str]]) -> Ids:
    linked = components(text_ids([columns["anchor"], columns["positive"]]))
    return in_order(
        line.group or int(component) for line, component in zip(lines, linked, strict=True)
    )
