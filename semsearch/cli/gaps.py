"""The command that finds what people ask and the bank does not answer: gaps."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from semsearch.cli import options, output
from semsearch.types import Device, Precision, RuntimeName

if TYPE_CHECKING:
    from semsearch.gaps import Gaps

_EXAMPLES = 3


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.argument("log", metavar="LOG")
@click.option(
    "--out", metavar="FILE", type=options.FILE, help="Write missing questions as a table for add."
)
@click.option(
    "--phrasings-out",
    metavar="FILE",
    type=options.FILE,
    help="Write missing phrasings as a table for build --phrasings.",
)
@click.option(
    "--least", type=click.IntRange(min=1), default=2, show_default=True,
    help="How often something must have been asked.",
)  # fmt: skip
@click.option(
    "--min-score", type=options.Number(-1, 1), help="No answer below this cosine, whatever the "
    "calibration says.",
)  # fmt: skip
@click.option(
    "--show", type=click.IntRange(min=0), default=20, show_default=True, help="Gaps printed."
)
@click.option("--column", help="Column of the queries in LOG.")
@click.option("--encoding", help="Encoding of LOG, when the detected one is wrong.")
@options.seed_option
@click.option("--encoder", help="Encoder in place of the index's own; it must be the same.")
@options.encoder_options
@options.json_option
def gaps(
    index_dir: Path,
    log: str,
    out: Path | None,
    phrasings_out: Path | None,
    least: int,
    min_score: float | None,
    show: int,
    column: str | None,
    encoding: str | None,
    seed: int,
    encoder: str | None,
    runtime: RuntimeName,
    device: Device,
    precision: Precision,
    as_json: bool,
) -> None:
    """Find what people ask and INDEX does not answer, most asked first.

    LOG is what query --log wrote, or any table with a column of texts. Every query is asked again
    of INDEX as it is now; those without a confident answer are grouped, and each group is named
    by its most central query. INDEX must be calibrated (see semsearch calibrate), or --min-score
    says below which cosine there is no answer.

    With each group stands the nearest standard question. Where the queries are as near to it as
    its own phrasings are to each other, a phrasing is missing, else a whole question. --out writes
    the questions with an empty answer: fill it in, and add them.

    \b
    Examples:
      semsearch gaps index/faq queries.jsonl
      semsearch gaps index/faq queries.jsonl --out new.csv
    """
    from semsearch import gaps as room
    from semsearch.index import Index

    options.keep_apart(log, ("--out", out), ("--phrasings-out", phrasings_out))

    with (
        Index.open(
            index_dir, encoder=encoder, runtime=runtime, device=device, precision=precision
        ) as index,
        output.ProgressBar("asking", "queries") as progress,
    ):
        found = room.gaps(
            index, log, least=least, min_score=min_score, column=column, encoding=encoding,
            seed=seed, progress=progress,
        )  # fmt: skip
    if as_json:
        output.echo_json(found.to_dict())
    else:
        _show(found, show)
    if out is not None:
        n = found.write_questions(out)
        then = f", then: semsearch add {index_dir} {out}" if n else ""
        click.echo(f"{out}: {n} questions to answer{then}", err=True)
    if phrasings_out is not None:
        n = found.write_phrasings(phrasings_out)
        then = f", then: semsearch build TABLE {index_dir} --phrasings {phrasings_out}" if n else ""
        click.echo(f"{phrasings_out}: {n} phrasings to check{then}", err=True)


def _show(found: Gaps, show: int) -> None:
    share = found.unanswered / max(found.asked, 1)
    click.echo(
        f"{found.log}: {found.asked} queries, {found.distinct} different; {found.unanswered} "
        f"({share:.0%}) without a confident answer, in {len(found.gaps)} gaps and {found.alone} "
        "that stand alone"
    )
    for gap in found.gaps[:show]:
        click.echo(f"\n{gap.volume:>5} ×  {click.style(gap.question, bold=True)}")
        for query in gap.queries[1 : 1 + _EXAMPLES]:
            click.echo(f"         {query}")
        left = len(gap.queries) - 1 - _EXAMPLES
        if left > 0:
            click.secho(f"         … and {left} more wordings", dim=True)
        click.echo(
            f"         missing: a {gap.missing}; nearest is {gap.nearest} ({gap.key}, "
            f"{gap.score:.2f})"
        )
    if len(found.gaps) > show:
        click.echo(f"\n… and {len(found.gaps) - show} more gaps: --show {len(found.gaps)}")
