"""Two thousand damaged files: each gives a bank or a clear error, never anything else."""

from __future__ import annotations

import random
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from semsearch.errors import SemsearchError
from semsearch.tables import Bank, read_bank, write_table

ROWS = [
    {
        "id": number,
        "question": f'How do I "pay" bill {number}? 怎么还款',
        "answer": f"By card,\nor cash {number}. 用银行卡",
        "similar": "pay|bill|还信用卡",
        "topic": "payments",
    }
    for number in range(30)
]
FILES = {
    "utf8.csv": {},
    "gbk.csv": {"encoding": "gbk", "delimiter": ";"},
    "utf16.csv": {"encoding": "utf-16", "delimiter": "|"},
    "plain.tsv": {},
    "plain.jsonl": {},
    "plain.xlsx": {},
    "plain.parquet": {},
    "plain.db": {},
}
SEEDS_PER_FILE = 250


def undamaged(folder: Path, name: str) -> bytes:
    path = folder / name
    if name.endswith(".db"):
        with closing(sqlite3.connect(path)) as connection:
            connection.execute("CREATE TABLE faq (id, question, answer, similar, topic)")
            cells = [tuple(row.values()) for row in ROWS]
            connection.executemany("INSERT INTO faq VALUES (?, ?, ?, ?, ?)", cells)
            connection.commit()
    else:
        write_table(path, ROWS, **FILES[name])
    return path.read_bytes()


def damage(data: bytes, chance: random.Random) -> bytes:
    """Flip, overwrite, insert, delete, repeat or cut off bytes in up to twenty places."""
    damaged = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 5, 20))):
        place = chance.randrange(len(damaged) + 1)
        match chance.randrange(6):
            case 0 if place < len(damaged):
                damaged[place] ^= 1 << chance.randrange(8)
            case 1 if place < len(damaged):
                damaged[place] = chance.choice(b'\x00\xff"\n\r,;|\t{}[]\\\x80\xed')
            case 2:
                damaged[place:place] = chance.randbytes(chance.randrange(1, 5))
            case 3:
                del damaged[place : place + chance.randrange(1, 40)]
            case 4:
                damaged[place:place] = damaged[place : place + chance.randrange(1, 200)]
            case 5 if chance.random() < 0.3:
                del damaged[place:]
    return bytes(damaged)


@pytest.mark.parametrize("name", FILES)
def test_a_damaged_file_gives_a_bank_or_a_clear_error(tmp_path: Path, name: str) -> None:
    data = undamaged(tmp_path, name)
    path = tmp_path / f"damaged{Path(name).suffix}"
    source = f"{path}::faq" if name.endswith(".db") else path
    banks = 0
    for seed in range(SEEDS_PER_FILE):
        path.write_bytes(damage(data, random.Random(f"{name} {seed}")))
        for skip_bad in (False, True):
            try:
                found = read_bank(source, skip_bad=skip_bad)
            except SemsearchError as error:
                assert str(path) in str(error), seed
                assert "\n" not in str(error), seed
                continue
            assert isinstance(found, Bank)
            banks += 1
            for question in found.questions:
                assert question.key, seed
                assert question.question, seed
                "".join((question.key, question.answer, *question.texts)).encode("utf-8")
    assert banks, "damage so heavy that nothing is ever read tests little"
