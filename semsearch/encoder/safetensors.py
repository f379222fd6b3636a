"""Read, write and hash safetensors files with NumPy alone.

The format: 8 bytes little-endian header length, a JSON header, the raw bytes of the tensors.
https://huggingface.co/docs/safetensors
"""

from __future__ import annotations

import hashlib
import json
import mmap
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from semsearch.errors import EncoderError

_DTYPES = {"F64": "<f8", "F32": "<f4", "F16": "<f2"}
_MAX_HEADER_BYTES = 100_000_000  # what the reference implementation allows


def read_header(path: Path) -> tuple[dict[str, Any], int]:
    """The tensors of a file, name -> {dtype, shape, data_offsets}, and where their bytes begin."""
    try:
        size = path.stat().st_size
        with path.open("rb") as file:
            length = int.from_bytes(file.read(8), "little")
            if not 2 <= length <= min(size - 8, _MAX_HEADER_BYTES):
                raise ValueError("its header has an impossible length")
            header = json.loads(file.read(length))
        begin = 8 + length
        header.pop("__metadata__", None)
        for name, tensor in header.items():
            start, end = tensor["data_offsets"]
            if not (0 <= start <= end <= size - begin and isinstance(tensor["dtype"], str)):
                raise ValueError(f"the tensor {name} lies outside the file")
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise EncoderError(f"{path}: not a usable safetensors file: {error}.") from error
    return header, begin


def read(path: Path) -> dict[str, NDArray[np.float32]]:
    """Every floating-point tensor of a (small) file as float32."""
    header, begin = read_header(path)
    data = path.read_bytes()
    tensors = {}
    for name, tensor in header.items():
        start, end = tensor["data_offsets"]
        raw = data[begin + start : begin + end]
        try:
            if tensor["dtype"] == "BF16":  # the upper half of a float32
                values = (np.frombuffer(raw, "<u2").astype("<u4") << 16).view("<f4")
            else:
                values = np.frombuffer(raw, _DTYPES[tensor["dtype"]])
            tensors[name] = values.reshape(tensor["shape"]).astype(np.float32)
        except (KeyError, ValueError) as error:
            raise EncoderError(f"{path}: cannot read the tensor {name}: {error}.") from error
    return tensors


def write(path: Path, tensors: Mapping[str, NDArray[np.float32]]) -> None:
    """Write float32 tensors to a new file."""
    header: dict[str, Any] = {"__metadata__": {"format": "pt"}}
    blobs, end = [], 0
    for name, tensor in sorted(tensors.items()):
        blob = np.ascontiguousarray(tensor, "<f4").tobytes()
        offsets = [end, end + len(blob)]
        header[name] = {"dtype": "F32", "shape": list(tensor.shape), "data_offsets": offsets}
        blobs.append(blob)
        end += len(blob)
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)  # tensors begin at a multiple of 8
    path.write_bytes(len(text).to_bytes(8, "little") + text + b"".join(blobs))


def digest(paths: Iterable[Path]) -> tuple[str, str]:
    """sha256 over the tensors of one model, and the dtype that most of its bytes have.

    Tensors are hashed by name, not as they lie in the file: saving a model again, or in
    shards, does not change the digest.
    """
    places: dict[str, tuple[Path, int, Any]] = {}
    for path in paths:
        header, begin = read_header(path)
        for name, tensor in header.items():
            known = f"{path.parent.name}/{name}" if name in places else name
            places[known] = (path, begin, tensor)
    sha, size_by_dtype = hashlib.sha256(), {"F32": 0}
    maps: dict[Path, mmap.mmap] = {}
    try:
        for name, (path, begin, tensor) in sorted(places.items()):
            if name.endswith("position_ids"):  # a buffer that only old releases save
                continue
            if path not in maps:
                with path.open("rb") as file:
                    maps[path] = mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ)
            start, end = tensor["data_offsets"]
            sha.update(f"{name}\0{tensor['dtype']}\0{tensor['shape']}\0".encode())
            with memoryview(maps[path])[begin + start : begin + end] as blob:
                sha.update(blob)
            size_by_dtype.setdefault(tensor["dtype"], 0)
            size_by_dtype[tensor["dtype"]] += end - start
    finally:
        for mapped in maps.values():
            mapped.close()
    return sha.hexdigest(), max(size_by_dtype, key=lambda dtype: size_by_dtype[dtype])
