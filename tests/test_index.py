"""From a table to answers, and back in sync when the table changes."""

from __future__ import annotations

import csv
import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch import Encoder, Index, StandardQuestion
from semsearch.errors import (
    ConfirmationError,
    DataError,
    EncoderMismatchError,
    IndexBusyError,
    IndexNotFoundError,
)
from semsearch.lock import write_lock
from tests.conftest import build_tiny_encoder

BANK = [
    StandardQuestion("refund", "How do I get a refund?", "Within 5 days.", ("money back please",)),
    StandardQuestion("track", "Where is my parcel?", "See the app.", ("track my package",)),
    StandardQuestion("card", "My card was stolen", "Call us.", ("lost card", "card is lost")),
    StandardQuestion(
        "hours", "营业时间是什么时候", "九点到五点。", ("几点开门",), {"城市": "上海"}
    ),
]


class Counting(Encoder):
    """An encoder that remembers which texts it was asked to encode."""

    def __init__(self, inner: Encoder) -> None:
        self.__dict__.update(inner.__dict__)
        self.seen: list[str] = []

    def embed_batches(self, texts: Sequence[str], **options: Any) -> Any:
        self.seen += texts
        return super().embed_batches(texts, **options)


@pytest.fixture
def path(tmp_path: Path, tiny_encoder_dir: Path) -> Path:
    Index.build(BANK, tmp_path / "faq", encoder=tiny_encoder_dir, score="best").close()
    return tmp_path / "faq"


def _brute_force(encoder: Encoder, bank: Sequence[StandardQuestion], query: str) -> list[str]:
    vector = encoder.encode([query])[0]
    scores = {q.key: float(max(encoder.encode(q.texts) @ vector)) for q in bank}
    return sorted(scores, key=lambda key: -scores[key])


@pytest.mark.parametrize("query", ["lost card", "where is my package?", "开门时间", "refund money"])
def test_search_returns_what_a_brute_force_search_returns(
    path: Path, tiny_encoder: Encoder, query: str
) -> None:
    with Index.open(path) as index:
        (result,) = index.search(query, 4)
    assert [hit.key for hit in result.hits] == _brute_force(tiny_encoder, BANK, query)
    assert [hit.rank for hit in result.hits] == [1, 2, 3, 4]


def test_a_hit_brings_all_that_the_owner_wrote(path: Path) -> None:
    with Index.open(path) as index:
        hit = index.search("几点开门", 1)[0].hits[0]
    assert (hit.key, hit.question, hit.answer) == ("hours", "营业时间是什么时候", "九点到五点。")
    assert (hit.phrasing, hit.fields) == ("几点开门", {"城市": "上海"})
    assert hit.score == pytest.approx(1, abs=1e-5)


def test_min_score_leaves_queries_unanswered(path: Path) -> None:
    with Index.open(path) as index:
        exact, none = index.search(["lost card", "zzz qqq xxx"], 3, min_score=0.999)
    assert exact.answered and len(exact.hits) == 1
    assert not none.answered and none.to_dict() == {
        "query": "zzz qqq xxx", "answered": False, "confidence": None, "hits": []
    }  # fmt: skip


def test_many_queries_come_back_in_their_order(path: Path) -> None:
    queries = [text for question in BANK for text in question.texts] * 300
    with Index.open(path) as index:
        results = index.search(queries, 1)
    assert [result.query for result in results] == queries
    assert all(result.hits[0].phrasing == result.query for result in results)


def test_sync_changes_only_what_changed(path: Path, tiny_encoder: Encoder) -> None:
    counting = Counting(tiny_encoder)
    edited = [
        BANK[0],
        replace(BANK[1], answer="See the website."),
        replace(BANK[2], phrasings=("lost card", "somebody took my card")),
        StandardQuestion("new", "Do you ship abroad?"),
    ]
    with Index.build(edited, path) as index:
        index._encoder = counting
        report = index.report
        assert (report.added, report.changed, report.removed, report.unchanged) == (1, 2, 1, 1)
        assert report.encoded == 2  # one new phrasing, one new question
        assert list(index.questions()) == [*edited[:3], edited[3]]
        assert index.verify().ok
        for query in ("took my card", "ship", "营业时间"):
            (result,) = index.search(query, 4)
            assert [hit.key for hit in result.hits] == _brute_force(tiny_encoder, edited, query)


