"""What a review says of a bank, from the index to the page."""

from __future__ import annotations

import json
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from semsearch import Index, StandardQuestion
from semsearch.encoder import Encoder
from semsearch.errors import DataError
from semsearch.review import KINDS, Finding, Review, review
from semsearch.review.page import page
from tests.calibration.conftest import BANK


def _review(folder: Path, encoder: Encoder, bank: list[StandardQuestion]) -> Review:
    with Index.build(bank, folder / "faq", encoder=encoder) as index:
        return review(index)


def _faults(found: Review, kind: str) -> list[tuple[str, str | None, str | None]]:
    return [
        (one.key, one.other_key, one.phrasing) for one in found.faults if one.kind == kind
    ]  # fmt: skip


def test_the_same_question_under_two_keys_is_a_duplicate_or_a_contradiction(
    tmp_path: Path, tiny_encoder: Encoder
) -> None:
    agreeing = StandardQuestion("again", BANK[0].question.upper(), BANK[0].answer)
    other = StandardQuestion("other", f" {BANK[1].question}", "No, never, not for 5 days.")
    found = _review(tmp_path, tiny_encoder, [*BANK, agreeing, other])
    assert ("again", BANK[0].key, None) in _faults(found, "duplicate")
    assert ("other", BANK[1].key, None) in _faults(found, "contradiction")
    (finding,) = (one for one in found.faults if one.key == "other")
    assert finding.answers == ("No, never, not for 5 days.", BANK[1].answer)
    assert finding.advice.startswith("Decide which answer is right")


def test_one_wording_under_two_questions_is_named_once(
    tmp_path: Path, tiny_encoder: Encoder
) -> None:
    wording = BANK[0].phrasings[1]
    second = replace(BANK[1], phrasings=(*BANK[1].phrasings, wording.title()))
    found = _review(tmp_path, tiny_encoder, [BANK[0], second, *BANK[2:]])
    about = [one for one in found.findings if one.phrasing in (wording, wording.title())]
    assert [(one.kind, one.key, one.other_key, one.sure) for one in about] == [
        ("contradiction", BANK[1].key, BANK[0].key, 1.0)
    ]


def test_half_of_the_phrasings_word_for_word_are_the_same_question(
    tmp_path: Path, tiny_encoder: Encoder
) -> None:
    copy = StandardQuestion("copy", "how do i", BANK[0].answer, BANK[0].phrasings[:3])
    found = _review(tmp_path, tiny_encoder, [*BANK, copy])
    assert _faults(found, "duplicate") == [("copy", BANK[0].key, None)]


def test_few_phrasings_are_a_remark(tmp_path: Path, tiny_encoder: Encoder) -> None:
    lonely = StandardQuestion("lonely", "use the app to slow down", "Yes.")
    found = _review(tmp_path, tiny_encoder, [*BANK, lonely])
    (finding,) = (one for one in found.remarks if one.kind == "few_phrasings")
    assert (finding.key, finding.fault, finding.sure) == ("lonely", False, None)
    assert found.findings[-1] == finding


def test_faults_come_first_and_the_surest_of_them(tmp_path: Path, tiny_encoder: Encoder) -> None:
    twin = StandardQuestion("again", BANK[0].question, "", BANK[0].phrasings)
    found = _review(tmp_path, tiny_encoder, [*BANK, twin])
    ranks = [(not one.fault, one.kind == "few_phrasings", -(one.sure or 0))
             for one in found.findings]  # fmt: skip
    assert ranks == sorted(ranks) and found.faults[0].key == "again"


def test_a_bank_without_phrasings_says_what_cannot_be_seen(
    tmp_path: Path, tiny_encoder: Encoder
) -> None:
    bank = [StandardQuestion(one.key, one.question, one.answer) for one in BANK]
    found = _review(tmp_path, tiny_encoder, [*bank, replace(bank[0], key="again")])
    assert _faults(found, "duplicate") == [("again", BANK[0].key, None)]
    assert "No standard question has a second phrasing" in found.notes[0]


def test_one_standard_question_cannot_be_reviewed(tmp_path: Path, tiny_encoder: Encoder) -> None:
    with pytest.raises(DataError, match="nothing can be compared in 1 standard questions"):
        _review(tmp_path, tiny_encoder, BANK[:1])


def test_json_has_stable_names(tmp_path: Path, tiny_encoder: Encoder) -> None:
    twin = StandardQuestion("again", BANK[0].question, "Else, 5.")
    found = json.loads(json.dumps(_review(tmp_path, tiny_encoder, [*BANK, twin]).to_dict()))
    assert list(found) == [
        "index", "questions", "phrasings", "faults", "remarks", "kinds", "notes", "findings"
    ]  # fmt: skip
    assert list(found["kinds"]) == list(KINDS)
    assert list(found["findings"][0]) == [
        "kind", "fault", "sure", "key", "question", "phrasing", "other_key", "other_question",
        "score", "usual", "answers", "evidence", "advice",
    ]  # fmt: skip


class _Page(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[str] = []
        self.open: list[str] = []
        self.outside: list[str] = []
        self.text = ""

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in ("meta", "input"):
            self.open.append(tag)
        self.outside += [value or "" for name, value in attrs if name in ("src", "href")]

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def test_the_page_holds_everything_and_needs_nothing() -> None:
    evil = "<script>alert('x')</script>"
    finding = Finding(
        "contradiction", True, 0.987, "k&1", "怎么退款？", evil, "k2", "退货 & 退款",
        0.9, 0.8, ("可以 <b>", "不可以"), "证据", "改",
    )  # fmt: skip
    few = Finding("few_phrasings", False, None, "k3", "lonely")
    html = page(Review("index/faq", 3, 9, (finding, few), ("A note.",)))
    parsed = _Page()
    parsed.feed(html)
    assert parsed.open == [] and parsed.outside == []
    assert parsed.tags.count("script") == 1 and "http" not in html and "@import" not in html
    for text in (
        evil,
        "怎么退款？",
        "退货 & 退款",
        "k&1",
        "可以 <b>",
        "不可以",
        "lonely",
        "0.99",
        "A note.",
    ):
        assert text in parsed.text
    assert "prefers-color-scheme: dark" in html
