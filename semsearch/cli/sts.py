"""The command that scores encoders on sentence pairs: sts."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from semsearch.cli import options, output
from semsearch.types import POOLINGS


def _numbers(_: click.Context, parameter: click.Parameter, value: str | None) -> tuple[int, ...]:
    """Whole numbers from 1 on, separated by commas."""
    parts = [part.strip() for part in (value or "").split(",") if part.strip()]
    if not all(part.isdecimal() and int(part) for part in parts):
        raise click.BadParameter(f"{value!r} is no list of dimensions such as 64,128,256.")
    return tuple(int(part) for part in parts)


@click.command()
@click.argument("encoders", metavar="ENCODER...", nargs=-1, required=True)
@click.option(
    "--tasks", metavar="NAMES", help="en, zh, all, or names: STS-B,LCQMC. Default: en, or --pairs."
)
@click.option(
    "--data",
    "data_dir",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False, exists=True),
    envvar="SEMSEARCH_DATA",
    show_envvar=True,
    help="Where the tasks' data is; without it the hub is asked.",
)
@click.option("--pairs", "tables", metavar="FILE", multiple=True, help="A table of your own pairs.")
@click.option("--first", metavar="COLUMN", help="Column of the first sentence in --pairs.")
@click.option("--second", metavar="COLUMN", help="Column of the second sentence in --pairs.")
@click.option("--gold", metavar="COLUMN", help="Column of the score in --pairs.")
@click.option("--pooling", metavar="NAMES", help=f"{', '.join(POOLINGS)}; with commas.")
@click.option("--whiten", metavar="DIM", callback=_numbers, help="Also whitened to DIM dimensions.")
@click.option(
    "--whiten-on",
    metavar="target|nli|FILE",
    multiple=True,
    default=("target",),
    show_default=True,
    help="What to fit whitening and PCA on; may be given several times.",
)
@click.option(
    "--dims",
    metavar="NUMBERS",
    callback=_numbers,
    help="Dimensions to compare whitening, PCA and truncation at: 64,128,256.",
)
@click.option(
    "--metric", type=click.Choice(["spearman", "pearson"]), default="spearman", show_default=True,
    help="Correlation with the gold scores.",
)  # fmt: skip
@click.option(
    "--similarity",
    type=click.Choice(["cosine", "dot", "euclidean", "manhattan"]),
    default="cosine",
    show_default=True,
    help="How two vectors are compared.",
)
@click.option(
    "--aggregation",
    type=click.Choice(["all", "mean", "wmean"]),
    default="all",
    show_default=True,
    help="How the subsets of a task become one figure.",
)
@click.option(
    "--trained-on", metavar="FILE", multiple=True, help="Drop test pairs that are in this table."
)
@click.option(
    "--seed", type=click.IntRange(0), default=0, show_default=True, help="Seed of the bootstrap."
)
@click.option(
    "--draws", type=click.IntRange(min=1), default=1000, show_default=True,
    help="Draws of the bootstrap.",
)  # fmt: skip
@click.option(
    "--report",
    "directory",
    metavar="DIR",
    type=click.Path(path_type=Path, file_okay=False),
    help="Write Markdown, JSON and plots here.",
)
@options.encoding_options
@options.json_option
def sts(
    encoders: tuple[str, ...],
    tables: tuple[str, ...],
    first: str | None,
    second: str | None,
    gold: str | None,
    pooling: str | None,
    directory: Path | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Score ENCODERs on sentence pairs with gold scores, as papers do.

    The first row is what counting words alone gives. + and - mark what is better or worse than
    the first encoder beyond chance. SICK-R is all 9,927 pairs, as MTEB has it; SICK-R-test the
    4,927 of SentEval. Groups hold test splits; STS-B-dev and STS-B-zh-dev go by name.

    \b
    Examples:
      semsearch sts minilm --tasks en --data data
      semsearch sts minilm --pairs pairs.csv --whiten 256
      semsearch sts minilm --pairs pairs.csv --trained-on train.csv --json
    """
    from semsearch.evaluation import data, plots, reports
    from semsearch.evaluation.sts import evaluate

    if directory is not None:
        plots.require()
    if (first or second or gold) and not tables:
        raise click.UsageError("--first, --second and --gold name columns of --pairs.")
    own = [data.read_pairs(table, first=first, second=second, gold=gold) for table in tables]
    with output.ProgressBar("encoding") as progress:
        report = evaluate(
            encoders,
            pairs=own,
            pooling=[name.strip() for name in (pooling or "").split(",") if name.strip()],
            progress=progress,
            **values,
        )
    if as_json:
        output.echo_json(report.to_dict())
    else:
        click.echo(reports.table(report))
    if directory is not None:
        for path in reports.write(report, directory):
            click.echo(str(path), err=True)
