"""Improve an index: what is promoted and what is refused, and what the index answers then."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch import Encoder, Index, StandardQuestion, classifier
from semsearch.calibration import calibrate
from semsearch.errors import (
    CorruptIndexError,
    DataError,
    EncoderError,
    EncoderMismatchError,
    IndexBusyError,
)
from semsearch.improvement import classifying, improve, judging, rollback
from semsearch.improvement.classifying import Made
from semsearch.lock import write_lock
from semsearch.spelling import pieces
from tests.improvement.conftest import make_bank, shuffled

ASKED = ["my parcel please", "again the refund now", "hello there"]


@pytest.fixture
def index(tmp_path: Path, built: Path) -> Iterator[Index]:
    with Index.open(shutil.copytree(built, tmp_path / "faq")) as index:
        yield index


@pytest.fixture
def better(tmp_path: Path, improved: Path) -> Iterator[Index]:
    with Index.open(shutil.copytree(improved, tmp_path / "better")) as index:
        yield index


def answers(index: Index) -> str:
    """What query --json prints, to the last digit."""
    return json.dumps([r.to_dict() for r in index.search(ASKED, 5, refused=True)])


def test_a_better_encoder_is_promoted_and_finds_more(index: Index) -> None:
    unseen = [(q.key, text) for q in make_bank(seed=9) for text in q.phrasings]

    def accuracy() -> float:
        results = index.search([text for _, text in unseen], 1, refused=True)
        keys = [result.hits[0].key for result in results]
        return float(np.mean([key == hit for (key, _), hit in zip(unseen, keys, strict=True)]))

    before = accuracy()
    report = improve(index, light=True)
    assert report.promoted and report.mode == "light"
    assert report.reason == "accuracy@1 of phrasings gets better"
    assert accuracy() > before + 0.1
    assert index.verify().ok


def test_before_and_after_are_of_what_was_held_out(index: Index) -> None:
    report = improve(index, light=True)
    assert report.held_out is not None and report.held_out["labelled"] == 0
    by_name = {(figure.of, figure.measure): figure for figure in report.figures}
    assert set(by_name) == {
        ("phrasings", "accuracy_at_1"), ("phrasings", "mrr"), ("new questions", "accuracy_at_1"),
        ("new questions", "mrr"), ("all", "precision"),
    }  # fmt: skip
    # Of a small bank, more than a fifth in turns, and nothing twice.
    assert 150 < by_name["phrasings", "mrr"].n == report.held_out["phrasings"] < 360
    assert 30 < by_name["new questions", "mrr"].n == report.held_out["new_questions"] <= 150
    assert report.held_out["phrasings"] + report.held_out["new_questions"] <= 360
    for figure in report.figures:
        assert 0 <= figure.before <= 1 and figure.low <= figure.gain <= figure.high


def test_the_improved_index_is_calibrated_and_says_what_was_proven(better: Index) -> None:
    info = better.info()
    assert info["calibration"]["source"] == "the bank itself"
    assert info["improved"]["mode"] == "light" and info["improved"]["before"] is None
    assert {figure["measure"] for figure in info["improved"]["figures"]} == {
        "accuracy_at_1", "mrr", "precision",
    }  # fmt: skip
    assert all(result.confidence is not None for result in better.search(ASKED, refused=True))


def test_the_encoder_lives_inside_the_index_and_moves_with_it(
    better: Index, tmp_path: Path
) -> None:
    (folder,) = better.path.glob("encoder-*")
    assert Encoder.load(folder).fingerprint == better.encoder.fingerprint
    expected = answers(better)
    with Index.open(shutil.copytree(better.path, tmp_path / "elsewhere" / "faq")) as moved:
        assert answers(moved) == expected


def test_two_runs_with_one_seed_agree(index: Index, improved: Path) -> None:
    improve(index, light=True)
    with Index.open(improved) as other:
        assert answers(index) == answers(other)


@pytest.mark.parametrize("calibrated", [False, True])
def test_rollback_gives_the_answers_from_before_to_the_last_byte(
    index: Index, calibrated: bool
) -> None:
    if calibrated:
        calibrate(index, precision=0.6, lexical="off")
    before, facts = answers(index), index.info()
    improve(index, light=True)
    assert answers(index) != before
    done = rollback(index)
    assert done is not None and done.encoded == 0 and done.calibrated is calibrated
    assert done.restored == facts["phrasings"]
    assert answers(index) == before
    after = index.info()
    for name in ("encoder", "fingerprint", "improved", "calibration", "score", "dim"):
        assert after[name] == facts[name]
    with Index.open(index.path) as opened_later:
        assert answers(opened_later) == before
    assert rollback(index) is None


def test_an_index_that_counts_words_is_judged_with_them(index: Index) -> None:
    """One word tells the standard questions of this bank apart: a map has less to add to words."""
    before = []
    for lexical in ("off", "on"):
        calibrate(index, lexical=lexical)
        report = improve(index, light=True)
        by_name = {(figure.of, figure.measure): figure for figure in report.figures}
        before.append(by_name["phrasings", "accuracy_at_1"].before)
        assert 0 < by_name["phrasings", "mrr"].before < 1
        if report.promoted:
            rollback(index)
    assert before[1] > before[0] + 0.1


def test_words_count_after_an_improvement_as_before_and_after_its_rollback(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    calibrate(index, lexical="on")
    before, facts = answers(index), index.info()
    weight = facts["lexical"]["weight"]
    monkeypatch.setattr(judging, "verdict", lambda figures: (True, "asked for"))
    asked = [
        {"text": question.phrasings[0] + " !", "key": question.key} for question in make_bank()
    ]
    assert improve(index, light=True, labelled=asked).promoted
    info = index.info()
    assert info["lexical"] == facts["lexical"] and info["calibration"]["lexical"] == weight > 0
    assert all(hit.lexical is not None for hit in index.search(ASKED[0], refused=True)[0].hits)
    again = calibrate(index)
    assert again.lexical.weight == weight and again.calibration.lexical == weight
    assert rollback(index) is not None
    assert (answers(index), index.info()["lexical"]) == (before, facts["lexical"])


@pytest.mark.parametrize("asked", [{"lexical": "on"}, {"score": "best"}])
def test_what_was_not_asked_of_an_improved_encoder_is_not_promised(
    better: Index, asked: dict[str, Any]
) -> None:
    """What it has learnt finds itself: nothing of that tells how sure a query's answer is."""
    calibrate(better)
    before = better.info()["calibration"], answers(better)
    labels = [{"text": f"the {q.key} now", "key": q.key} for q in better.questions()] * 10
    for rows in (None, labels):
        with pytest.raises(DataError, match=r"Improve it again as it is to answer"):
            calibrate(better, rows, **asked)
    assert (better.info()["calibration"], answers(better)) == before
    assert calibrate(better, labels).lexical.weight == better.info()["improved"]["lexical"]


