"""Words count only where held-out queries show that they help."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from semsearch import Encoder, Index, SemsearchError, StandardQuestion
from semsearch.calibration import calibrate, mixing, remove
from semsearch.calibration.collecting import encoded
from semsearch.calibration.mixing import WEIGHTS, Mixing, decide
from semsearch.calibration.weighing import mix
from semsearch.evaluation.queries import LabelledQuery
from semsearch.evaluation.retrieval import evaluate
from semsearch.hybrid import scored
from semsearch.lexical import WEIGHT, Shares
from semsearch.ranking import Ranked
from semsearch.store import lexical as table
from semsearch.store.rows import label_of
from tests.conftest import build_tiny_encoder

CODES = [f"{letter}{number}" for letter in "ABC" for number in range(10, 20)]
# What is said is the same everywhere: only the code tells one from another.
BANK = [
    StandardQuestion(code, f"what is {code}", f"About {code}.", (f"help {code}", f"{code} please"))
    for code in CODES
]
LABELLED = [{"text": f"my order has {code.lower()}", "key": code} for code in CODES]


@pytest.fixture
def index(tmp_path: Path, tiny_encoder_dir: Path) -> Iterator[Index]:
    with Index.build(BANK, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        yield index


def _right(n: int, **shares: float) -> tuple[np.ndarray, np.ndarray]:
    """n queries, of which each weight that is named gets its share right, the others half."""
    right = np.zeros((n, len(WEIGHTS)), bool)
    for column, weight in enumerate(WEIGHTS):
        right[: round(n * shares.get(f"w{weight:g}".replace(".", "_"), 0.5)), column] = True
    return right[np.random.default_rng(0).permutation(n)], np.arange(n)


def test_the_weight_that_helps_for_sure_is_taken() -> None:
    found = decide(_right(400, w0_2=0.7), None)
    assert found.weight == 0.2 and found.source == "the bank itself" and found.queries == 400
    assert found.vectors == 0.5 and found.both == pytest.approx(0.7)
    assert found.low is not None and 0.1 < found.low < 0.2
    assert "words count (weight 0.2)" in str(found) and "+0.200 [+0.1" in str(found)


def test_a_gain_that_may_be_chance_counts_for_nothing() -> None:
    for own in (_right(400, w0_2=0.505), _right(30, w0_2=0.55), _right(10, w0_2=1.0)):
        assert decide(own, None).weight == 0
    random = np.random.default_rng(3)
    noise = random.random((300, len(WEIGHTS))) < 0.5  # some weight is best by luck
    assert decide((noise, np.arange(300)), None).weight == 0


def test_labels_decide_where_they_can() -> None:
    nothing, bank_says = _right(400), _right(400, w0_2=0.7)
    assert decide(nothing, _right(200, w0_3=0.8)[0]).weight == 0.3
    assert decide(bank_says, _right(200, w0_2=0.3)[0]).weight == 0, "they speak against it"
    assert decide(bank_says, _right(200)[0]).weight == 0.2, "they say nothing"
    assert decide(bank_says, _right(10, w0_2=0.3)[0]).weight == 0.2, "they are too few"


def test_it_can_be_asked_for_or_not() -> None:
    worse = _right(400, **{f"w{w:g}".replace(".", "_"): 0.2 for w in WEIGHTS[1:]})
    assert decide(worse, None, "on").weight == WEIGHT
    assert decide(_right(400, w0_3=0.7), None, "on").weight == 0.3
    assert decide(_right(400, w0_3=0.7), None, "off") == Mixing(0.0, "asked for")


def test_every_weight_is_tried_and_rows_are_read_once() -> None:
    read: list[list[int]] = []

    def exact(questions: np.ndarray) -> Ranked:
        read.append(questions.tolist())
        labels = np.array([label_of(q, 1) for q in questions.tolist()])
        return scored(np.full(len(labels), 0.5, np.float32), labels, None)

    near = Ranked(np.array([0.7], np.float32), np.array([label_of(1, 1)]))
    shares = Shares(np.array([1, 2]), np.array([0.0, 1.0], np.float32))
    found, groups = mixing.outcomes([(2, near, shares, exact, None)])
    assert groups.tolist() == [2]
    # 0.7 (1 - w) < 0.5 (1 - w) + w from w = 1 / 6 on.
    assert found.tolist() == [[weight > 1 / 6 for weight in WEIGHTS]] and read == [[2]]


def test_calibrate_finds_out_that_codes_need_words(index: Index) -> None:
    before = evaluate(index, LABELLED).measures["accuracy_at_1"].value
    report = calibrate(index)
    assert report.lexical.weight > 0 and report.calibration.lexical == report.lexical.weight
    assert report.to_dict()["lexical"] == json.loads(json.dumps(index.info()["lexical"]))
    after = evaluate(index, LABELLED).measures["accuracy_at_1"].value
    assert before is not None and after is not None and after > before
    off = evaluate(index, LABELLED, lexical="off").measures["accuracy_at_1"].value
    assert off == before


def test_the_confidence_is_of_the_rank_that_is_used(
    index: Index, caplog: pytest.LogCaptureFixture
) -> None:
    calibrate(index)
    found, many = index.search(LABELLED[3]["text"])[0], [row["text"] for row in LABELLED]
    assert found.confidence is not None
    together = index.search(many)[3]
    assert together.confidence == pytest.approx(found.confidence, abs=1e-4)
    assert index.search(LABELLED[3]["text"], lexical="on")[0].confidence == found.confidence
    assert not caplog.records
    off = index.search(LABELLED[3]["text"], lexical="off")[0]
    assert off.confidence is None and off.answered, "nothing is known of that rank"
    assert "nothing is refused" in caplog.text


def test_labelled_queries_are_encoded_once(index: Index, monkeypatch: pytest.MonkeyPatch) -> None:
    texts = [row["text"] for row in LABELLED]
    asked: list[str] = []

    def encode(self: Encoder, texts: list[str], **more: str) -> np.ndarray:
        asked.extend(texts)
        return original(self, texts, **more)

    original = Encoder.encode
    monkeypatch.setattr(Encoder, "encode", encode)
    calibrate(index, LABELLED)
    assert [text for text in asked if text in texts] == texts


def test_two_runs_agree_and_it_can_be_removed(index: Index) -> None:
    labels = [LabelledQuery(row["text"], row["key"]) for row in LABELLED]
    vectors = encoded(index, labels)
    assert mix(index, labels, vectors, seed=4) == mix(index, labels, vectors, seed=4)
    calibrate(index)
    assert remove(index) and index.info()["lexical"] is None
    assert index.search("a13")[0].hits[0].lexical is None


def test_it_goes_with_the_encoder_that_it_was_measured_with(index: Index, tmp_path: Path) -> None:
    calibrate(index)
    index.add([StandardQuestion("new", "what is D20")])
    assert index.info()["lexical"] is not None
    other = build_tiny_encoder(tmp_path / "other", seed=5)
    with Index.build(BANK, index.path, encoder=other, rebuild=True) as again:
        assert again.info()["lexical"] is None and again.info()["calibration"] is None


def test_without_fts5_it_is_off_unless_asked_for(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(table, "available", lambda _: False)
    assert calibrate(index).lexical == Mixing(0.0, "no FTS5")
    with pytest.raises(SemsearchError, match="no FTS5"):
        calibrate(index, lexical="on")
    with pytest.raises(ValueError, match="lexical must be one of"):
        calibrate(index, lexical="maybe")  # type: ignore[arg-type]
