"""The command `tune`."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click

from semsearch.cli import options, output
from semsearch.types import Device, RuntimeName

_UNITS = {"": 1, "B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "TB": 10**12}
_UNITS |= {"KIB": 1 << 10, "MIB": 1 << 20, "GIB": 1 << 30, "TIB": 1 << 40}


class _Size(click.ParamType):  # type: ignore[type-arg]  # generic in later versions only
    name = "size"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> int:
        match = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([A-Za-z]*)\s*", str(value))
        if match is None or match[2].upper() not in _UNITS or not float(match[1]):
            self.fail(f"{value!r} is no size. Write it like 800MB or 2GiB.", param, ctx)
        return int(float(match[1]) * _UNITS[match[2].upper()])


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.option(
    "--recall",
    type=options.Number(0, 1, min_open=True, max_open=True),
    default=0.99,
    show_default=True,
    help="Share of the nearest phrasings that must be found.",
)
@click.option(
    "--latency-ms", type=options.Number(0, min_open=True), help="Of half of single queries."
)
@click.option("--memory", type=_Size(), metavar="SIZE", help="Of all vectors: 800MB, 2GB.")
@click.option("--queries", metavar="FILE", help="What users ask: a line each, or a table's column.")
@click.option("--column", help="Column of the texts in --queries.")
@click.option(
    "-k", type=click.IntRange(min=1), default=10, show_default=True, help="Nearest phrasings."
)
@click.option(
    "--factory", "factories", multiple=True, help="Try this one only; may be given several times."
)
@click.option("--dry-run", is_flag=True, help="Measure, and leave the index as it is.")
@click.option(
    "--report",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write tune.md, tune.json and a plot there.",
)
@options.seed_option
@options.wait_option
@options.runtime_option
@options.device_option("What all but the searches that are measured runs on.")
@options.json_option
def tune(
    index_dir: Path,
    memory: int | None,
    queries: str | None,
    column: str | None,
    factories: tuple[str, ...],
    directory: Path | None,
    as_json: bool,
    runtime: RuntimeName,
    device: Device,
    **values: Any,
) -> None:
    """Find the fastest way to search INDEX that still finds the nearest, and prove it.

    Kinds of FAISS index are built from the bank's own vectors and made more thorough until the 95%
    interval of their recall lies above --recall. Queries come from --queries, or are phrasings that
    are held out; half of them choose, the other half prove. The fastest one is put into INDEX,
    where info shows it with its proof. Exit code 1 when none is good enough.

    \b
    Examples:
      semsearch tune index/faq
      semsearch tune index/faq --recall 0.98 --memory 500MB --queries log.txt --dry-run
    """
    from semsearch.evaluation import plots
    from semsearch.tables import read_texts
    from semsearch.tuning import tune as run
    from semsearch.tuning.report import table, write

    if directory is not None:
        plots.require()

    def progress(factory: str) -> None:
        click.echo(f"trying {factory}", err=True)

    report = run(
        index_dir,
        memory_bytes=memory,
        queries=read_texts(queries, column=column) if queries else None,
        factories=factories or None,
        progress=progress,
        runtime=runtime,
        device=device,
        **values,
    )
    if as_json:
        output.echo_json(report.to_dict())
    else:
        click.echo(table(report))
    if directory is not None:
        for path in write(report, directory):
            click.echo(str(path), err=True)
    if report.chosen is None:
        click.echo("No setting that was tried holds all that was asked for.", err=True)
        click.get_current_context().exit(1)
