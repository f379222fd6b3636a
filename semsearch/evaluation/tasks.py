"""The STS tasks that papers report: where their data is, what it looks like, whom to cite.

Names without a split mean the split that is usually reported. Hub revisions are those that mteb
2.26 pins, so that its figures and these are about the same rows.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from semsearch.errors import DataError
from semsearch.tables.roles import listed

Language = Literal["en", "zh"]
Aggregation = Literal["all", "mean", "wmean"]


@dataclass(frozen=True, slots=True)
class Hub:
    """A split of a dataset on the Hugging Face hub, at one revision."""

    id: str
    revision: str
    split: str = "test"


@dataclass(frozen=True, slots=True)
class Columns:
    """Which column holds what; `subset` is None where a task has no subsets."""

    sentence1: str = "sentence1"
    sentence2: str = "sentence2"
    score: str = "score"
    subset: str | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One set of sentence pairs with gold scores.

    Attributes:
        files: its data in the local layout, `<family>/<task>/<split>`, without a suffix.
        score_range: lowest and highest gold score; a higher one means more alike.
        hub: where it is on the hub; None where no dataset there holds just these rows.
        missing: a literal that stands for a sentence that was never written.
    """

    name: str
    language: Language
    files: tuple[str, ...]
    score_range: tuple[float, float]
    source: str
    citation: str
    licence: str
    hub: Hub | None = None
    columns: Columns = Columns()
    missing: str | None = None


_SEMEVAL = "SemEval task data; parts under terms of their own: research only"
_WITH_SUBSETS = Columns(subset="subset")
_CHINESE = "via C-Pack, Xiao et al. 2024, arXiv:2309.07597"


def _semeval(year: int, task: int, citation: str, hub: str) -> Task:
    return Task(
        name=f"STS{year}",
        language="en",
        files=(f"sts_en/sts{year}/test",),
        score_range=(0, 5),
        source=f"SemEval-20{year} task {task}, test, all subsets that are free",
        citation=citation,
        licence=_SEMEVAL,
        hub=Hub(f"mteb/sts{year}-sts", hub),
        columns=_WITH_SUBSETS,
    )


def _sick(name: str, splits: Sequence[str], source: str, hub: Hub | None) -> Task:
    return Task(
        name=name,
        language="en",
        files=tuple(f"sts_en/sick/{split}" for split in splits),
        score_range=(1, 5),
        source=source,
        citation="Marelli et al. 2014, LREC",
        licence="CC BY-NC-SA 3.0",
        hub=hub,
    )


def _benchmark(split: str) -> Task:
    hub_split = {"dev": "validation"}.get(split, split)
    return Task(
        name="STS-B" if split == "test" else f"STS-B-{split}",
        language="en",
        files=(f"sts_en/stsbenchmark/{split}",),
        score_range=(0, 5),
        source=f"STS Benchmark, {split}",
        citation="Cer et al. 2017, SemEval, doi:10.18653/v1/S17-2001",
        licence="terms of each of its sources; MSRpar and MSRvid: research only",
        hub=Hub("mteb/stsbenchmark-sts", "b0fddb56ed78048fa8b90373c8a3cfc37b684831", hub_split),
    )


def _chinese(
    name: str,
    folder: str,
    split: str,
    citation: str,
    licence: str,
    hub: tuple[str, str],
    *,
    score_range: tuple[float, float] = (0, 1),
    missing: str | None = None,
) -> Task:
    hub_split = {"dev": "validation"}.get(split, split)
    return Task(
        name=name if split == "test" else f"{name}-{split}",
        language="zh",
        files=(f"sts_zh/{folder}/{split}",),
        score_range=score_range,
        source=f"{name}, {split}",
        citation=f"{citation}; {_CHINESE}",
        licence=licence,
        hub=Hub(*hub, hub_split),
        missing=missing,
    )


def _stsb_zh(split: str) -> Task:
    return _chinese(
        "STS-B-zh",
        "stsb_zh",
        split,
        "CNSD, a machine translation of STS Benchmark with scores rounded to integers",
        "not stated; the terms of STS Benchmark apply",
        ("mteb/STSB", "e036defee8f190911de6fc825a944b928c8cda53"),
        score_range=(0, 5),
    )


