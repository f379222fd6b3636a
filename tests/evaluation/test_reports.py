"""What people see of a run: the table, the page and the plots."""

from __future__ import annotations

import copy
import json
import re
import sys
from pathlib import Path

import pytest

from semsearch.encoder import Encoder
from semsearch.errors import MissingExtraError, StorageError
from semsearch.evaluation import plots, reports, sts
from semsearch.evaluation.outcome import StsReport

PNG = b"\x89PNG\r\n\x1a\n"


@pytest.fixture
def report(sts_dir: Path, tiny_encoder: Encoder) -> StsReport:
    encoder = copy.copy(tiny_encoder)  # the fixture is everybody's
    encoder.source = "tiny"
    train = sts_dir.parent / "train.csv"
    lines = (sts_dir / "sts_en/sts12/test.csv").read_text(encoding="utf-8").splitlines()
    train.write_text("\n".join(lines[:4]), encoding="utf-8")
    return sts.evaluate(
        [encoder],
        "en,BQ",
        data_dir=sts_dir,
        whiten=[16],
        dims=[2, 8],
        trained_on=[train],
        draws=50,
    )


def test_the_table_has_a_block_for_each_language_and_says_what_it_shows(report: StsReport) -> None:
    english, chinese, notes = reports.table(report).split("\n\n")
    title, header, *lines = english.splitlines()
    assert title.startswith("STS, English: Spearman of cosine x100, subsets concatenated (all:")
    assert header.split() == ["STS12", "STS-B", "SICK-R", "Avg."]
    assert lines[0].startswith("tf-idf") and lines[1].startswith("tiny ")
    assert lines[2].startswith("tiny, whitened 16 on target")
    assert all(len(re.findall(r"-?\d+\.\d\d\b", line)) == 4 for line in lines)
    assert chinese.splitlines()[1].split() == ["BQ"]  # no average of one task
    assert "tf-idf of lower-case words (English); tf-idf of single characters (Chinese)" in notes
    assert "worse than tiny" in notes and "50 draws, seed 0" in notes
    assert "on target: fitted on both sides" in notes
    assert "STS12: 3 of 48 pairs dropped: in the training files." in notes
    assert "pairs found in train.csv: 3 in all." in notes
    assert "skipped STS15: no sts_en/sts15/test.parquet" in notes


def test_marks_stand_at_the_figures_that_differ_beyond_chance(report: StsReport) -> None:
    shown = reports.table(report)
    score = report.rows[0].scores["STS12"]
    line = next(line for line in shown.splitlines() if line.startswith("tf-idf"))
    assert f"{score.value:.2f}{score.mark}" in line
    assert {s.mark for row in report.rows for s in row.scores.values()} & {"+", "-"}


def test_labels_in_chinese_keep_the_columns_in_line(report: StsReport) -> None:
    assert reports._width("编码器 a") == 8


def test_the_page_has_intervals_differences_data_and_provenance(report: StsReport) -> None:
    page = reports.markdown(report)
    rows = [line for line in page.splitlines() if line.startswith("| tiny |")]
    assert len(rows) == 6 and all(line.count("|") in (3, 6) for line in rows)
    assert re.search(r"\| tf-idf \| -?\d+\.\d\d to -?\d+\.\d\d \|", page)
    assert re.search(r"\| tf-idf \| [+-]\d+\.\d\d \([+-]\d+\.\d\d to [+-]\d+\.\d\d\)", page)
    assert "sts_en/sick/train.tsv<br>sts_en/sick/dev.tsv" in page
    assert "CC BY-NC-SA 3.0" in page and '"cpu"' in page


def test_a_directory_gets_page_record_and_plots(report: StsReport, tmp_path: Path) -> None:
    pytest.importorskip("matplotlib")
    written = reports.write(report, tmp_path / "new" / "report")
    names = ["sts.json", "sts.md", "scores.png", "pairs.png", "dimensions.png"]
    assert [path.name for path in written] == names
    assert json.loads(written[0].read_text(encoding="utf-8")) == json.loads(
        json.dumps(report.to_dict())
    )
    assert all(path.read_bytes().startswith(PNG) for path in written[2:])
    reports.write(report, tmp_path / "new" / "report")  # again, over what is there
    (tmp_path / "file").write_text("x", encoding="utf-8")
    with pytest.raises(StorageError):
        reports.write(report, tmp_path / "file")


def test_a_name_that_the_font_lacks_is_no_warning(
    sts_dir: Path, tmp_path: Path, tiny_encoder: Encoder
) -> None:
    pytest.importorskip("matplotlib")
    own = tmp_path / "句子对.csv"
    own.write_bytes((sts_dir / "sts_zh/bq/test.csv").read_bytes())
    found = plots.draw(sts.evaluate([tiny_encoder], pairs=[own], draws=10))
    assert set(found) == {"scores.png", "pairs.png"}


def test_without_matplotlib_the_install_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.setitem(sys.modules, "matplotlib.figure", None)
    with pytest.raises(MissingExtraError, match=r"semsearch\[benchmarks\]"):
        plots.require()
