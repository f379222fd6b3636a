"""The truth: questions, phrasings and their vectors in SQLite. All SQL stands in this package."""

from semsearch.store.bank import BankReader
from semsearch.store.columns import Columns
from semsearch.store.condition import Condition, Where
from semsearch.store.lexical import Postings, WordTable
from semsearch.store.meta import EncoderRecord, Meta, Snapshot
from semsearch.store.rows import PhrasingRow, QuestionRow
from semsearch.store.writer import BankWriter, Change

__all__ = [
    "BankReader",
    "BankWriter",
    "Change",
    "Columns",
    "Condition",
    "EncoderRecord",
    "Meta",
    "PhrasingRow",
    "Postings",
    "QuestionRow",
    "Snapshot",
    "Where",
    "WordTable",
]
