"""One byte of an index is not what was written: an error, or the right answer."""

from __future__ import annotations

import json
import logging
import os
import random
import shutil
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from semsearch import Encoder, Index, SemsearchError
from semsearch.cli import cli
from semsearch.encoder import export
from semsearch.encoder.config import read_layout
from semsearch.errors import CorruptIndexError
from semsearch.pending import Pending
from tests.robustness import killing
from tests.robustness.banks import check_search, contents
from tests.robustness.processes import Server

QUERIES = ["card number 3", "where is my parcel 17", "somewhere else", "怎么退款"]

Answers = Any


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    """An index with a snapshot, newer rows, tombstones and free pages."""
    path = tmp_path_factory.mktemp("built") / "faq"
    killing.build(path, str(tiny_encoder_dir))
    killing.sync(path, str(tiny_encoder_dir))
    with sqlite3.connect(path / "questions.db") as connection:  # nothing may lie in the log
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    connection.close()
    _drop_log(path)
    return path


@pytest.fixture
def path(tmp_path: Path, built: Path) -> Path:
    return Path(shutil.copytree(built, tmp_path / "faq"))


@contextmanager
def flipped(file: Path, offset: int, bits: int) -> Iterator[None]:
    """The file with some bits of one byte turned over; as it was, afterwards."""
    before = file.read_bytes()
    after = bytearray(before)
    after[offset] ^= bits
    _write(file, bytes(after))
    try:
        yield
    finally:
        _write(file, before)


def _write(file: Path, data: bytes) -> None:
    file.write_bytes(data)
    # Whatever the clock's grain, the file is known to have changed.
    stat = file.stat()
    _write.clock += 1_000_000  # type: ignore[attr-defined]
    os.utime(file, ns=(stat.st_atime_ns, stat.st_mtime_ns + _write.clock))  # type: ignore[attr-defined]


_write.clock = 0  # type: ignore[attr-defined]


def _drop_log(path: Path) -> None:
    for file in path.glob("questions.db-*"):
        file.unlink()


def _answers(path: Path, encoder: Encoder | None) -> Answers:
    """All that an index says: its bank, and the answers by both scores."""
    with Index.open(path, encoder=encoder) as index:
        bank = list(index.questions())
        found = [
            [
                (hit.score, (hit.key, hit.question, hit.answer, hit.phrasing, hit.fields))
                for hit in result.hits
            ]
            for score in ("best", "top3")
            for where in (None, "answer IS NOT NULL AND key > 'k' AND question NOT LIKE '%1%'")
            for result in index.search(QUERIES, 8, score=score, where=where)  # type: ignore[arg-type]
        ]
        found += [
            [(hit.score, (hit.key, hit.answer, hit.lexical)) for hit in result.hits]
            for result in index.search(QUERIES, 8, lexical="on")
        ]
    return bank, found


def _same(answers: Answers, right: Answers) -> bool:
    """Whether two indexes say the same; only hits that score alike may change places."""
    if answers[0] != right[0]:
        return False
    for found, wanted in zip(answers[1], right[1], strict=True):
        scores, expected = [score for score, _ in found], [score for score, _ in wanted]
        if scores != pytest.approx(expected, abs=1e-6):
            return False
        for score, hit in found:
            near = [other for at, other in wanted if abs(at - score) < 2e-6]
            if hit not in near and score > expected[-1] + 2e-6:
                return False
    return True


def _flips(size: int, n: int, seed: int) -> list[tuple[int, int]]:
    """n places in a file, each with the bits to turn: one, or all of them."""
    chance = random.Random(seed)
    header = [(offset, 0xFF) for offset in range(0, min(size, 100), 7)]
    return header + [
        (chance.randrange(size), chance.choice([0xFF, 1 << chance.randrange(8)]))
        for _ in range(n - len(header))
    ]


def _say_or_be_right(path: Path, encoder: Encoder | None, right: Answers) -> str:
    try:
        answers = _answers(path, encoder)
    except SemsearchError as error:
        assert "\n" not in str(error)
        return type(error).__name__
    finally:
        _drop_log(path)
    assert _same(answers, right)
    return "right"


