"""The command that teaches an index when to answer: calibrate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semsearch.cli import options, output
from semsearch.types import Device, RuntimeName

if TYPE_CHECKING:
    from semsearch.calibration import CalibrationReport

_SHARE = options.Number(0, 1, min_open=True, max_open=True)

_LABELS = {
    "precision": ("precision", "answers are right"),
    "coverage": ("coverage", "queries that have an answer get one"),
    "right": ("right answers", "queries that have an answer get the right one"),
    "refused": ("right refusals", "queries that have none are refused"),
}


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.argument("queries", metavar="[LABELLED]", required=False)
@click.option("--precision", type=_SHARE, help="Answer where so many answers are right, 0.95 say.")
@click.option("--coverage", type=_SHARE, help="Answer so many of the queries that have an answer.")
@click.option(
    "--unanswerable",
    type=_SHARE,
    help="Share of all queries that has no answer, where LABELLED does not show it; without it, "
    "0.1 is assumed of a bank of 5,000 phrasings, up to 0.5 of a smaller one.",
)
@click.option(
    "--log",
    type=options.FILE,
    help="What users asked, without labels: estimate from it how many have no answer.",
)
@options.labelled_options
@click.option(
    "--score", type=click.Choice(["best", "top3"]), help="Score in another way than the index says."
)
@options.lexical_option
@click.option(
    "--report",
    "report_dir",
    metavar="DIR",
    type=options.FILE,
    help="Write tables and plots: how reliable the confidence is, precision against coverage.",
)
@click.option("--remove", is_flag=True, help="Remove the calibration: answer everything again.")
@options.seed_option
@click.option("--encoder", help="Encoder in place of the index's own; it must be the same.")
@options.runtime_options
@options.wait_option
@options.json_option
def calibrate(
    index_dir: Path,
    queries: str | None,
    report_dir: Path | None,
    remove: bool,
    encoder: str | None,
    runtime: RuntimeName,
    device: Device,
    as_json: bool,
    wait_seconds: float,
    **values: Any,
) -> None:
    """Teach INDEX how sure its answers are, and when to say that it has none.

    LABELLED is a table of real queries with the key that each expects, empty where none is right.
    Without it, INDEX is calibrated on itself: phrasings are held out as queries that have an
    answer, and whole standard questions as queries that have none. How many of the queries have
    none cannot be learnt from INDEX: give --log, the log that query --log keeps.

    Held-out queries also show by how much the words of a query should count beside its vector, so
    that names, codes and numbers are found; where they say nothing, a little (--lexical auto).

    From then on, query shows the confidence that its first hit is right, and answers only from the
    operating point on: that of --precision, of --coverage, or else the best balance, where the
    share of right answers, counted double, and of right refusals are most together.

    \b
    Examples:
      semsearch calibrate index/faq
      semsearch calibrate index/faq --log queries.jsonl
      semsearch calibrate index/faq labelled.csv --precision 0.95 --report trust
    """
    from semsearch import calibration
    from semsearch.index import Index

    if values["precision"] is not None and values["coverage"] is not None:
        raise click.UsageError("Give either --precision or --coverage, not both.")
    if values["log"] is not None and values["unanswerable"] is not None:
        raise click.UsageError("--log is what --unanswerable is estimated from: give one of both.")
    if remove and (queries or report_dir):
        raise click.UsageError("--remove takes neither LABELLED nor --report.")
    if remove:
        options.without_effect("says how to calibrate: leave it out beside --remove", *values)
    if queries is None:
        names = options.LABELLED_OPTIONS if values["log"] is None else ("key", "none", "skip_bad")
        options.without_effect("says how LABELLED is read: give LABELLED, too", *names)
    if report_dir is not None:
        calibration.require_plots()
    with Index.open(index_dir, encoder=encoder, runtime=runtime, device=device) as index:
        if remove:
            removed = calibration.remove(index, wait_seconds=wait_seconds)
            if as_json:
                output.echo_json({"index": str(index_dir), "removed": removed})
            else:
                was = "its calibration is removed" if removed else "it was not calibrated"
                click.echo(f"{index_dir}: {was}")
            return
        with output.ProgressBar("holding out") as progress:
            report = calibration.calibrate(
                index, queries, wait_seconds=wait_seconds, progress=progress, **values
            )
    output.echo_skipped(report.skipped)
    if report_dir is not None:
        calibration.write(report, report_dir)
    if as_json:
        output.echo_json(report.to_dict())
    else:
        _show(report)
    if report_dir is not None:
        click.echo(f"{report_dir}: tables and plots", err=as_json)


def _show(report: CalibrationReport) -> None:
    made = report.calibration
    click.echo(
        f"{report.index}: calibrated on {made.source}, {made.queries['answerable']} queries that "
        f"have an answer and {made.queries['unanswerable']} that have none; score {made.score}"
    )
    click.echo(str(report.lexical))
    for note in report.notes:
        click.echo(click.style("note: ", fg="yellow") + note, err=True)
    click.echo(
        f"\n{'confidence':>10}  {'coverage':>8}  {'precision':>9}  {'95% interval':<16}  refused"
    )
    for row in report.rows():
        interval = f"[{row['low']:.3f}, {row['high']:.3f}]"
        click.echo(
            f"{row['confidence']:>10.3f}  {row['coverage']:>8.3f}  {row['precision']:>9.3f}  "
            f"{interval:<16}  {row['refused']:>7.3f}"
        )
    click.echo(f"\nanswers from confidence {made.threshold:.3f} on ({made.point}):")
    for name, share in report.measured.items():
        label, of = _LABELS[name]
        if share.value is None:
            click.echo(f"  {label:<14}      –  no such queries")
            continue
        click.echo(
            f"  {label:<14}  {share.value:.3f}  [{share.low:.3f}, {share.high:.3f}]  "
            f"of {share.n} {of}"
        )
    click.echo(f"  calibration error  {report.error:.3f}")
