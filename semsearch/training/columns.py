"""Which columns of a table hold the texts, the score, the label and the group of an example."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from semsearch.errors import DataError
from semsearch.evaluation import columns as pair_columns
from semsearch.tables.roles import find, listed, pick, plain_name
from semsearch.training.examples import COLUMNS, Shape

_NLI = ("premise", "hypothesis", "label")

ROLES: Mapping[Shape, tuple[str, ...]] = {
    "sentences": COLUMNS["sentences"],
    "pairs": (*COLUMNS["pairs"], "score", "group"),
    "scored": (*COLUMNS["scored"], "score"),
    "labelled": (*COLUMNS["labelled"], "label"),
    "triplets": (*COLUMNS["triplets"], "group", *_NLI),
}
"""What a column can be named for."""

_FIRST = ("sentence1", "anchor", "premise")
_SECOND = ("sentence2", "positive", "hypothesis")
_OPTIONAL: Mapping[Shape, tuple[str, ...]] = {"pairs": ("score", "group"), "triplets": ("group",)}

_USUAL = {
    "anchor": "query question 锚点 锚句 查询 问题 原句 錨點 錨句 查詢 問題",
    "source": "src source en eng english 原文 源文 英文 英语 英語",
    "target": "trg tgt target zh zho chi chinese cn 译文 目标 中文 汉语 譯文 漢語",
    "positive": "positive pos positives 正例 正样本 正樣本",
    "negative": (
        "negative neg negatives hardnegative sentence3 text3 sent3 负例 负样本 难负例 反例 "
        "負例 負樣本 句子3 文本3"
    ),
    "label": (
        "label goldlabel labels labelname class category relation entailment judgment "
        "标签 标注 类别 分类 关系 標籤 標註 類別 分類 關係"
    ),
    "group": (
        "group groupid cluster clusterid imageid 组 分组 组别 组id 组编号 簇 組 分組 組別 組編號"
    ),
}


def choose(
    columns: Sequence[str], shape: Shape, given: Mapping[str, str], source: str
) -> dict[str, str]:
    """The column of each role, named ones first, else ones with a usual name.

    Triplets come from the roles anchor, positive and negative, or, where there is no column of
    negatives, from premise, hypothesis and label. Sentences come from one column, or from both of
    a table of pairs. Pairs may have a score and a group, triplets a group.

    Raises:
        DataError: there is no column for a role, a named one is not there, or two roles share one.
    """
    unknown = next((role for role in given if role not in ROLES[shape]), None)
    if unknown is not None:
        raise DataError(
            f"{shape} have no column for the role {unknown!r}: their roles are "
            f"{', '.join(ROLES[shape])}."
        )
    named = {role: find(columns, name, source) for role, name in given.items()}
    chosen = dict(named)
    for role in _wanted(columns, shape, named, source):
        if role not in chosen:
            found = _recognise([name for name in columns if name not in named.values()], role)
            if found is not None:
                chosen[role] = found
            elif role not in _OPTIONAL.get(shape, ()):
                raise DataError(
                    f"{source}: no column called {role}, or the like, among {listed(columns)}. "
                    f"Name it with --column {role}=COLUMN."
                )
    if "score" in chosen and "score" not in named and _says_positive(chosen.get("positive", "")):
        del chosen["score"]
    if len(set(chosen.values())) < len(chosen):
        raise DataError(f"{source}: one column is named for two roles. Name each column once.")
    return chosen


def _wanted(
    columns: Sequence[str], shape: Shape, named: Mapping[str, str], source: str
) -> tuple[str, ...]:
    """The roles that a table is read by."""
    if shape == "sentences":
        if "sentence" in named or _sentence(columns, source) is not None:
            return ("sentence",)
        pair = all(_recognise(columns, role) for role in COLUMNS["scored"])
        return COLUMNS["scored"] if pair else ("sentence",)
    if shape == "triplets" and "negative" not in named:
        free = [name for name in columns if name not in named.values()]
        nli = _usual(free, "negative") is None and _usual(free, "label") is not None
        if nli or any(role in named for role in _NLI):
            return _NLI
    return tuple(role for role in ROLES[shape] if shape != "triplets" or role not in _NLI)


def _recognise(columns: Sequence[str], role: str) -> str | None:
    """The column with the best usual name of a role."""
    if role == "sentence":
        return _sentence(columns, "")
    if role in _FIRST:
        return _pair_column(columns, "sentence1") or _usual(columns, "anchor", "source")
    if role in _SECOND:
        return _pair_column(columns, "sentence2") or _usual(columns, "positive", "target")
    if role == "score":
        return _pair_column(columns, "score")
    if role == "label":
        return _usual(columns, "label") or _pair_column(columns, "score")
    return _usual(columns, role)


def _says_positive(name: str) -> bool:
    """Whether the name of a column says of all rows what a score would say."""
    return plain_name(name) in _USUAL["positive"].split()


def _sentence(columns: Sequence[str], source: str) -> str | None:
    if len(columns) == 1:
        return columns[0]
    try:
        return pick(columns, "text", source)
    except DataError:
        raise DataError(
            f"{source}: several of the columns {listed(columns)} may hold the sentences. Name one "
            "with --column sentence=COLUMN."
        ) from None


def _pair_column(columns: Sequence[str], role: str) -> str | None:
    try:
        return pair_columns.recognise(columns, role, "")
    except DataError:
        return None


def _usual(columns: Sequence[str], *kinds: str) -> str | None:
    known = " ".join(_USUAL[kind] for kind in kinds).split()
    ranked = [
        (known.index(plain_name(name)), place)
        for place, name in enumerate(columns)
        if plain_name(name) in known
    ]
    return columns[min(ranked)[1]] if ranked else None
