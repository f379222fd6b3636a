"""--device on the command line."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from semsearch import Index, StandardQuestion
from tests.ann.fake_gpu import GIB, install
from tests.cli.conftest import invoke

BANK = [
    StandardQuestion("refund", "How do I get a refund?", "Soon.", ("money back please",)),
    StandardQuestion("track", "Where is my parcel?", "See the app.", ("track my package",)),
    StandardQuestion("card", "My card was stolen", "Call us.", ("lost card", "card is lost")),
]

COMMANDS = (
    "build faq.csv index/faq",
    "build faq.csv index/new --runtime onnx",
    "add index/faq faq.csv",
    "compact index/faq",
    "query index/faq refund",
    "evaluate index/faq faq.csv",
    "tune index/faq",
    "review index/faq",
    "gaps index/faq faq.csv",
    "diff index/faq index/faq faq.csv",
    "calibrate index/faq",
)


@pytest.fixture(autouse=True)
def _index(tmp_path: Path, tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    with Index.build(BANK, "index/faq", encoder=tiny_encoder_dir, runtime="onnx") as index:
        index.export("faq.csv")


@pytest.mark.parametrize("command", COMMANDS)
@pytest.mark.parametrize(
    ("free", "options", "says"),
    [
        ((), "OPTIMIZE GPU ", "Use --device cpu."),
        ((GIB,), "OPTIMIZE AVX2 ", "Run: pip uninstall faiss-cpu"),
    ],
)
def test_cuda_in_vain_is_one_line_and_exit_code_2(
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    free: tuple[int, ...],
    options: str,
    says: str,
) -> None:
    install(monkeypatch, *free, options=options)
    result = invoke(*command.split(), "--device", "cuda")
    assert result.exit_code == 2, result.output
    assert not result.stdout and "Traceback" not in result.stderr
    (line,) = result.stderr.splitlines()
    assert line.startswith("semsearch: ") and says in line
    assert not (tmp_path / "index" / "new").exists()


def test_a_gpu_answers_a_query_as_the_cpu_does(monkeypatch: pytest.MonkeyPatch) -> None:
    query = ("query", "index/faq", "give me money back", "--json", "--runtime", "onnx")
    expected = invoke(*query)
    fake = install(monkeypatch, 8 * GIB)
    result = invoke(*query, "--device", "cuda")
    assert result.exit_code == 0 and fake.searched
    ours, theirs = (json.loads(answer.stdout)["hits"] for answer in (result, expected))
    assert [hit["key"] for hit in ours] == [hit["key"] for hit in theirs]
    assert [hit["score"] for hit in ours] == pytest.approx([hit["score"] for hit in theirs])
