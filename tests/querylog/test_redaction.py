"""What personal data looks like, and what only looks like it."""

from __future__ import annotations

from pathlib import Path

import pytest

from semsearch.errors import DataError
from semsearch.querylog import redactor


@pytest.mark.parametrize(
    ("text", "kept"),
    [
        ("mail bob.o'neil+x@mail.example.co.uk now", "mail bob.o'[email] now"),
        ("我的邮箱abc_1@qq.com收不到", "我的邮箱[email]收不到"),
        ("card 4111 1111 1111 1111 was declined", "card [card] was declined"),
        ("卡号6222021234567890123被冻结", "卡号[card]被冻结"),
        ("IBAN GB82 WEST 1234 5698 7654 32 please", "IBAN [account] please"),
        ("身份证11010519491231002X过期", "身份证[id]过期"),
        ("call +44 20 7946 0958", "call [phone]"),
        ("call (415) 555-0123 or 415-555-0123", "call [phone] or [phone]"),
        ("手机号13812345678换了", "手机号[phone]换了"),
        ("１３８１２３４５６７８", "[phone]"),
        ("请打010-12345678或(02)2182-1313", "请打[phone]或[phone]"),
        ("my IBAN ES9121000418450200051332 is wrong", "my IBAN [account] is wrong"),
        ("CZ6508000000192000145399 has no money", "[account] has no money"),
        ("ES91 2100 0418 4502 0005 1332 please check", "[account] please check"),
        ("gb29nwbk60161331926819 refused", "[account] refused"),
        ("１３８－１２３４－５６７８打不通", "[phone]打不通"),
        ("打１３８　１２３４　５６７８", "打[phone]"),
        ("０１０－８８８８７７７７或（010）88887777", "[phone]或[phone]"),
        ("call 852-2345 6789", "call [phone]"),
        ("邮箱ａｎｎ＠ｅｘａｍｐｌｅ．ｃｏｍ", "邮箱[email]"),
        ("to müller@example.de", "to [email]"),
    ],
)
def test_personal_data_is_replaced_by_its_kind(text: str, kept: str) -> None:
    assert redactor("personal")(text) == kept


@pytest.mark.parametrize(
    "text",
    [
        "is the 401k limit 22,500 in 2026?",
        "transfer 1,000,000,000 dollars",
        "open 0800-1700 on 2026-01-02 at 10:30",
        "error 0x80070057 at 192.168.100.100",
        "order HO-123456 and K12345678",
        "pi is 3.14159265358979",
        "GB82 ARE NOT WHAT THEY SEEM",
        "follow @semsearch",
        "转账10000000元要多久",
        "ES91 2100 0418 of no account at all",
        "ab12 this plan that will come with more then some last",
        "价格：１００，２００　元（含税）",
    ],
)
def test_what_is_not_personal_stays(text: str) -> None:
    assert redactor("personal")(text) == text


def test_the_owners_patterns_leave_the_name_of_their_group(tmp_path: Path) -> None:
    patterns = tmp_path / "patterns.txt"
    patterns.write_text("# ours\n(?P<order>HO-\\d{6})\n\n(?i)mr\\.? \\w+\nx*\n", encoding="utf-8")
    redact = redactor(patterns, "personal")
    assert redact("Mr Smith: HO-123456, a@b.de") == "[redacted]: [order], [email]"


def test_a_bad_pattern_says_where_it_stands(tmp_path: Path) -> None:
    patterns = tmp_path / "patterns.txt"
    patterns.write_text("fine\n(bad\n", encoding="utf-8")
    with pytest.raises(DataError, match=r"patterns\.txt:2: no regular expression"):
        redactor(patterns)


@pytest.mark.data
def test_published_questions_stay_as_they_are(data_dir: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    redact = redactor("personal")
    for name in ("banking77", "clinc150", "hwu64"):
        texts = parquet.read_table(data_dir / "faq" / name / "train.parquet")["text"].to_pylist()
        assert [text for text in texts if redact(text) != text] == []