def test_a_bank_that_is_built_again_is_not_as_sure_as_the_improved_one(better: Index) -> None:
    calibrate(better)
    with Index.build(list(better.questions()), better.path, rebuild=True) as again:
        info = again.info()
    assert info["improved"] is None and info["calibration"] is None


def test_what_changed_since_survives_a_rollback(better: Index, tiny_encoder: Encoder) -> None:
    better.add([StandardQuestion("new", "where is the wood stolen")])
    better.add([StandardQuestion("parcel", "my parcel?", "Changed.", ("parcel track",))])
    better.remove(["card"])
    done = rollback(better)
    assert done is not None and done.encoded == 3
    keys = {question.key: question for question in better.questions()}
    assert "card" not in keys and keys["parcel"].answer == "Changed." and "new" in keys
    assert better.verify().ok
    texts = ["where is the wood stolen", "my parcel?", "parcel track", *make_bank()[2].phrasings]
    for text, hit in zip(texts, (r.hits[0] for r in better.search(texts, 1)), strict=True):
        assert (hit.phrasing, round(hit.score, 4)) == (text, 1.0)
    assert better.encoder.fingerprint == tiny_encoder.fingerprint


def test_improving_again_begins_at_the_encoder_from_before(better: Index, built: Path) -> None:
    report = improve(better, light=True, seed=1)
    assert report.promoted
    rollback(better)
    with Index.open(built) as untouched:
        assert answers(better) == answers(untouched)


