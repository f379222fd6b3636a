"""The sentence pairs of a task: from a directory, from the hub, or from a user's own table."""

from __future__ import annotations

import hashlib
import math
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.errors import DataError, MissingExtraError
from semsearch.evaluation import columns
from semsearch.evaluation.metrics import Values
from semsearch.evaluation.tasks import Columns, Language, Task
from semsearch.tables import Table, read_table
from semsearch.tables.cells import brief, text
from semsearch.tables.readers import unreadable

SUFFIXES = (".parquet", ".tsv", ".csv", ".jsonl")

_CJK_SHARE = 0.2


@dataclass(frozen=True, slots=True)
class Source:
    """Where pairs came from, so that the same ones can be had again."""

    name: str  # the file, as the task names it, or the dataset
    rows: int
    sha256: str  # of the file's bytes, or of the dataset's rows
    revision: str | None = None


@dataclass(frozen=True, eq=False)
class Pairs:
    """The pairs of a task that are scored, and how many of its rows are not."""

    task: Task
    first: tuple[str, ...]
    second: tuple[str, ...]
    gold: Values  # (n,)
    subsets: tuple[str, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)
    sources: tuple[Source, ...] = ()

    def __len__(self) -> int:
        return len(self.gold)

    @property
    def sentences(self) -> list[str]:
        """Both sides, as often as they occur."""
        return [*self.first, *self.second]

    def keep(self, kept: Sequence[int], reason: str) -> Pairs:
        """Only these pairs, with the others counted as dropped for that reason."""
        lost = len(self) - len(kept)
        return replace(
            self,
            first=tuple(self.first[row] for row in kept),
            second=tuple(self.second[row] for row in kept),
            gold=self.gold[np.asarray(kept, np.int64)],
            subsets=tuple(self.subsets[row] for row in kept),
            dropped={**self.dropped, reason: lost} if lost else self.dropped,
        )


class NoDataError(DataError):
    """The data of a task is not there; `reason` says so without naming the directory."""

    def __init__(self, reason: str, remedy: str = "") -> None:
        super().__init__(f"{reason}{remedy}.")
        self.reason = reason


def load(task: Task, data_dir: str | Path | None = None) -> Pairs:
    """The pairs of a task.

    Args:
        data_dir: holds `<family>/<task>/<split>.parquet`, or .tsv, .csv, .jsonl in its place;
            None asks the hub, at the revision that the task names.

    Raises:
        NoDataError: the data is not there, or the hub cannot be asked.
        DataError: the data cannot be used.
        MissingExtraError: the package `datasets` is needed, or what reads the file.
    """
    if data_dir is None:
        rows, source = _from_hub(task)
        names = [str(name) for name in rows[0][1]] if rows else []
        roles = columns.choose(names, task.columns, source.name)
        return _pairs(task, [(f"{source.name}, row ", rows, roles)], (source,))
    tables, sources = [], []
    for file in task.files:
        path = _find(Path(data_dir), file, task)
        table = read_table(path)
        _refuse_bad(table)
        roles = columns.choose(table.columns, task.columns, str(path))
        tables.append((f"{path}:", [(row.line, row.values) for row in table.rows], roles))
        name = path.relative_to(data_dir).as_posix()
        sources.append(Source(name, len(table.rows), file_sha256(path)))
    return _pairs(task, tables, tuple(sources))


def read_pairs(
    source: str | Path,
    *,
    first: str | None = None,
    second: str | None = None,
    gold: str | None = None,
    name: str | None = None,
) -> Pairs:
    """A user's own table of pairs as a task.

    Args:
        first: column of the first sentence; recognised by a usual name when None (sentence1,
            text_a, 句子1 and so on), as are the others.
        second: column of the second sentence.
        gold: column of the gold score; higher means more alike.
        name: of the task; the name of the file when None.

    Raises:
        DataError: the table cannot be read, or it is not clear which column is which.
    """
    table = read_table(source)
    _refuse_bad(table)
    wanted = Columns(first or "", second or "", gold or "")
    roles = columns.choose(table.columns, wanted, table.source)
    path = Path(str(source).rpartition("::")[0] or str(source))
    sha = file_sha256(path if path.is_file() else Path(source)) if str(source) != "-" else ""
    task = Task(
        name=name or path.stem,
        language="en",
        files=(),
        score_range=(-math.inf, math.inf),
        source=path.name,
        citation="",
        licence="",
        columns=roles,
    )
    rows = [(row.line, row.values) for row in table.rows]
    pairs = _pairs(task, [(f"{table.source}:", rows, roles)], (Source(path.name, len(rows), sha),))
    low, high = (float(pairs.gold.min()), float(pairs.gold.max())) if len(pairs) else (0.0, 0.0)
    language = language_of(pairs.sentences)
    return replace(pairs, task=replace(task, language=language, score_range=(low, high)))


