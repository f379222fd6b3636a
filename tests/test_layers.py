"""Imports point down, and each heavy library is imported in one place only."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).resolve().parents[1] / "semsearch"

# A module may import those of a lower level only; modules of one room may import each other.
LEVELS = {
    "errors": 0,
    "types": 0,
    "files": 1,
    "terms": 1,
    "tables": 2,
    "store": 2,
    "ann": 2,
    "whitening": 2,
    "ranking": 2,
    "lock": 2,
    "pending": 2,
    "selection": 3,
    "rescoring": 3,
    "spelling": 2,
    "lexical": 3,
    "classifier": 3,
    "encoder": 3,
    "sync": 3,
    "querylog": 3,
    "view": 4,
    "hits": 4,
    "hybrid": 4,
    "identity": 4,
    "encoding": 4,
    "snapshots": 4,
    "confidence": 5,
    "verification": 5,
    "recipe": 5,
    "answering": 6,
    "bank_encoding": 6,
    "writing": 7,
    "swapping": 8,
    "index": 8,
    "evaluation": 9,
    "training": 10,
    "tuning": 10,
    "calibration": 10,
    "review": 9,
    "gaps": 10,
    "improvement": 11,
    "cli": 12,
    "__main__": 13,
}

ON_TORCH = (
    "encoder/torch_model.py",
    "encoder/trainable.py",
    "encoder/export.py",
    "training/",
)

ONLY_IN = {
    "faiss": ("ann/",),
    "torch": (*ON_TORCH, "encoder/torch.py", "encoder/torch_gpu.py"),
    "sentence_transformers": ON_TORCH,
    "transformers": ON_TORCH,
    "click": ("cli/",),
    "sklearn": (
        "whitening.py",
        "evaluation/",
        "training/",
        "calibration/",
        "review/",
        "gaps/",
        "improvement/",
    ),
    "onnxruntime": ("encoder/",),
    "openvino": ("encoder/openvino",),
    "matplotlib": ("evaluation/",),
    "datasets": ("evaluation/", "training/"),
}

SQL = ("SELECT ", "INSERT INTO", "UPDATE ", "DELETE FROM", "CREATE TABLE", "PRAGMA ")

MODULES = sorted(PACKAGE.rglob("*.py"))


def _room(path: Path) -> str:
    return path.relative_to(PACKAGE).parts[0].removesuffix(".py")


def _imports(path: Path) -> Iterator[tuple[str, int, bool]]:
    """(module, line, at import time) of every import that runs, type checking apart."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    at_top = set()
    for node in tree.body:
        at_top.add(node)
    for node in ast.walk(tree):
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module:
            names = [node.module]
            if node.module == "semsearch":
                names = [f"semsearch.{alias.name}" for alias in node.names]
        for name in names:
            yield name, node.lineno, node in at_top


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_imports_point_down(path: Path) -> None:
    room = _room(path)
    if room == "__init__":
        return
    assert room in LEVELS, f"{path}: give {room} a level"
    for name, line, _ in _imports(path):
        if name.startswith("semsearch."):
            other = name.split(".")[1]
            if other in ("__version__", "__init__"):
                continue
            allowed = other == room or LEVELS[other] < LEVELS[room]
            assert allowed, f"{path}:{line}: {room} may not import {other}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_heavy_libraries_have_one_home(path: Path) -> None:
    relative = path.relative_to(PACKAGE).as_posix()
    for name, line, _ in _imports(path):
        homes = ONLY_IN.get(name.split(".")[0])
        if homes:
            assert relative.startswith(homes), f"{path}:{line}: {name} belongs in {homes}"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_nothing_slow_is_imported_before_it_is_needed(path: Path) -> None:
    slow = {
        "faiss",
        "onnxruntime",
        "openvino",
        "sklearn",
        "scipy",
        "matplotlib",
        "datasets",
        "pandas",
        "polars",
        "pyarrow",
        "openpyxl",
        "sqlite_utils",
        "charset_normalizer",
        "huggingface_hub",
        "tokenizers",
        "filelock",
    }
    if path.name == "export.py":
        return
    for name, line, at_top in _imports(path):
        if at_top:
            assert name.split(".")[0] not in slow, f"{path}:{line}: import {name} where it is used"


@pytest.mark.parametrize("path", MODULES, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_sql_stands_in_the_store_only(path: Path) -> None:
    if _room(path) == "store":
        return
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            assert not node.value.lstrip().startswith(SQL), f"{path}:{node.lineno}"