def _read_flips(path: Path, encoder: Encoder, n: int) -> Counter[str]:
    right = _answers(path, encoder)
    file = path / "questions.db"
    tally: Counter[str] = Counter()
    for offset, bits in _flips(file.stat().st_size, n, seed=1):
        with flipped(file, offset, bits):
            tally[_say_or_be_right(path, encoder, right)] += 1
    assert tally["CorruptIndexError"] > n / 8
    return tally


def test_no_flipped_byte_in_the_database_changes_an_answer(
    path: Path, tiny_encoder: Encoder
) -> None:
    _read_flips(path, tiny_encoder, 400)


@pytest.mark.slow
def test_no_flipped_byte_of_ten_thousand_changes_an_answer(
    path: Path, tiny_encoder: Encoder
) -> None:
    print(_read_flips(path, tiny_encoder, 10_000))


def test_a_flipped_byte_is_told_by_verify(path: Path, tiny_encoder: Encoder) -> None:
    """Of what is read: a byte that no row uses is nobody's loss."""
    file = path / "questions.db"
    row = file.read_bytes().index(b"parcel 20")
    with flipped(file, row, 1):
        result = CliRunner().invoke(cli, ["verify", str(path)])
        assert result.exit_code == 1 and len(result.output.splitlines()) == 1
        assert "is damaged" in result.output and f"delete {path}" in result.output
        asked = json.loads(CliRunner().invoke(cli, ["verify", str(path), "--json"]).output)
        assert asked["ok"] is False and len(asked["problems"]) == 1
    (snapshot,) = path.glob("vectors-*.faiss")
    with flipped(snapshot, 5000, 1):
        result = CliRunner().invoke(cli, ["verify", str(path)])
        assert result.exit_code == 1 and "compact" in result.output


def _write_over(path: Path, op: str, encoder: Encoder) -> None:
    with Index.open(path) as index:
        if op == "sync":
            index.sync(killing.BEFORE)
        elif op == "add":
            index.add(killing.plain_bank(60)[50:])
        elif op == "remove":
            index.remove(["k20", "k21", "new"])
        else:
            index.compact()


@pytest.mark.parametrize("op", ["sync", "add", "remove", "compact"])
def test_a_change_of_a_damaged_index_never_makes_it_wrong(
    path: Path, tmp_path: Path, tiny_encoder: Encoder, op: str
) -> None:
    whole = shutil.copytree(path, tmp_path / "whole")
    before = contents({q.key: q for q in _answers(path, tiny_encoder)[0]})
    _write_over(whole, op, tiny_encoder)
    after = contents({q.key: q for q in _answers(whole, tiny_encoder)[0]})
    database = (path / "questions.db").read_bytes()
    _drop_log(path)
    tally: Counter[str] = Counter()
    for offset, bits in _flips(len(database), 75, seed=len(op)):
        work = shutil.copytree(path, tmp_path / "work")
        raw = bytearray(database)
        raw[offset] ^= bits
        (work / "questions.db").write_bytes(raw)
        done = True
        try:
            _write_over(work, op, tiny_encoder)
        except SemsearchError as error:
            assert "\n" not in str(error)
            done = False
        try:
            with Index.open(work, encoder=tiny_encoder) as index:
                bank = {question.key: question for question in index.questions()}
                assert contents(bank) in ((after,) if done else (before, after))
                check_search(index, tiny_encoder, bank)
            tally["right"] += 1
        except SemsearchError as error:
            assert "\n" not in str(error)
            tally["done, then an error" if done else "error"] += 1
        shutil.rmtree(work)
    assert tally["right"] and tally["error"]


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'phrasings'",
        "UPDATE sqlite_sequence SET seq = 3 WHERE name = 'questions'",
        "UPDATE sqlite_sequence SET seq = 1 << 40",
        "UPDATE sqlite_sequence SET seq = 'x'",
        "DELETE FROM sqlite_sequence",
        "DELETE FROM meta",
        "UPDATE meta SET value = CAST(value AS BLOB) WHERE name = 'score'",
        "UPDATE meta SET name = NULL WHERE name = 'score'",
        "ALTER TABLE meta RENAME TO beta",
        "ALTER TABLE questions RENAME COLUMN answer TO answes",
        "DELETE FROM meta WHERE name = 'checksum'",
        "UPDATE questions SET answer = CAST(answer AS BLOB) WHERE id = 30",
    ],
)
def test_a_change_stops_at_damage_before_it_writes(
    path: Path, tiny_encoder: Encoder, statement: str
) -> None:
    """A lost counter of ids would give a new row the id, and so the vectors, of an old one."""
    before = _answers(path, tiny_encoder)
    connection = sqlite3.connect(path / "questions.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(CorruptIndexError, match=r"questions\.db"):
        _write_over(path, "add", tiny_encoder)
    if "sequence" in statement:  # which no search needs
        assert _same(_answers(path, tiny_encoder), before)
    else:
        with pytest.raises(CorruptIndexError, match=r"questions\.db"):
            _answers(path, tiny_encoder)


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE phrasings SET text = CAST(text AS BLOB)",
        "UPDATE phrasings SET vector = CAST(vector AS TEXT)",
        "UPDATE phrasings SET checksum = 'x'",
        "UPDATE tombstones SET label = label + (1 << 40)",
        "INSERT INTO tombstones VALUES (1)",
        "DELETE FROM tombstones",
        "DROP TABLE tombstones",
    ],
)
def test_no_changed_row_is_answered_from(path: Path, tiny_encoder: Encoder, statement: str) -> None:
    connection = sqlite3.connect(path / "questions.db")
    connection.execute(statement)
    connection.commit()
    connection.close()
    with pytest.raises(CorruptIndexError, match=r"questions\.db"):
        _answers(path, tiny_encoder)