def read_sentence_pairs(source: str | Path) -> list[tuple[str, str]]:
    """The pairs of a training file; it needs no scores.

    Raises:
        DataError: the table cannot be read, or has no two columns of sentences.
    """
    table = read_table(source)
    _refuse_bad(table)
    one = columns.recognise(table.columns, "sentence1", table.source)
    two = columns.recognise(table.columns, "sentence2", table.source)
    return [(text(row.values.get(one)), text(row.values.get(two))) for row in table.rows]


def language_of(texts: Iterable[str]) -> Language:
    """Chinese where a fifth of the letters are Chinese characters, else English."""
    letters = chinese = 0
    for item in texts:
        letters += sum(map(str.isalpha, item))
        chinese += sum("\u3400" <= sign <= "\u9fff" for sign in item)
    return "zh" if chinese > _CJK_SHARE * max(letters, 1) else "en"


def file_sha256(path: Path) -> str:
    """sha256 of the bytes of a file, hexadecimal.

    Raises:
        DataError: it cannot be read.
    """
    sha = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                sha.update(block)
    except OSError as error:
        raise unreadable(path, error) from None
    return sha.hexdigest()


_Rows = Iterable[tuple[int, Mapping[str, Any]]]


def _pairs(
    task: Task, tables: Sequence[tuple[str, _Rows, Columns]], sources: tuple[Source, ...]
) -> Pairs:
    first, second, gold, subsets = [], [], [], []
    dropped: Counter[str] = Counter()
    for where, rows, roles in tables:
        for line, values in rows:
            one, two = _sentence(values, roles.sentence1), _sentence(values, roles.sentence2)
            score = _score(values.get(roles.score), f"{where}{line}")
            reason = _flaw(one, two, score, task)
            if reason or score is None:
                dropped[reason or "missing score"] += 1
                continue
            low, high = task.score_range
            if not low <= score <= high:
                raise DataError(
                    f"{where}{line}: the score {score:g} is outside {low:g} to {high:g}, the range "
                    f"of {task.name}. Is this its data?"
                )
            first.append(one)
            second.append(two)
            gold.append(score)
            subsets.append(text(values.get(roles.subset)) if roles.subset else "")
    if not gold:
        why = ", ".join(f"{count} with {reason}" for reason, count in dropped.items())
        raise DataError(
            f"{', '.join(source.name for source in sources)}: no pair to score"
            f"{f': {why}' if why else ''}."
        )
    return Pairs(
        task,
        tuple(first),
        tuple(second),
        np.asarray(gold, np.float64),
        tuple(subsets),
        dict(dropped),
        sources,
    )


def _flaw(one: str, two: str, score: float | None, task: Task) -> str | None:
    if not one.strip() or not two.strip():
        return "empty sentence"
    if task.missing is not None and task.missing in (one.strip(), two.strip()):
        return f"literal {task.missing}"
    return "missing score" if score is None else None


def _sentence(values: Mapping[str, Any], column: str) -> str:
    value = values.get(column)
    return value if isinstance(value, str) else text(value)


def _score(value: object, where: str) -> float | None:
    """A score, or None where there is none."""
    written = text(value)
    try:
        score = float(written) if written else math.nan
    except ValueError:
        raise DataError(f"{where}: {brief(written)} is no score: a number is needed.") from None
    if math.isinf(score):
        raise DataError(f"{where}: an infinite score cannot be ranked. Fix the row.")
    return None if math.isnan(score) else score


def _find(data_dir: Path, file: str, task: Task) -> Path:
    if not data_dir.is_dir():
        raise DataError(f"{data_dir}: there is no such directory of data.")
    for suffix in SUFFIXES:
        path = data_dir / f"{file}{suffix}"
        if path.is_file():
            return path
    missing = f"{task.name}: no {file}{SUFFIXES[0]} (or .tsv, .csv, .jsonl)"
    raise NoDataError(missing, f" in {data_dir}")


def _from_hub(task: Task) -> tuple[list[tuple[int, Mapping[str, Any]]], Source]:
    if task.hub is None:
        raise NoDataError(
            f"{task.name}: no dataset on the hub holds just its rows", "; give --data"
        )
    try:
        import datasets
    except ImportError:
        raise MissingExtraError(
            "datasets (or a directory given with --data)", "benchmarks"
        ) from None
    hub = task.hub
    try:
        found = datasets.load_dataset(hub.id, revision=hub.revision, split=hub.split)
        rows: list[tuple[int, Mapping[str, Any]]] = [*enumerate(map(dict, found), 1)]
    except Exception as error:  # datasets and the hub raise nearly anything
        why = " ".join(str(error).split())[:200].rstrip(".") or type(error).__name__
        reason = f"{task.name}: cannot have {hub.id} from the hub: {why}"
        raise NoDataError(reason, ". Or give a directory with --data") from error
    sha = hashlib.sha256()
    for _, row in rows:
        sha.update(repr([text(row[name]) for name in sorted(row)]).encode())
    return rows, Source(hub.id, len(rows), sha.hexdigest(), hub.revision)


def _refuse_bad(table: Table) -> None:
    if table.problems:
        raise DataError(f"{table.source}: {table.problems[0]}. Fix the file.")
