"""Write a FAISS index piece by piece, so that it is never in memory twice."""

from __future__ import annotations

import zlib
from typing import Any, BinaryIO

from semsearch.ann.library import faiss

_PIECE = 1 << 20


def write(index: Any, file: BinaryIO | None = None) -> tuple[int, int]:
    """Write an index to a file, or only count.

    Returns:
        Its size in bytes and its CRC-32.

    Raises:
        OSError: the file refused.
    """
    size = crc = 0

    def take(piece: bytes) -> None:
        nonlocal size, crc
        if file is not None:
            file.write(piece)
        size, crc = size + len(piece), zlib.crc32(piece, crc)

    faiss().write_index(index, faiss().PyCallbackIOWriter(take, _PIECE))
    return size, crc
