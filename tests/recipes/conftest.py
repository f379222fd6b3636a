"""The recipes are folders of scripts, not packages: how tests import their modules."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path
from types import ModuleType

import pytest

RECIPE = Path(__file__).parents[2] / "recipes" / "embedded"


@pytest.fixture
def recipe(monkeypatch: pytest.MonkeyPatch) -> Callable[[str], ModuleType]:
    """Import a module of the recipe of the embedded encoder by its name."""
    monkeypatch.syspath_prepend(str(RECIPE))
    return importlib.import_module
