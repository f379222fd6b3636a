"""The directory of a run that is not finished: its settings, its checkpoints, its state."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from semsearch.errors import DataError, EncoderError, SemsearchError
from semsearch.evaluation.metrics import Values
from semsearch.files import atomic_write

_RUN = "run.json"
_BEFORE = "before.npy"


@dataclass(frozen=True, slots=True)
class WorkDir:
    """`OUT.training`, beside what it becomes."""

    path: Path

    @classmethod
    def open(cls, out: Path, identity: dict[str, Any], *, resume: bool) -> WorkDir:
        """Begin a run, or go on with the one of the same identity.

        Args:
            identity: JSON-ready: settings and checksums that make two runs the same one.

        Raises:
            EncoderError: `out` is there already, or an unfinished run is and `resume` is not set.
            DataError: there is no run to resume, or it is another one.
        """
        if out.exists() and not (out.is_dir() and not any(out.iterdir())):
            raise EncoderError(f"{out}: already there. Choose a new directory.")
        folder = cls.of(out)
        known = folder._read()
        if known is None:
            if resume:
                raise DataError(f"{folder.path}: there is no run to resume. Leave out --resume.")
            shutil.rmtree(folder.path, ignore_errors=True)
            folder.path.mkdir(parents=True)
            folder.write({"identity": identity})
            return folder
        if not resume:
            raise EncoderError(
                f"{folder.path}: a run is not finished. Go on with it with --resume, or delete it."
            )
        if known.get("identity") != json.loads(json.dumps(identity)):
            changed = _difference(known.get("identity") or {}, json.loads(json.dumps(identity)))
            raise DataError(
                f"{folder.path}: the run was started with other {changed}. Resume it with the "
                "same, or delete it."
            )
        return folder

    @classmethod
    def of(cls, out: Path) -> WorkDir:
        """The directory of the run that makes `out`."""
        return cls(out.with_name(f"{out.name}.training"))

    @property
    def state(self) -> dict[str, Any]:
        """What `write` kept, the identity apart."""
        known = self._read() or {}
        known.pop("identity", None)
        return known

    def write(self, values: dict[str, Any]) -> None:
        """Keep values beside those that are kept already."""
        known = self._read() or {}
        with atomic_write(self.path / _RUN) as file:
            file.write(json.dumps({**known, **values}, indent=2).encode())

    @property
    def before(self) -> Values | None:
        """(n,) what the encoder made of the dev examples before the run; None if not kept yet."""
        with suppress(OSError, ValueError, EOFError):
            return np.asarray(np.load(self.path / _BEFORE, allow_pickle=False), np.float64)
        return None

    def keep_before(self, predicted: Values) -> None:
        with atomic_write(self.path / _BEFORE) as file:
            np.save(file, predicted)

    def last_checkpoint(self) -> Path | None:
        """The newest checkpoint that is whole; those that a kill left half-written are deleted."""
        found = [p for p in self.path.glob("checkpoint-*") if p.name.split("-")[1].isdigit()]
        for folder in sorted(found, key=lambda p: -int(p.name.split("-")[1])):
            # The trainer writes this file last.
            with suppress(OSError, ValueError):
                json.loads((folder / "trainer_state.json").read_text(encoding="utf-8"))
                return folder
            shutil.rmtree(folder, ignore_errors=True)
        return None

    @contextmanager
    def kept_if_begun(self) -> Iterator[None]:
        """Leave nothing of a run that is refused in the block before it has a checkpoint."""
        try:
            yield
        except SemsearchError:
            if self.last_checkpoint() is None:
                self.remove()
            raise

    def remove(self) -> None:
        shutil.rmtree(self.path, ignore_errors=True)

    def _read(self) -> dict[str, Any] | None:
        try:
            return dict(json.loads((self.path / _RUN).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise EncoderError(
                f"{self.path / _RUN}: cannot be read: {error}. Delete {self.path}."
            ) from error


def _difference(one: Any, two: Any) -> str:
    """The names of the settings in which two runs differ."""
    names = [name for name in sorted({*one, *two}) if one.get(name) != two.get(name)]
    inner = [
        key
        for name in names
        if isinstance(one.get(name), dict) and isinstance(two.get(name), dict)
        for key in sorted({*one[name], *two[name]})
        if one[name].get(key) != two[name].get(key)
    ]
    return ", ".join(inner or names)