def test_an_unchanged_table_writes_nothing(path: Path) -> None:
    before = {file.name: file.read_bytes() for file in path.glob("*.faiss")}
    with Index.build(BANK, path) as index:
        assert index.report.unchanged == 4 and index.report.encoded == 0
        assert index.info()["generation"] == 2
    assert {file.name: file.read_bytes() for file in path.glob("*.faiss")} == before


def test_a_renamed_key_takes_its_vectors_along(path: Path) -> None:
    renamed = [*BANK[:3], replace(BANK[3], key="opening")]
    with Index.build(renamed, path) as index:
        assert (index.report.added, index.report.removed, index.report.encoded) == (1, 1, 0)
        assert index.search("几点开门", 1)[0].hits[0].key == "opening"


def test_add_changes_and_adds_but_never_removes(path: Path) -> None:
    with Index.open(path) as index:
        report = index.add([StandardQuestion("refund", "Refund?", "No."), BANK[1]])
        assert (report.added, report.changed, report.removed, report.unchanged) == (0, 1, 0, 1)
        assert len(index) == 4
        assert index.search("Refund?", 1)[0].hits[0].answer == "No."
        assert "money back please" not in {t for q in index.questions() for t in q.texts}


def test_remove_takes_keys_and_refuses_unknown_ones(path: Path) -> None:
    with Index.open(path) as index:
        with pytest.raises(DataError, match="key 'nope' is not in the index"):
            index.remove(["card", "nope"])
        assert len(index) == 4
        assert index.remove(["card"]).removed == 1
        assert "card" not in [hit.key for hit in index.search("lost card", 4)[0].hits]
        assert index.verify().ok


def test_one_key_is_one_key_and_keys_may_come_one_by_one(
    tmp_path: Path, tiny_encoder: Encoder
) -> None:
    rows = [StandardQuestion(key, f"question {key}") for key in ("1", "2", "12", "3")]
    with Index.build(rows, tmp_path / "faq", encoder=tiny_encoder) as index:
        assert index.remove("12").removed == 1
        assert index.remove(key for key in ["3"]).removed == 1
        assert [question.key for question in index.questions()] == ["1", "2"]


@pytest.mark.parametrize(
    "bad",
    [
        StandardQuestion(None, "q"),  # type: ignore[arg-type]
        StandardQuestion("k", "q", None),  # type: ignore[arg-type]
        StandardQuestion("k", "q", "a", "hello"),  # type: ignore[arg-type]
        StandardQuestion("k", "q", "a", (1,)),  # type: ignore[arg-type]
        StandardQuestion("k", " "),
        StandardQuestion("", "q"),
        StandardQuestion("k", "q\0z"),
        StandardQuestion("k", "q", fields={"a": "\ud800"}),
        StandardQuestion("k", "q", fields=[("a", 1)]),  # type: ignore[arg-type]
    ],
)
def test_a_standard_question_that_cannot_be_kept_is_named(
    path: Path, tmp_path: Path, bad: StandardQuestion
) -> None:
    with Index.open(path) as index:
        with pytest.raises(DataError, match="standard question 2 "):
            index.add([BANK[0], bad])
        assert len(index) == 4 and index.verify().ok


