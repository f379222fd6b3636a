"""A bank that is exported reads back as the same bank."""

from __future__ import annotations

from pathlib import Path

import pytest

from semsearch.tables import read_bank, write_bank
from semsearch.types import StandardQuestion

BANK = [
    StandardQuestion(
        "a", "退款, how?", "五天\n内", ("a | b; c", "[1]", "=1+1"), {"城市": "上海", "n": 3}
    ),
    StandardQuestion("b", "Who?", "", (), {"城市": "", "n": None}),
]
SUFFIXES = [".csv", ".tsv", ".jsonl", ".parquet", ".xlsx"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_bank_reads_back_as_it_was(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"bank{suffix}"
    assert write_bank(path, BANK) == (2, None)
    again = read_bank(path).questions
    for old, new in zip(BANK, again, strict=True):
        assert (new.key, new.question, new.answer) == (old.key, old.question, old.answer)
        assert new.phrasings == old.phrasings
        # Text formats know neither numbers nor the difference between nothing and no text.
        assert [str(v or "") for v in new.fields.values()] == [
            str(v or "") for v in old.fields.values()
        ]


@pytest.mark.parametrize("name", ["question", "standard question", "问题", "key", "similar 1"])
def test_a_field_named_like_a_role_is_kept_and_said(tmp_path: Path, name: str) -> None:
    bank = [StandardQuestion("a", "Where?", "There.", ("where", "ou"), {name: "x"})]
    path = tmp_path / "bank.csv"
    _, roles = write_bank(path, bank)
    assert roles is not None
    again = read_bank(
        path,
        key=roles.key,
        question=roles.question,
        answer=roles.answer,
        phrasing=roles.phrasings,
    )
    assert list(again.questions) == bank
