"""What the documentation says is what the program does."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest

from semsearch import Index

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted(p for p in [*ROOT.glob("*.md"), *ROOT.glob("docs/*.md"), ROOT / "index/README.md"])


def test_measured_tables_and_help_texts_are_fresh() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "docs" / "generate.py", "--check"],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr


def test_the_first_screen_shows_what_is_printed(tmp_path: Path) -> None:
    page = (ROOT / "README.md").read_text(encoding="utf-8")
    asked, shown = re.findall(
        r'^\$ semsearch query index/shop -k 1 (".*")\n((?:.+\n)+)', page, re.M
    )[0]
    with Index.build(ROOT / "index" / "demo" / "shop.csv", tmp_path / "shop") as index:
        (hit,) = index.search(json.loads(asked), 1)[0].hits
    first, answer, matched, end = shown.split("\n")[:4]
    place, score, question = first.split(maxsplit=2)
    assert (place, question) == ("1.", hit.question) and end == "```"
    assert float(score) == pytest.approx(hit.score, abs=0.01)  # 8-bit products differ a little
    assert answer.strip() == hit.answer and matched.strip() == f"matched: {hit.phrasing}"


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
        if "://" not in target:
            assert (page.parent / target).exists(), f"{page}: {target}"


def test_both_readmes_have_the_same_commands() -> None:
    blocks = [
        re.findall(r"```bash\n(.*?)```", (ROOT / name).read_text(encoding="utf-8"), re.DOTALL)
        for name in ("README.md", "README.zh-CN.md")
    ]
    assert blocks[0][0] == blocks[1][0]
    assert blocks[0][-1] == blocks[1][-1]