@pytest.mark.parametrize("damage", ["flip", "cut", "gone", "empty"])
def test_a_damaged_snapshot_is_searched_around_and_mended(
    path: Path, tiny_encoder: Encoder, caplog: pytest.LogCaptureFixture, damage: str
) -> None:
    right = _answers(path, tiny_encoder)
    (file,) = path.glob("vectors-*.faiss")
    whole = file.read_bytes()
    for offset in random.Random(5).sample(range(len(whole)), 40 if damage == "flip" else 1):
        caplog.clear()
        if damage == "gone":
            file.unlink(missing_ok=True)
        elif damage == "flip":
            file.write_bytes(whole[:offset] + bytes([whole[offset] ^ 0x10]) + whole[offset + 1 :])
        else:
            file.write_bytes(whole[: 0 if damage == "empty" else offset])
        with caplog.at_level(logging.WARNING):
            assert _same(_answers(path, tiny_encoder), right)
        assert "semsearch compact" in caplog.text
    killing.compact(path, "")
    caplog.clear()
    assert _same(_answers(path, tiny_encoder), right)
    assert not caplog.text


def test_a_flipped_byte_in_the_log_gives_one_committed_state(
    server: Server, path: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder
) -> None:
    """SQLite ends the log where a frame is damaged: what was committed before that stands."""
    before = _answers(path, tiny_encoder)
    _drop_log(path)
    dying = server.start(
        "run_and_die", directory=str(path), op="remove", encoder=str(tiny_encoder_dir),
        point="commit only in the log",
    )  # fmt: skip
    dying.wait()
    whole = {file.name: file.read_bytes() for file in path.glob("questions.db*")}
    after = _answers(path, tiny_encoder)
    assert not _same(after, before)
    for name in ("questions.db-wal", "questions.db-shm"):
        for offset, bits in _flips(len(whole[name]), 60, seed=3):
            for other, data in whole.items():
                (path / other).write_bytes(data)
            raw = bytearray(whole[name])
            raw[offset] ^= bits
            (path / name).write_bytes(raw)
            try:
                answers = _answers(path, tiny_encoder)
                assert _same(answers, before) or _same(answers, after)
            except SemsearchError as error:
                assert "\n" not in str(error)