def test_a_bank_of_twelve_phrasings_is_refused(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    bank = [StandardQuestion(q.key, q.question, "", q.phrasings[:3]) for q in make_bank()[:3]]
    with Index.build(bank, tmp_path / "small", encoder=tiny_encoder_dir) as small:
        before = answers(small)
        report = improve(small, light=True)
        assert not report.promoted and "12 phrasings are too few" in report.reason
        assert answers(small) == before and small.info()["improved"] is None


@pytest.mark.parametrize("seed", range(4))
def test_shuffled_labels_are_refused(tmp_path: Path, tiny_encoder_dir: Path, seed: int) -> None:
    bank = shuffled(make_bank(seed=seed, noise=2), seed)
    with Index.build(bank, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        before = answers(index)
        report = improve(index, light=True)
        assert not report.promoted
        assert any("under the wrong one" in note for note in report.notes)
        assert answers(index) == before


def test_a_language_that_the_encoder_does_not_know_is_said(
    tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    # Greek letters: all of them are one unknown token to the tiny encoder.
    letters = {n: chr(0x3B1 + n % 24) for n in range(26)}
    bank = [
        StandardQuestion(q.key, *("".join(letters[ord(c) % 26] if c != " " else c for c in text)
                                  for text in (q.question, "")),
                         tuple("".join(letters[ord(c) % 26] if c != " " else c for c in text)
                               for text in q.phrasings))
        for q in make_bank()
    ]  # fmt: skip
    with Index.build(bank, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        report = improve(index, light=True)
        assert not report.promoted
        assert any("unknown to" in note for note in report.notes)


def test_labelled_queries_are_learnt_and_held_out_in_halves(index: Index) -> None:
    rows = [
        {"text": text, "key": q.key} for q in make_bank(seed=3, phrasings=4) for text in q.phrasings
    ]
    rows += [{"text": f"who {n} was that", "key": ""} for n in range(30)]
    report = improve(index, labelled=rows, light=True)
    assert report.promoted and report.held_out is not None
    assert report.held_out["labelled"] == 48 + 30
    by_name = {(figure.of, figure.measure): figure for figure in report.figures}
    assert by_name["labelled", "accuracy_at_1"].n == 48
    assert report.calibration is not None
    assert report.calibration.calibration.source == "labelled queries held out"


def test_confident_answers_of_a_log_are_learnt_and_nothing_else_of_it(
    index: Index, tmp_path: Path
) -> None:
    def line(**fields: Any) -> str:
        return json.dumps({"time": "2026-01-01", "score": 0.9, "answered": True, **fields})

    (tmp_path / "log.jsonl").write_text(
        "\n".join([
            line(query="the parcel of mine", key="parcel", confidence=0.99),
            line(query="is it a card", key="card", confidence=0.4),
            line(query="no such", key="gone", confidence=0.99),
            line(query="never", key=None, confidence=0.99, answered=False),
            line(query="what refund", key="card", confidence=0.99, expected="refund"),
        ])
    )  # fmt: skip
    plain = improve(index, light=True)
    rollback(index)
    report = improve(index, log=tmp_path / "log.jsonl", light=True)
    assert report.learnt == plain.learnt + 2
    assert report.held_out == plain.held_out


def test_nothing_is_swapped_while_another_process_writes(index: Index) -> None:
    before = answers(index)
    with write_lock(index.path), pytest.raises(IndexBusyError):
        improve(index, light=True)
    assert answers(index) == before


def test_an_index_that_was_built_again_meanwhile_is_left_alone(
    index: Index, other_tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semsearch.improvement import run

    writing = run.writing

    def first_build(directory: Path, **options: Any) -> Any:
        Index.build(make_bank(), directory, encoder=other_tiny_encoder_dir, rebuild=True).close()
        return writing(directory, **options)

    monkeypatch.setattr(run, "writing", first_build)
    with pytest.raises(IndexBusyError, match="built again while it was improved"):
        improve(index, light=True)


def test_rows_that_came_while_it_learnt_are_encoded_by_the_improved_encoder(
    index: Index, monkeypatch: pytest.MonkeyPatch
) -> None:
    from semsearch.improvement import run

    writing = run.writing

    def first_add(directory: Path, **options: Any) -> Any:
        with Index.open(directory) as other:
            other.add([StandardQuestion("late", "the wood was stolen")])
        return writing(directory, **options)

    monkeypatch.setattr(run, "writing", first_add)
    assert improve(index, light=True).promoted
    hit = index.search("the wood was stolen", 1, refused=True)[0].hits[0]
    assert hit.key == "late" and hit.score == pytest.approx(1, abs=1e-4)


def test_a_reader_that_is_open_during_the_swap_goes_on(index: Index) -> None:
    with Index.open(index.path) as reader:
        before = answers(reader)
        improve(index, light=True)
        assert answers(reader) == answers(index) != before
        rollback(index)
        assert answers(reader) == before


def test_a_reader_with_an_encoder_of_its_own_is_told(index: Index, tiny_encoder_dir: Path) -> None:
    with Index.open(index.path, encoder=tiny_encoder_dir) as reader:
        improve(index, light=True)
        with pytest.raises(EncoderMismatchError):
            reader.search(ASKED)


def test_compact_keeps_what_a_rollback_needs_and_clears_the_rest(index: Index, built: Path) -> None:
    improve(index, light=True)
    index.compact()
    (first,) = index.path.glob("encoder-*")
    improve(index, light=True, seed=5)
    index.compact()
    index.compact()
    (second,) = index.path.glob("encoder-*")
    assert first.name != second.name
    rollback(index)
    index.compact()
    index.compact()
    assert not list(index.path.glob("encoder-*"))
    with Index.open(built) as untouched:
        assert answers(index) == answers(untouched)


def test_a_whitened_index_keeps_the_whitened_encoder_for_a_rollback(
    tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    with Index.build(
        make_bank(noise=3), tmp_path / "faq", encoder=tiny_encoder_dir, whiten=16
    ) as index:
        before = answers(index)
        if not improve(index, light=True).promoted:
            pytest.skip("whitening leaves nothing to gain here")
        index.compact()
        assert len(list(index.path.glob("encoder-*"))) == 2
        rollback(index)
        assert answers(index) == before


def test_a_changed_file_of_the_improved_encoder_is_noticed_and_undone(
    better: Index, built: Path
) -> None:
    (folder,) = better.path.glob("encoder-*")
    with (folder / "selfmade.npz").open("ab") as file:
        file.write(b"x")
    report = better.verify()
    assert not report.ok and folder.name in report.problems[0]
    mend = f"semsearch rollback {better.path}"
    assert mend in report.problems[0]
    with Index.open(better.path) as damaged, pytest.raises(CorruptIndexError, match="rollback"):
        damaged.search(ASKED)
    rollback(better)
    assert better.verify().ok
    with Index.open(better.path) as mended, Index.open(built) as before:
        assert answers(mended) == answers(before)


def test_a_sync_goes_on_with_the_improved_encoder(better: Index) -> None:
    bank = [*make_bank(), StandardQuestion("late", "the wood was stolen")]
    with Index.build(bank, better.path) as synced:
        assert synced.report.added == 1 and synced.report.encoded == 1
        assert synced.info()["improved"] is not None
        assert synced.search("the wood was stolen", 1, refused=True)[0].hits[0].key == "late"


def test_a_rebuild_says_that_the_improvement_is_gone(better: Index) -> None:
    with Index.build(make_bank(), better.path, rebuild=True) as rebuilt:
        assert "improved" in {warning.kind for warning in rebuilt.report.warnings}
        assert rebuilt.info()["improved"] is None
        assert rollback(rebuilt) is None


def test_a_calibration_on_the_bank_goes_by_phrasings_that_were_not_learnt(better: Index) -> None:
    report = calibrate(better)
    held_out = better.info()["improved"]["held_out"]
    asked = held_out["phrasings"] + held_out["new_questions"]
    assert report.calibration.queries["answerable"] == asked < 360


def test_an_encoder_from_before_that_is_gone_leaves_the_improved_one(
    tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    encoder = shutil.copytree(tiny_encoder_dir, tmp_path / "encoder")
    with Index.build(make_bank(), tmp_path / "faq", encoder=encoder) as index:
        improve(index, light=True)
        after = answers(index)
        shutil.rmtree(encoder)
        with pytest.raises(EncoderError):
            rollback(index)
        assert answers(index) == after


def test_a_classifier_counts_beside_the_cosines_until_a_rollback(better: Index) -> None:
    settings = better.info()["improved"]["settings"]
    assert settings["classifier"] in classifying.WEIGHTS[1:]
    folders = [path.parent for path in better.path.glob(f"encoder-*/{classifier.FILE}")]
    assert len(folders) == 1
    with better._reader.reading() as meta:
        assert folders[0].name == meta.encoder.source
    with_it = answers(better)
    (result,) = better.search(["hello please refund"], 3, refused=True)
    better._view = None
    (folders[0] / classifier.FILE).write_bytes(b"torn")
    with pytest.raises(CorruptIndexError, match="semsearch rollback INDEX"):
        better.search(ASKED)
    rollback(better)
    assert answers(better) != with_it and better.verify().ok
    assert result.hits[0].key == "refund"


def test_a_standard_question_that_came_after_improve_is_found(better: Index) -> None:
    for phrasing in ("thanks umbrella again", "my umbrella online"):
        better.add([StandardQuestion("umbrella", "umbrella?", "", (phrasing, "umbrella here"))])
    (result,) = better.search(["my umbrella online"], 1, refused=True)
    assert result.hits[0].key == "umbrella" and result.hits[0].score == pytest.approx(1, abs=1e-4)


def test_two_standard_questions_are_told_apart_and_one_is_nothing_to_learn(
    tiny_encoder: Encoder,
) -> None:
    bank = make_bank()[:2]
    texts = [text for question in bank for text in question.phrasings]
    vectors = tiny_encoder.encode(texts)
    questions = np.repeat([4, 9], len(texts) // 2)
    found = classifying.fit(texts, vectors, questions, 0.1, Made()).opinions(texts, vectors)
    likeliest = [int(opinion.best(1, np.zeros(0, np.int64))[0]) for opinion in found]
    assert np.mean(np.array(likeliest) == questions) > 0.9
    assert classifying.choose(texts, vectors, np.full(len(texts), 4), "top3", 0, Made()) == 0


def test_a_classifier_that_does_not_help_counts_nothing() -> None:
    rng = np.random.default_rng(0)
    vectors = rng.normal(size=(60, 8)).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    often = np.concatenate([vectors] * 4)  # each is found by itself, whatever is learnt
    silent = ["?"] * 5000
    assert (
        classifying.choose(silent[:240], often, np.tile(np.arange(60), 4), "best", 0, Made()) == 0
    )
    few = np.arange(60) // 2
    assert classifying.choose(silent[:60], vectors, few, "best", 0, Made()) == 0
    spread = np.arange(5000)
    nothing = np.zeros((5000, 2), np.float32)
    assert classifying.choose(silent, nothing, spread // 2, "best", 0, Made()) == 0


def _by_words() -> tuple[list[str], np.ndarray, np.ndarray]:
    """Phrasings of six standard questions whose words tell them apart, and whose vectors do not."""
    rng = np.random.default_rng(0)
    words = ("card", "refund", "parcel", "退款", "密码", "invoice")
    questions = np.repeat(np.arange(6), 20)
    texts = [f"{words[question]} {n % 7} please" for n, question in enumerate(questions)]
    vectors = rng.normal(size=(120, 8)).astype(np.float32)
    return texts, vectors / np.linalg.norm(vectors, axis=1, keepdims=True), questions


def test_the_classifier_is_the_logistic_regression_of_vectors_and_words() -> None:
    from sklearn.linear_model import LogisticRegression  # this module is imported without it, too

    texts, vectors, questions = _by_words()
    vectors = vectors + np.float32(0.7)  # far from their middle, as those of an encoder are
    known = classifying.fit(texts, vectors, questions, 1.0, Made())
    assert known.spelling is not None
    words = np.zeros((len(texts), len(known.spelling.vocabulary.pieces)))
    for row, text in zip(words, texts, strict=True):
        places, values = known.spelling.vocabulary.row(pieces(text))
        row[places] = values
    rows = np.concatenate([vectors, words], axis=1)
    plain = LogisticRegression(C=10.0, max_iter=2000, tol=1e-6).fit(rows, questions)
    said = [opinion.of(known.questions) for opinion in known.opinions(texts, vectors)]
    expected = np.maximum(plain.predict_log_proba(rows), classifier.FLOOR)
    assert np.abs(np.stack(said) - expected).max() < 0.1


def test_words_tell_apart_what_vectors_do_not(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, vectors, questions = _by_words()
    known = classifying.fit(texts, vectors, questions, 1.0, Made())
    said = known.opinions(["my cards?", "怎么退款"], np.zeros((2, 8), np.float32))
    assert [int(one.best(1, np.zeros(0, np.int64))[0]) for one in said] == [0, 3]
    assert classifying.choose(texts, vectors, questions, "best", 0, Made()) > 0
    again = classifying.fit(texts, vectors, questions, 1.0, Made())
    assert known.spelling is not None and again.spelling is not None
    assert known.spelling.vocabulary.pieces == again.spelling.vocabulary.pieces
    assert (known.spelling.weights == again.spelling.weights).all()
    monkeypatch.setattr(classifying, "_MOST_WEIGHTS", 60)
    few = classifying.fit(texts, vectors, questions, 1.0, Made()).spelling
    assert few is not None and few.weights.shape == (10, 6)


def test_a_large_bank_is_asked_in_two_halves(monkeypatch: pytest.MonkeyPatch) -> None:
    texts, vectors, questions = _by_words()
    monkeypatch.setattr(classifying, "_MANY", 0)
    assert classifying.choose(texts, vectors, questions, "best", 0, Made()) > 0
    alone = questions.copy()
    alone[::10] = 6 + np.arange(12) // 2  # pairs, of which both may be asked
    for seed in range(3):
        chosen = classifying.choose(texts, vectors, alone, "best", seed, Made())
        assert chosen == classifying.choose(texts, vectors, alone, "best", seed, Made()) > 0


def test_words_are_left_out_where_their_fit_takes_too_long_or_none_comes_twice(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts, vectors, questions = _by_words()
    assert classifying.fit(["?"] * 120, vectors, questions, 1.0, Made()).spelling is None
    monkeypatch.setattr(classifying, "_MOST_SPELT", 119 * 6)
    assert classifying.fit(texts, vectors, questions, 1.0, Made()).spelling is None


@pytest.mark.parametrize("lexical", ["on", "off"])
def test_what_was_removed_after_improve_is_not_looked_for(better: Index, lexical: str) -> None:
    """The classifier still knows it, and thinks it the likeliest."""
    key = list(better.questions())[-1].key
    better.remove([key])
    (result,) = better.search([f"my {key} please"], 3, refused=True, lexical=lexical)  # type: ignore[arg-type]
    assert result.hits and key not in {hit.key for hit in result.hits}
    rows = [{"text": f"the {q.key} now", "key": q.key} for q in better.questions()]
    calibrate(better, rows * 2)
    (again,) = better.search([f"my {key} please"], 3, refused=True)
    assert key not in {hit.key for hit in again.hits}
