"""The command that shows what a change would change: diff."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semsearch.cli import options, output
from semsearch.types import Device, Precision, RuntimeName

if TYPE_CHECKING:
    from semsearch.evaluation.difference import Answer, Change, Difference

_SHOWN = 20


@click.command()
@click.argument("a", metavar="A", type=options.INDEX)
@click.argument("b", metavar="B", type=options.INDEX)
@click.argument("queries", metavar="QUERIES")
@options.labelled_options
@click.option("--all", "show_all", is_flag=True, help=f"Print all changes, not the first {_SHOWN}.")
@options.encoder_options
@options.json_option
def diff(
    a: Path,
    b: Path,
    queries: str,
    show_all: bool,
    runtime: RuntimeName,
    device: Device,
    precision: Precision,
    as_json: bool,
    **values: Any,
) -> None:
    """Show which QUERIES get another answer from index B than from index A.

    QUERIES is a table with a text, a query log in JSON Lines, or plain lines (.txt, or - for
    standard input). With a column of expected keys, each change is for the better or for the worse.
    Both indexes answer as they would answer a user, with their own encoder, calibration and words;
    standard questions are the same when their keys are, or their texts where no key is in both.

    Changes for the worse come first, then those that are asked often and that an index is sure of.
    Exit code 0 when nothing changes, 1 when something does.

    \b
    Examples:
      semsearch diff index/faq index/new queries.csv
      semsearch diff index/faq index/new queries.jsonl --all
    """
    from semsearch.evaluation import difference
    from semsearch.index import Index

    with (
        Index.open(a, runtime=runtime, device=device, precision=precision) as before,
        Index.open(b, runtime=runtime, device=device, precision=precision) as after,
        output.ProgressBar("asking") as progress,
    ):
        found = difference.compare(before, after, queries, progress=progress, **values)
    output.echo_skipped(found.skipped)
    if as_json:
        output.echo_json(found.to_dict())
    else:
        _show(found, show_all)
    if found.changes:
        click.get_current_context().exit(1)


def _show(found: Difference, show_all: bool) -> None:
    if found.by_text:
        note = "no key is in both indexes: standard questions are compared by their text"
        click.echo(click.style("note: ", fg="yellow") + note, err=True)
    counts = ", ".join(f"{n:,} {kind}" for kind, n in found.counts.items() if n)
    click.echo(f"{found.queries:,} queries: {found.same:,} the same" + (counts and f", {counts}"))
    if found.right is not None and found.interval is not None:
        before, after = found.right
        low, high = found.interval
        click.echo(
            f"right: {before:.3f} before, {after:.3f} after, {after - before:+.3f} "
            f"[{low:+.3f}, {high:+.3f}]; {found.judged(better=True):,} better, "
            f"{found.judged(better=False):,} worse"
        )
    shown = found.changes if show_all else found.changes[:_SHOWN]
    for change in shown:
        _show_change(change)
    more = len(found.changes) - len(shown)
    if more:
        click.echo(f"\n… and {more:,} more; --all prints them")


def _show_change(change: Change) -> None:
    times = f" ({change.count:,} times)" if change.count > 1 else ""
    verdict = {None: "", True: ", better", False: ", worse"}[change.better]
    click.echo(f"\n{change.kind}{verdict}: {click.style(change.query, bold=True)}{times}")
    for sign, side in (("-", change.before), ("+", change.after)):
        click.echo(f"  {sign} {_line(side)}")
    if change.kind == "reworded":
        click.echo(f"  - {_short(change.before.answer)}\n  + {_short(change.after.answer)}")


def _line(side: Answer) -> str:
    return f"{side.sure:.3f}  {side.question} ({side.key})" if side.answered else "no answer"


def _short(text: str) -> str:
    from semsearch.sync import shorten

    return shorten(text)