def test_a_flipped_byte_among_pending_vectors_is_encoded_again(
    tmp_path: Path, tiny_encoder_dir: Path, tiny_encoder: Encoder
) -> None:
    texts = [text for question in killing.BEFORE for text in question.texts]
    path = tmp_path / "faq"
    path.mkdir()
    with Pending(path, tiny_encoder.fingerprint.digest, tiny_encoder.dim) as pending:
        pending.put(texts, tiny_encoder.encode(texts))
    whole = (path / "pending.vectors").read_bytes()
    for offset in [0, 31, *random.Random(2).sample(range(32, len(whole)), 25)]:
        shutil.rmtree(path)
        path.mkdir()
        raw = bytearray(whole)
        raw[offset] ^= 0x40
        (path / "pending.vectors").write_bytes(raw)
        killing.build(path, str(tiny_encoder_dir))
        assert not (path / "pending.vectors").exists()
        with Index.open(path, encoder=tiny_encoder) as index:
            check_search(index, tiny_encoder, {q.key: q for q in killing.BEFORE})


@pytest.fixture(scope="module")
def whitened(tmp_path_factory: pytest.TempPathFactory, tiny_encoder_dir: Path) -> Path:
    path = tmp_path_factory.mktemp("whitened") / "faq"
    killing.build_whitened(path, str(tiny_encoder_dir))
    return path


def _encoder_files(path: Path) -> list[Path]:
    (folder,) = path.glob("encoder-*")
    return sorted(file for file in folder.rglob("*") if file.is_file())


def test_every_flipped_byte_in_a_kept_encoder_is_noticed(whitened: Path) -> None:
    right = _answers(whitened, None)
    chance = random.Random(4)
    for file in _encoder_files(whitened):
        size = file.stat().st_size
        tally: Counter[str] = Counter()
        for _ in range(12):
            offset, bits = chance.randrange(size), chance.choice([0xFF, 1 << chance.randrange(8)])
            with flipped(file, offset, bits):
                tally[_say_or_be_right(whitened, None, right)] += 1
        assert tally == {"CorruptIndexError": 12}, (file, tally)
    assert _same(_answers(whitened, None), right)


def test_an_onnx_body_that_the_encoder_brought_is_watched_too(
    tmp_path: Path, tiny_encoder_dir: Path
) -> None:
    """The body is what runs, and the fingerprint, which is of the weights, does not cover it."""
    encoder = tmp_path / "encoder"
    shutil.copytree(tiny_encoder_dir, encoder)
    body = export.find(read_layout(tiny_encoder_dir))
    assert body is not None
    shutil.copytree(body.parent, encoder / "onnx")
    path = tmp_path / "faq"
    killing.build_whitened(path, str(encoder))
    right = _answers(path, None)
    (weights,) = [file for file in _encoder_files(path) if file.name == "model.onnx.data"]
    for offset in range(7, weights.stat().st_size, weights.stat().st_size // 10):
        with flipped(weights, offset, 0xFF):
            assert _say_or_be_right(path, None, right) == "CorruptIndexError"
    assert _same(_answers(path, None), right)


def test_verify_reads_the_kept_encoder_too(whitened: Path) -> None:
    (dense,) = [file for file in _encoder_files(whitened) if "_Dense/model" in str(file)]
    with Index.open(whitened) as index:
        assert index.verify().ok
        with flipped(dense, dense.stat().st_size - 3, 0x10):
            (problem,) = index.verify().problems
            assert "encoder-" in problem and "--rebuild" in problem
        assert index.verify().ok


@pytest.mark.parametrize("name", ["questions.db", "vectors", "encoder"])
def test_the_command_line_says_in_one_line_what_is_damaged(whitened: Path, name: str) -> None:
    file = {
        "questions.db": whitened / "questions.db",
        "vectors": next(whitened.glob("vectors-*")),
        "encoder": next(f for f in _encoder_files(whitened) if "_Dense/model" in str(f)),
    }[name]
    right = CliRunner().invoke(cli, ["query", str(whitened), "card number 3"])
    assert right.exit_code == 0
    chance, tally = random.Random(6), Counter[int]()
    for _ in range(12):
        with flipped(file, chance.randrange(file.stat().st_size), 0xFF):
            result = CliRunner().invoke(cli, ["query", str(whitened), "card number 3"])
        _drop_log(whitened)
        tally[result.exit_code] += 1
        assert result.exit_code in (0, 2), result.output
        if result.exit_code:
            assert len(result.stderr.splitlines()) == 1, result.stderr
        else:
            assert result.stdout == right.stdout
    assert tally[0 if name == "vectors" else 2]
