"""What people read: results on stdout, everything else on stderr."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from time import monotonic
from typing import TYPE_CHECKING, Any

import click

from semsearch.errors import Problem
from semsearch.sync import EXAMPLES, SyncReport, SyncWarning
from semsearch.types import Result

if TYPE_CHECKING:
    from semsearch.tables import Bank


def echo_json(value: Any) -> None:
    """One JSON document on one line."""
    text = json.dumps(value, ensure_ascii=False)
    try:
        text.encode(getattr(sys.stdout, "encoding", None) or "utf-8")
    except UnicodeEncodeError:  # JSON's own escapes, which say the same
        text = json.dumps(value)
    click.echo(text)


def echo_warnings(warnings: Sequence[SyncWarning]) -> None:
    """Warnings with their examples."""
    for warning in warnings:
        click.echo(click.style("warning: ", fg="yellow") + warning.message, err=True)
        for example in warning.examples:
            click.echo(f"  e.g. {example}", err=True)


def echo_skipped(problems: Sequence[Problem]) -> None:
    """Bad rows that were left out, if any were."""
    if problems:
        click.echo(f"skipped {len(problems)} bad rows:", err=True)
    for problem in problems:
        click.echo(f"  {problem}", err=True)


def echo_left_out(bank: Bank) -> None:
    """The bad rows of a table that were left out, and what was said twice about one key."""
    echo_skipped(bank.problems)
    if bank.differing:
        rows = "row says" if len(bank.differing) == 1 else "rows say"
        click.echo(
            click.style("warning: ", fg="yellow")
            + f"{len(bank.differing)} {rows} otherwise than the first one of the same standard "
            "question, which counts:",
            err=True,
        )
        for problem in bank.differing[:EXAMPLES]:
            click.echo(f"  {problem}", err=True)


def report_line(report: SyncReport) -> str:
    """The summary of a change."""
    return (
        f"{report.added} added, {report.changed} changed, {report.removed} removed, "
        f"{report.unchanged} unchanged in {report.seconds:.1f} s"
    )


def report_dict(report: SyncReport) -> dict[str, Any]:
    """The summary of a change as JSON-ready values."""
    return asdict(report)


def echo_result(result: Result, *, show_query: bool) -> None:
    """One query's hits for a person."""
    if show_query:
        click.secho(f"> {result.query}", bold=True)
    sure = "" if result.confidence is None else f"confidence {result.confidence:.3f}"
    if not result.answered:
        click.echo(f"no answer ({sure})" if sure else "no answer")
    elif sure:
        click.echo(sure)
    for hit in result.hits:
        click.echo(f"{hit.rank}. {hit.score:.3f}  {click.style(hit.question, bold=True)}")
        if hit.lexical:
            click.secho(_indent(f"words: {hit.lexical:.2f}"), dim=True)
        if hit.answer:
            click.echo(_indent(hit.answer))
        if hit.phrasing != hit.question:
            click.secho(_indent(f"matched: {hit.phrasing}"), dim=True)


def _indent(text: str) -> str:
    return "\n".join(f"          {line}" for line in text.splitlines())


class ProgressBar:
    """A bar with rate and ETA on stderr, only on a terminal.

    Call it with (done, total), and with the loss of late where something is trained.
    """

    def __init__(self, label: str, unit: str = "texts") -> None:
        self._label = label
        self._unit = unit
        self._stream = sys.stderr
        self._bar: Any = None
        self._started, self._first = 0.0, 0

    def __call__(self, done: int, total: int, loss: float | None = None) -> None:
        if not total or not self._stream.isatty():
            return
        if self._bar is None:
            self._bar = click.progressbar(
                length=total,
                label=self._label,
                file=self._stream,
                item_show_func=lambda shown: shown,
            )
            self._bar.__enter__()
            self._started, self._first = monotonic(), done
        rate = (done - self._first) / max(monotonic() - self._started, 1e-6)
        digits = 0 if rate >= 10 else 2
        shown = f"{rate:,.{digits}f} {self._unit}/s"
        if loss is not None:
            shown = f"loss {loss:.4f}  {shown}"
        self._bar.update(done - self._bar.pos, shown)

    def __enter__(self) -> ProgressBar:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.__exit__(None, None, None)


class Stages:
    """A bar for each of several things that are done one after the other."""

    def __init__(self) -> None:
        self._bar: ProgressBar | None = None
        self._name = ""
        self._done = 0

    def __call__(self, name: str, done: int, total: int, loss: float | None = None) -> None:
        if self._bar is None or name != self._name or done < self._done:
            self.__exit__()
            self._bar = ProgressBar(name, "steps" if loss is not None else "texts")
        self._name, self._done = name, done
        self._bar(done, total, loss)

    def __enter__(self) -> Stages:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.__exit__()


def counted(update: Callable[[int, int], None], total: int) -> Callable[[int], None]:
    """A progress callback that is told how many texts were just finished."""
    done = 0

    def finished(n: int) -> None:
        nonlocal done
        done += n
        update(done, total)

    return finished