_ALL = (
    _semeval(12, 6, "Agirre et al. 2012, SemEval", "a0d554a64d88156834ff5ae9920b964011b16384"),
    _semeval(13, 6, "Agirre et al. 2013, *SEM", "7e90230a92c190f1bf69ae9002b8cea547a64cca"),
    _semeval(14, 10, "Agirre et al. 2014, SemEval", "6031580fec1f6af667f0bd2da0a551cf4f0b2375"),
    _semeval(15, 2, "Agirre et al. 2015, SemEval", "ae752c7c21bf194d8b67fd573edf7ae58183cbe3"),
    _semeval(16, 1, "Agirre et al. 2016, SemEval", "4d8694f8f0e0100860b497b999b3dbed754a0513"),
    _benchmark("test"),
    _benchmark("dev"),
    _sick(
        "SICK-R",
        ("train", "dev", "test"),
        "SICK relatedness, all 9,927 pairs, as MTEB scores it",
        Hub("mteb/sickr-sts", "20a6d6f312dd54037fe07a32d58e5e168867909d"),
    ),
    _sick(
        "SICK-R-test",
        ("test",),
        "SICK relatedness, the 4,927 test pairs, as SentEval and SimCSE score it",
        None,
    ),
    _chinese(
        "ATEC",
        "atec",
        "test",
        "Ant Financial, ATEC competition 2018",
        "not stated: research only",
        ("C-MTEB/ATEC", "0f319b1142f28d00e055a6770f3f726ae9b7d865"),
    ),
    _chinese(
        "BQ",
        "bq",
        "test",
        "Chen et al. 2018, EMNLP, doi:10.18653/v1/D18-1536",
        "on request: research only",
        ("C-MTEB/BQ", "e3dda5e115e487b39ec7e618c0c6a29137052a55"),
    ),
    _chinese(
        "LCQMC",
        "lcqmc",
        "test",
        "Liu et al. 2018, COLING, aclanthology.org/C18-1166",
        "on request: research only",
        ("C-MTEB/LCQMC", "17f9b096f80380fce5ed12a9be8be7784b337daf"),
    ),
    _chinese(
        "PAWS-X-zh",
        "pawsx",
        "test",
        "Yang et al. 2019, EMNLP, doi:10.18653/v1/D19-1382",
        "any use, with acknowledgement of Google",
        ("mteb/PAWSX", "bd129d4230ee0551b5469c566bced8da75abae0a"),
        missing="NS",
    ),
    _stsb_zh("test"),
    _stsb_zh("dev"),
)

TASKS = {task.name: task for task in _ALL}

_EN = ("STS12", "STS13", "STS14", "STS15", "STS16", "STS-B", "SICK-R")
_ZH = ("ATEC", "BQ", "LCQMC", "PAWS-X-zh", "STS-B-zh")
GROUPS = {"en": _EN, "zh": _ZH, "all": (*_EN, *_ZH)}
"""What a group stands for: the tasks of which papers give the average."""


@dataclass(frozen=True, slots=True)
class Chosen:
    """A task, and whether it was asked for by its own name; others may be left out."""

    task: Task
    by_name: bool


def choose(names: str | Sequence[str]) -> list[Chosen]:
    """The tasks of a comma-separated list of names and groups, each once, in that order.

    Case and punctuation in names do not matter: stsb is STS-B.

    Raises:
        DataError: no task or group is called so.
    """
    given = names.split(",") if isinstance(names, str) else list(names)
    known = {_fold(name): name for name in (*TASKS, *GROUPS)}
    found: dict[str, Chosen] = {}
    for item in filter(None, map(str.strip, given)):
        name = known.get(_fold(item))
        if name is None:
            near = difflib.get_close_matches(_fold(item), known, n=1)
            hint = f" Did you mean {known[near[0]]}?" if near else ""
            raise DataError(
                f"no STS task {item!r}.{hint} There are {', '.join(TASKS)}; groups: "
                f"{', '.join(GROUPS)}."
            )
        for member in GROUPS.get(name, (name,)):
            by_name = name in TASKS or (member in found and found[member].by_name)
            found[member] = Chosen(TASKS[member], by_name)
    if not found:
        raise DataError(f"no task is named. There are {listed(list(TASKS))}.")
    return list(found.values())


def _fold(name: str) -> str:
    return re.sub(r"[\W_]+", "", name).lower()
