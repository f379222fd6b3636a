"""Commands that make the encoder of an index better, and undo it: improve, rollback."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semsearch.cli import options, output

if TYPE_CHECKING:
    from semsearch.improvement import ImprovementReport

_MEASURES = {"accuracy_at_1": "accuracy@1", "mrr": "MRR", "precision": "precision at 90%"}


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.option("--labelled", metavar="FILE", help="Labelled queries, as calibrate takes them.")
@click.option(
    "--log",
    metavar="FILE",
    type=options.FILE,
    help="A query log; its confident answers are learnt.",
)
@click.option(
    "--light",
    is_flag=True,
    help="Leave the encoder: a linear map behind it and a classifier, soon done, without torch.",
)
@click.option("--steps", type=click.IntRange(1), help="Steps of training; default: by the bank.")
@options.labelled_options
@options.seed_option
@click.option(
    "--device",
    type=click.Choice(["auto", "cpu", "cuda"]),
    default="auto",
    show_default=True,
    help="Where it is trained.",
)
@options.wait_option
@options.json_option
def improve(
    index_dir: Path,
    light: bool,
    steps: int | None,
    as_json: bool,
    **values: Any,
) -> None:
    """Teach INDEX its own bank; refuse what is not shown to be better.

    Learns to tell the standard questions of INDEX apart from their phrasings, labelled queries and
    logged ones. A fifth or more of the phrasings and a tenth of the standard questions are held
    out, and asked before and after. Only where more of them are answered right, and nothing gets
    worse, is the bank encoded again, calibrated again, and INDEX answers with it from one moment to
    the next; else INDEX stays as it is, exit code 1. semsearch rollback undoes it.

    \b
    Examples:
      semsearch improve index/faq --light
      semsearch improve index/faq --labelled labelled.csv
    """
    from semsearch import improvement
    from semsearch.index import Index

    if light and steps:
        raise click.UsageError("--steps goes without --light, which trains nothing.")
    if light:
        options.without_effect("goes without --light, which trains nothing", "device")
    if values["labelled"] is None:
        why = "says how labelled queries are read: give --labelled, too"
        options.without_effect(why, *options.LABELLED_OPTIONS)
    with Index.open(index_dir) as index, output.Stages() as progress:
        report = improvement.improve(index, light=light, steps=steps, progress=progress, **values)
    if as_json:
        output.echo_json(report.to_dict())
    else:
        _show(report)
    if not report.promoted:
        click.get_current_context().exit(1)


def _show(report: ImprovementReport) -> None:
    for note in report.notes:
        click.echo(click.style("note: ", fg="yellow") + note, err=True)
    if report.held_out is not None:
        held = ", ".join(
            f"{n:,} {name}"
            for name, n in (
                ("phrasings", report.held_out["phrasings"]),
                ("phrasings of new questions", report.held_out["new_questions"]),
                ("labelled queries", report.held_out["labelled"]),
            )
            if n
        )
        click.echo(f"{report.index}: {report.mode}, {held} held out\n")
        click.echo(f"{'':<34}{'queries':>8}{'before':>9}{'after':>9}  95% interval of the gain")
    for figure in report.figures:
        name = f"{_MEASURES[figure.measure]}, {figure.of}"
        click.echo(
            f"{name:<34}{figure.n:>8,}{figure.before:>9.4f}{figure.after:>9.4f}  "
            f"[{figure.low:+.4f}, {figure.high:+.4f}]"
        )
    done = f"in {report.seconds:.0f} s"
    if not report.promoted:
        click.echo(f"\nnot promoted: {report.reason}. {report.index} is as it was ({done}).")
        return
    click.echo(f"\npromoted: {report.reason} ({done})")
    if report.calibration is not None:
        made = report.calibration.calibration
        click.echo(f"answers from confidence {made.threshold:.3f} on ({made.point})")
    click.echo(f"undo it with: semsearch rollback {report.index}")


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@options.wait_option
@options.json_option
def rollback(index_dir: Path, wait_seconds: float, as_json: bool) -> None:
    """Undo improve: INDEX gets the encoder and the calibration that it had before.

    What was added, changed or removed since stays so. Exit code 2 where there is nothing to undo.

    \b
    Example:
      semsearch rollback index/faq
    """
    from semsearch import improvement
    from semsearch.errors import DataError
    from semsearch.index import Index

    with Index.open(index_dir) as index:
        done = improvement.rollback(index, wait_seconds=wait_seconds)
    if done is None:
        raise DataError(f"{index_dir}: was not improved; there is nothing to undo.")
    output.echo_warnings(done.warnings)
    if as_json:
        output.echo_json(
            {
                "index": str(index_dir),
                "restored": done.restored,
                "encoded": done.encoded,
                "calibrated": done.calibrated,
            }
        )
        return
    since = f"; {done.encoded:,} that came since are encoded by it" if done.encoded else ""
    calibrated = "calibrated as before" if done.calibrated else "not calibrated"
    click.echo(
        f"{index_dir}: the encoder from before is back, and the vectors of {done.restored:,} "
        f"phrasings{since}; {calibrated}"
    )
