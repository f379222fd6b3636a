"""Put an encoder that make.sh made into the package, with its model card and checksums.

    python recipes/embedded/ship.py ENCODER

The card is `card.md`; the checksums are in the format of `sha256sum --check`.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

from semsearch.evaluation.data import file_sha256
from semsearch.files import atomic_directory, folder_size
from semsearch.identity import files_of

HERE = Path(__file__).resolve().parent
PACKAGE = HERE.parents[1] / "semsearch" / "embedded"
SUMS = "SHA256SUMS"
LARGEST = 20 << 20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("encoder", type=Path)
    size = ship(parser.parse_args().encoder, PACKAGE)
    print(f"{PACKAGE}: {size / (1 << 20):.2f} MiB")


def ship(encoder: Path, package: Path) -> int:
    """Copy it, and return the size of all files in bytes.

    Raises:
        ValueError: it is too large.
    """
    with atomic_directory(package) as made:
        shutil.copytree(encoder, made)
        shutil.copyfile(HERE / "card.md", made / "README.md")
        tokenizer = made / "tokenizer.json"
        content = json.loads(tokenizer.read_text(encoding="utf-8"))
        compact = json.dumps(content, ensure_ascii=False, separators=(",", ":"))
        tokenizer.write_text(compact + "\n", encoding="utf-8")
        lines = [
            f"{file_sha256(path)}  {path.relative_to(made).as_posix()}\n" for path in files_of(made)
        ]
        (made / SUMS).write_text("".join(lines), encoding="utf-8")
        size = folder_size(made)
        if size > LARGEST:
            raise ValueError(f"{size:,} bytes are more than {LARGEST:,}.")
        shutil.rmtree(package, ignore_errors=True)
    return size


if __name__ == "__main__":
    main()
