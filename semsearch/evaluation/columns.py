"""Which columns of a table hold the two sentences and the score."""

from __future__ import annotations

from collections.abc import Sequence

from semsearch.errors import DataError
from semsearch.evaluation.tasks import Columns
from semsearch.tables.roles import find, listed, plain_name

_FIRST = (
    "sentence1 sent1 text1 question1 query1 s1 q1 texta sentencea senta premise anchor "
    "句子1 文本1 问题1 问句1 句1 句子a 文本a 句子一 問題1 問句1"
)
_SECOND = (
    "sentence2 sent2 text2 question2 query2 s2 q2 textb sentenceb sentb hypothesis positive "
    "句子2 文本2 问题2 问句2 句2 句子b 文本b 句子二 問題2 問句2"
)
_SCORE = (
    "score goldscore gold label similarity similarityscore relatedness relatednessscore rating "
    "分数 分值 得分 评分 相似度 标签 标注 分數 評分 標籤 標註"
)
_USUAL = {"sentence1": _FIRST, "sentence2": _SECOND, "score": _SCORE}
_OPTIONS = {"sentence1": "--first", "sentence2": "--second", "score": "--gold"}


def choose(columns: Sequence[str], wanted: Columns, source: str) -> Columns:
    """The column of each role: the wanted one where it is named, else one with a usual name.

    Raises:
        DataError: there is none, or one column has two roles.
    """
    named = {"sentence1": wanted.sentence1, "sentence2": wanted.sentence2, "score": wanted.score}
    found = {
        role: find(columns, name, source)
        if name and (name in columns or name not in _USUAL)
        else recognise(columns, role, source)
        for role, name in named.items()
    }
    if len(set(found.values())) < len(found):
        raise DataError(f"{source}: one column is named for two roles. Name each column once.")
    subset = wanted.subset
    if subset is not None and subset not in columns:
        subset = None
    return Columns(found["sentence1"], found["sentence2"], found["score"], subset)


def recognise(columns: Sequence[str], role: str, source: str) -> str:
    """The column with the best usual name of a role: sentence1, sentence2 or score.

    Raises:
        DataError: there is none.
    """
    known = [plain_name(name) for name in _USUAL[role].split()]
    ranked = sorted(
        (known.index(plain_name(column)), number)
        for number, column in enumerate(columns)
        if plain_name(column) in known
    )
    if not ranked:
        raise DataError(
            f"{source}: no column called {role}, or the like, among {listed(columns)}. Name it "
            f"with {_OPTIONS[role]} COLUMN."
        )
    return columns[ranked[0][1]]
