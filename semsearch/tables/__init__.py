"""Tables of questions: read them whatever their format, encoding or columns, and write them."""

from __future__ import annotations

from semsearch.tables.bank import Bank, derived_key, read_bank, standard_questions
from semsearch.tables.export import write_bank
from semsearch.tables.phrasings import join_phrasings, split_phrasings
from semsearch.tables.readers import read_table, table_from_rows
from semsearch.tables.roles import Roles
from semsearch.tables.table import Row, Table
from semsearch.tables.texts import read_texts
from semsearch.tables.writers import write_table

__all__ = [
    "Bank",
    "Roles",
    "Row",
    "Table",
    "derived_key",
    "join_phrasings",
    "read_bank",
    "read_table",
    "read_texts",
    "split_phrasings",
    "standard_questions",
    "table_from_rows",
    "write_bank",
    "write_table",
]