def test_a_name_or_a_score_that_is_none_is_refused(
    tmp_path: Path, tiny_encoder: Encoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    for path, score in (("", None), ("faq", "avg")):
        with pytest.raises(ValueError, match=r"empty|avg"):
            Index.build(BANK, path, encoder=tiny_encoder, score=score)  # type: ignore[arg-type]
    assert not list(tmp_path.iterdir())


def test_fields_are_what_json_has_a_word_for(path: Path) -> None:
    fields = {"n": np.int64(3), "nan": float("nan"), 1: "one", "list": ["a"]}
    with Index.open(path) as index:
        index.add([StandardQuestion("new", "quite new", fields=fields)])  # type: ignore[arg-type]
        (result,) = index.search("quite new", 1)
    assert result.hits[0].fields == {"n": 3, "nan": None, "1": "one", "list": '["a"]'}


def test_an_index_that_was_closed_says_so(path: Path) -> None:
    index = Index.open(path)
    index.close()
    with pytest.raises(ValueError, match="was closed"):
        index.search("parcel")


def test_removing_more_than_half_asks_first(path: Path) -> None:
    with pytest.raises(ConfirmationError, match="remove 3 of 4"):
        Index.build(BANK[:1], path)
    with Index.open(path) as index:
        assert len(index) == 4
    with Index.build(BANK[:1], path, allow_removal=True) as index:
        assert [question.key for question in index.questions()] == ["refund"]


def test_an_emptied_index_answers_nothing_and_fills_again(path: Path) -> None:
    with Index.open(path) as index:
        index.remove([question.key for question in BANK])
        assert not index.search("lost card")[0].answered
        index.compact()
        assert not index.search("lost card")[0].answered
        assert index.verify().ok
        index.add(BANK[:2])
        assert index.search("track my package", 1)[0].hits[0].key == "track"


def test_compact_keeps_every_answer(path: Path) -> None:
    with Index.open(path) as index:
        index.add([StandardQuestion(f"k{n}", f"question number {n}") for n in range(30)])
        index.remove(["refund", "k3"])
        queries = ["lost card", "question number 7", "refund"]
        before = index.search(queries, 10)
        index.compact()
        assert index.info()["in_snapshot"] == index.info()["phrasings"]
        after = index.search(queries, 10)
        assert [r.to_dict() for r in after] == [r.to_dict() for r in before]
        assert len(list(path.glob("vectors-*.faiss"))) <= 2


def test_an_open_index_sees_what_another_one_wrote(path: Path) -> None:
    with Index.open(path) as reader, Index.open(path) as writer:
        assert reader.search("do you sell bikes", 1)[0].hits[0].key != "bike"
        writer.add([StandardQuestion("bike", "Do you sell bikes?")])
        assert reader.search("do you sell bikes?", 1)[0].hits[0].key == "bike"
        writer.compact()
        assert reader.search("do you sell bikes?", 1)[0].hits[0].key == "bike"


def test_rows_and_frames_build_the_same_bank(tmp_path: Path, tiny_encoder: Encoder) -> None:
    pandas = pytest.importorskip("pandas")
    polars = pytest.importorskip("polars")
    rows = [
        {"key": "a", "question": "Where?", "answer": "There."},
        {"key": "b", "question": "Who?"},
    ]
    full = [{"answer": "", **row} for row in rows]
    banks = []
    for name, source in [
        ("rows", rows), ("iterator", iter(rows)),
        ("pandas", pandas.DataFrame(full)), ("polars", polars.DataFrame(full)),
    ]:  # fmt: skip
        with Index.build(source, tmp_path / name, encoder=tiny_encoder) as index:
            banks.append(list(index.questions()))
    assert banks[0] == banks[1] == banks[2] == banks[3] and len(banks[0]) == 2


def test_a_bank_file_is_synced_by_its_path(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    table = tmp_path / "bank.csv"
    with table.open("w", encoding="gb18030", newline="") as file:
        writer = csv.writer(file)
        writer.writerow(["标准问", "答案", "相似问1", "相似问2"])
        writer.writerow(["怎么退款", "五天内到账", "退钱", "我要退款"])
        writer.writerow(["包裹在哪里", "请看订单页面", "快递到哪了", ""])
    with Index.build(table, tmp_path / "faq", encoder=tiny_encoder_dir) as index:
        assert index.search("快递到哪了", 1)[0].hits[0].answer == "请看订单页面"
        keys = [question.key for question in index.questions()]
        index.sync(table)
        assert index.report.unchanged == 2
    rows = table.read_bytes().splitlines()
    table.write_bytes(b"\n".join([rows[0], rows[2], rows[1]]))  # rows move, keys do not
    with Index.build(table, tmp_path / "faq") as index:
        assert index.report.unchanged == 2
        assert [question.key for question in index.questions()] == keys


def test_an_interrupted_build_goes_on_where_it_stopped(
    tmp_path: Path, tiny_encoder: Encoder
) -> None:
    bank = [
        StandardQuestion(f"k{n}", f"question {'very ' * (n % 9)}number {n}") for n in range(400)
    ]
    counting = Counting(tiny_encoder)

    def stop(done: int, total: int) -> None:
        if done > total / 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        Index.build(bank, tmp_path / "faq", encoder=counting, progress=stop)
    with pytest.raises(IndexNotFoundError):
        Index.open(tmp_path / "faq")
    counting.seen.clear()
    with Index.build(bank, tmp_path / "faq", encoder=counting) as index:
        assert index.report.encoded == len(counting.seen)
    assert 0 < len(counting.seen) < 200
    with Index.open(tmp_path / "faq", encoder=tiny_encoder) as index:
        assert index.verify().ok
        vectors = tiny_encoder.encode([question.question for question in bank])
        _, stored = index._reader.newer(_meta(index), use_snapshot=False)
        np.testing.assert_allclose(stored, vectors, atol=1e-6)
    assert not (tmp_path / "faq" / "pending.vectors").exists()


def _meta(index: Index) -> Any:
    with index._reader.reading() as meta:
        return meta


def test_a_second_writer_is_told_or_waits(path: Path) -> None:
    with write_lock(path):
        with pytest.raises(IndexBusyError, match="another process is writing"):
            Index.build(BANK, path)
        with pytest.raises(IndexBusyError):
            Index.build(BANK, path, wait_seconds=0.2)
        with Index.open(path) as index:  # readers do not mind
            assert index.search("lost card", 1)[0].answered
    Index.build(BANK, path, wait_seconds=5).close()


def test_another_encoder_is_refused_with_both_names(
    path: Path, tiny_encoder_dir: Path, other_tiny_encoder_dir: Path
) -> None:
    for refused in (
        lambda: Index.open(path, encoder=other_tiny_encoder_dir),
        lambda: Index.build(BANK, path, encoder=other_tiny_encoder_dir),
        lambda: Index.build(BANK, path, pooling="max"),
    ):
        with pytest.raises(EncoderMismatchError) as caught:
            refused()
        assert str(tiny_encoder_dir) in str(caught.value)
    with pytest.raises(EncoderMismatchError, match=str(other_tiny_encoder_dir)):
        Index.open(path, encoder=other_tiny_encoder_dir)


def test_an_encoder_that_changed_under_its_name_is_noticed(
    tmp_path: Path, tiny_encoder_dir: Path, other_tiny_encoder_dir: Path
) -> None:
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder_dir, encoder)
    Index.build(BANK, tmp_path / "faq", encoder=encoder).close()
    shutil.rmtree(encoder)
    shutil.copytree(other_tiny_encoder_dir, encoder)
    changed = pytest.raises(EncoderMismatchError, match=r"was built with another .*--rebuild")
    with Index.open(tmp_path / "faq") as index, changed:
        index.search("lost card")


def test_the_same_weights_in_another_precision_open_after_the_canary(
    path: Path, tiny_fp16_dir: Path
) -> None:
    with Index.open(path) as index, Index.open(path, encoder=tiny_fp16_dir) as half:
        one, two = index.search("lost card", 4)[0], half.search("lost card", 4)[0]
    assert [hit.key for hit in one.hits] == [hit.key for hit in two.hits]


def test_the_canary_refuses_other_weights_that_claim_to_be_the_same(
    path: Path, tmp_path: Path
) -> None:
    """Half precision is a licence to look closer, not to pass."""
    other = build_tiny_encoder(tmp_path / "enc", seed=2, dtype=np.dtype(np.float16))
    with pytest.raises(EncoderMismatchError, match="cosine of"):
        Index.open(path, encoder=other)


def test_rebuild_takes_another_encoder_and_readers_follow(
    path: Path, other_tiny_encoder_dir: Path
) -> None:
    with Index.open(path) as reader:
        reader.search("lost card")
        with Index.build(BANK, path, encoder=other_tiny_encoder_dir, rebuild=True) as index:
            assert index.report.encoded == 9
            assert index.verify().ok
            expected = _brute_force(Encoder.load(other_tiny_encoder_dir), BANK, "lost card")
            assert [hit.key for hit in index.search("lost card", 4)[0].hits] == expected
        with pytest.raises(EncoderMismatchError):
            reader.search("lost card")  # its encoder is not the one any more


def test_whitening_is_kept_inside_the_index(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    bank = [StandardQuestion(f"k{n}", f"question number {n} about card {n % 7}") for n in range(80)]
    path = tmp_path / "faq"
    with Index.build(bank, path, encoder=tiny_encoder_dir, whiten=8) as index:
        assert (index.info()["dim"], index.info()["whitened"]) == (8, True)
        for question in bank[::9]:
            hit = index.search(question.question, 1)[0].hits[0]
            assert (hit.key, round(hit.score, 4)) == (question.key, 1.0)
        assert index.verify().ok
    with Index.build([*bank, StandardQuestion("more", "something else")], path) as index:
        assert (index.report.added, index.report.encoded) == (1, 1)
        assert index.search("something else", 1)[0].hits[0].score == pytest.approx(1, abs=1e-4)
    Index.build(bank, path, encoder=tiny_encoder_dir, whiten=8).close()
    with pytest.raises(EncoderMismatchError, match="whitened to 8"):
        Index.build(bank, path, whiten=16)
    with Index.build(bank, path, whiten=16, rebuild=True) as index:
        assert index.info()["dim"] == 16
        assert index.search(bank[3].question, 1)[0].hits[0].key == "k3"
    assert len(list(path.glob("encoder-*"))) <= 2


def test_a_rebuild_with_another_encoder_keeps_the_whitening(
    tmp_path: Path, tiny_encoder_dir: Path, other_tiny_encoder_dir: Path
) -> None:
    bank = [StandardQuestion(f"k{n}", f"question number {n}") for n in range(40)]
    path = tmp_path / "faq"
    Index.build(bank, path, encoder=tiny_encoder_dir, whiten=8, pooling="max").close()
    with Index.open(path) as index:
        before = index.info()["fingerprint"]
    with Index.build(bank, path, rebuild=True) as index:
        assert index.info()["fingerprint"] == before  # the same pooling, whitened the same way
    Index.build(bank, path, encoder=tiny_encoder_dir).close()  # pooling and whitening as it has
    with Index.build(bank, path, encoder=other_tiny_encoder_dir, rebuild=True) as index:
        assert (index.info()["whitened"], index.info()["dim"]) == (True, 8)
        assert index.search("question number 7", 1)[0].hits[0].key == "k7"


def test_whitening_can_be_fitted_on_other_texts(tmp_path: Path, tiny_encoder_dir: Path) -> None:
    texts = [f"{word} number {n}" for n in range(60) for word in ("card", "refund")]
    with Index.build(
        BANK, tmp_path / "faq", encoder=tiny_encoder_dir, whiten=8, whiten_on=texts
    ) as index:
        assert index.info()["dim"] == 8
        assert index.search("lost card", 1)[0].hits[0].key == "card"


def test_score_is_kept_and_can_be_changed(path: Path) -> None:
    with Index.build(BANK, path, score="top3") as index:
        assert index.info()["score"] == "top3"
        top3 = index.search("lost my card", 1)[0].hits[0].score
        best = index.search("lost my card", 1, score="best")[0].hits[0].score
        assert best > top3
    with pytest.raises(ValueError, match="best, top3"):
        Index.open(path).search("x", score="worst")  # type: ignore[arg-type]


def test_warnings_name_what_reads_badly(tmp_path: Path, tiny_encoder: Encoder) -> None:
    bank = [
        StandardQuestion("a", "lost card " * 200),
        StandardQuestion("b", "żółć ђђђ ψψψ ωωω ξξξ"),
        StandardQuestion("c", "Where is my parcel?"),
        StandardQuestion("d", "Where is my parcel?"),
    ]
    with Index.build(bank, tmp_path / "faq", encoder=tiny_encoder) as index:
        warnings = {warning.kind: warning for warning in index.report.warnings}
    assert set(warnings) == {"too_long", "unknown_tokens", "same_question"}
    assert all(warning.count == 1 and warning.examples for warning in warnings.values())
    assert "c, d" in warnings["same_question"].examples[0]


def test_no_torch_is_imported_to_answer(path: Path) -> None:
    code = (
        "import sys; from semsearch import Index\n"
        "with Index.open(sys.argv[1]) as index: assert index.search('lost card')[0].answered\n"
        "slow = {'torch', 'transformers', 'sentence_transformers', 'sklearn', 'scipy', 'pandas',\n"
        "        'sqlite_utils', 'pyarrow'}\n"
        "assert not slow & set(sys.modules), slow & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(path)], check=True, env=dict(os.environ))
