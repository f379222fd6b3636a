"""Words count where held-out queries say that they help, or say nothing."""

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


def test_the_weight_that_helps_most_is_taken() -> None:
    found = decide(_right(400, w0_2=0.7), None)
    assert found.weight == 0.2 and found.source == "the bank itself" and found.queries == 400
    assert found.vectors == 0.5 and found.both == pytest.approx(0.7)
    assert found.low is not None and 0.1 < found.low < 0.2
    assert "words count (weight 0.2)" in str(found) and "+0.200 [+0.1" in str(found)
    assert str(found).endswith("on the bank itself")


def test_where_a_bank_says_nothing_it_is_as_elsewhere() -> None:
    usual = WEIGHTS[int(np.argmax(mixing.ELSEWHERE))]
    for own in (_right(400), _right(10), _right(0)):
        assert decide(own, None).weight == usual
    assert "too few to prove" in str(decide(_right(400), None))
    assert decide(_right(0), None).source == "other banks"


def test_a_bank_that_says_otherwise_outvotes_the_others() -> None:
    worse = {f"w{weight:g}".replace(".", "_"): 0.48 for weight in WEIGHTS[1:]}
    found = decide(_right(400, **worse), None)
    assert found.weight == 0 and "words do not count" in str(found)
    assert "too few" not in str(found)
    assert decide(_right(100, **worse), None).weight > 0, "two queries are chance"


def test_in_a_large_bank_words_must_be_shown_to_help() -> None:
    for own in (_right(400), _right(400, w0_2=0.505), _right(10, w0_2=1.0)):
        assert decide(own, None, large=True).weight == 0
        assert decide(own, None, "on", large=True).weight > 0
    random = np.random.default_rng(3)
    noise = random.random((300, len(WEIGHTS))) < 0.5  # some weight is best by luck
    assert decide((noise, np.arange(300)), None, large=True).weight == 0
    assert decide(_right(400, w0_2=0.7), None, large=True).weight == 0.2


def test_labels_and_the_bank_count_together() -> None:
    bank_says = _right(400, w0_2=0.7)
    found = decide(_right(400), _right(200, w0_3=0.8)[0])
    assert found.weight == 0.3 and found.source == "the bank itself and labels"
    assert found.queries == 600
    worse = {f"w{weight:g}".replace(".", "_"): 0.05 for weight in WEIGHTS[1:]}
    assert decide(bank_says, _right(200, **worse)[0]).weight == 0, "they speak against it"
    assert decide(bank_says, _right(200)[0]).weight == 0.2, "they say nothing"
    nobody = np.zeros((0, len(WEIGHTS)), bool), np.zeros(0, np.int64)
    assert decide(nobody, _right(200, w0_3=0.8)[0]).source == "labels"


def test_what_is_expected_of_a_bank_was_measured() -> None:
    results = Path(__file__).parents[2] / "benchmarks" / "results" / "hybrid.json"
    english = ("banking77", "clinc150", "hwu64", "shop")
    gains = [
        np.subtract(row["by_weight"], row["by_weight"][0])
        for row in json.loads(results.read_text("utf-8"))["banks"]
        if row["calibrated_on"] == "labels" and row["queries"] >= 100
        if row["encoder"] == "embedded" or row["bank"].startswith(english)
    ]
    assert len(gains) == 24
    np.testing.assert_allclose(200 * np.mean(gains, axis=0), mixing.ELSEWHERE, atol=0.06)


def test_it_can_be_asked_for_or_not() -> None:
    worse = _right(400, **{f"w{w:g}".replace(".", "_"): 0.2 for w in WEIGHTS[1:]})
    assert decide(worse, None, "on").weight == WEIGHT, "as in an index that is not calibrated"
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
