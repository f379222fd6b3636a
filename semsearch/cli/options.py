"""Options that several commands share."""

from __future__ import annotations

import math
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

import click
from click.core import ParameterSource

from semsearch.types import POOLINGS, PRECISIONS, RUNTIMES, TRUNCATIONS

F = TypeVar("F", bound=Callable[..., Any])


class _Index(click.Path):
    """The directory of an index; nothing at all would be the working directory."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        if value == "":
            self.fail("the name of the index is empty.", parameter, context)
        return super().convert(value, parameter, context)


class Number(click.FloatRange):
    """A number of a range, which "nan" is not."""

    def convert(
        self, value: Any, parameter: click.Parameter | None, context: click.Context | None
    ) -> Any:
        number = super().convert(value, parameter, context)
        if math.isnan(number):
            self.fail(f"{value} is no number.", parameter, context)
        return number


INDEX = _Index(path_type=Path, file_okay=False)
FILE = click.Path(path_type=Path)


def _all(*options: Callable[[F], F]) -> Callable[[F], F]:
    def decorate(function: F) -> F:
        for option in reversed(options):
            function = option(function)
        return function

    return decorate


table_options = _all(
    click.option("--question", metavar="COLUMN", help="Column of the standard question."),
    click.option("--answer", metavar="COLUMN", help="Column of the answer."),
    click.option("--key", metavar="COLUMN", help="Column of the key; without one it is derived."),
    click.option(
        "--phrasing",
        metavar="COLUMN",
        multiple=True,
        help="Column of other wordings; may be given several times.",
    ),
    click.option(
        "--phrasings", type=str, metavar="FILE", help="A second table: key, text of a phrasing."
    ),
    click.option("--encoding", help="Encoding of the table, when the detected one is wrong."),
    click.option("--skip-bad", is_flag=True, help="Leave out bad rows and say how many."),
)

LABELLED_OPTIONS = ("column", "key", "none", "encoding", "skip_bad")
"""The names of `labelled_options`."""

labelled_options = _all(
    click.option("--column", metavar="COLUMN", help="Column of the queries' texts."),
    click.option("--key", metavar="COLUMN", help="Column of the expected keys."),
    click.option(
        "--none",
        default="",
        metavar="VALUE",
        help="What says that no answer is expected, besides an empty key.",
    ),
    click.option("--encoding", help="Encoding of the table, when the detected one is wrong."),
    click.option("--skip-bad", is_flag=True, help="Leave out bad rows and say how many."),
)

runtime_option = click.option(
    "--runtime",
    type=click.Choice(RUNTIMES),
    default="auto",
    show_default=True,
    help="What the encoder runs on.",
)


def keep_apart(read: str | None, *written: tuple[str, Path | None]) -> None:
    """Refuse to write over what is read, or over what another option writes.

    Args:
        read: a file that the command reads, unless it is "-".
        written: names of options, and the files that they write.
    """
    names = {Path(read).resolve(): "what is read"} if read and read != "-" else {}
    for option, path in written:
        if path is None:
            continue
        other = names.setdefault(path.resolve(), option)
        if other != option:
            raise click.UsageError(f"{option} {path} would replace {other}. Name another file.")


def without_effect(why: str, *names: str) -> None:
    """Refuse the options of the command that is run, of these names, that were given."""
    context = click.get_current_context()
    for parameter in context.command.params:
        source = context.get_parameter_source(parameter.name or "")
        if parameter.name in names and source is ParameterSource.COMMANDLINE:
            raise click.UsageError(f"{parameter.opts[0]} {why}.")


def asks_a_person() -> bool:
    """Whether somebody can be asked; a service may have no standard input at all."""
    return sys.stdin is not None and sys.stdin.isatty()


def device_option(what: str) -> Callable[[F], F]:
    """--device, and what runs there."""
    return click.option(
        "--device",
        type=click.Choice(["cpu", "cuda", "auto"]),
        default="cpu",
        show_default=True,
        help=what,
    )


_precision_option = click.option(
    "--precision",
    type=click.Choice(PRECISIONS),
    default="auto",
    show_default=True,
    help="What the encoder computes in.",
)

runtime_options = _all(
    runtime_option,
    device_option("What encodes and searches."),
)

encoder_options = _all(runtime_options, _precision_option)

making_options = _all(
    runtime_option, device_option("What encodes, and makes large snapshots."), _precision_option
)
"""Of commands that write an index."""

encoding_options = _all(runtime_option, device_option("Where the encoder runs."), _precision_option)
"""Of commands that have to do with an encoder and no index."""

reading_options = _all(
    click.option("--pooling", type=click.Choice(POOLINGS), help="Other pooling."),
    click.option("--max-length", type=click.IntRange(min=3), help="Tokens read of a text."),
    click.option(
        "--truncate",
        metavar="|".join([*TRUNCATIONS[:3], "A+B", *TRUNCATIONS[3:]]),
        help="What is read of longer texts; A+B tokens of both ends; windows read all.",
    ),
)

wait_option = click.option(
    "--wait",
    "wait_seconds",
    type=Number(-1, 10**9),
    default=0.0,
    metavar="SECONDS",
    help="Wait for another writer to finish; -1 waits for ever.",
)

lexical_option = click.option(
    "--lexical",
    type=click.Choice(["auto", "on", "off"]),
    default="auto",
    show_default=True,
    help="Count the words of a query, too: names, codes, numbers.",
)

seed_option = click.option(
    "--seed",
    type=click.IntRange(0),
    default=0,
    show_default=True,
    help="Of everything random.",
)

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


run_options = _all(
    seed_option,
    click.option(
        "--device",
        type=click.Choice(["auto", "cpu", "cuda"]),
        default="auto",
        show_default=True,
        help="Where it is trained.",
    ),
    click.option("--resume", is_flag=True, help="Go on with a run that was stopped."),
)


_SIZE = re.compile(r"(\d+(?:\.\d+)?) *([kmgt]?i?b?)")
_UNITS = {
    f"{prefix}{binary}{sign}": (1024 if binary else 1000) ** power
    for power, prefix in enumerate(["", "k", "m", "g", "t"])
    for binary in (["", "i"] if prefix else [""])
    for sign in ["", "b"]
}


def _size(least: int) -> Callable[[click.Context, click.Parameter, str | None], int | None]:
    """Read bytes with a unit: 64MB, 1GB, 500 kB, 4MiB; a plain number is bytes."""

    def convert(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
        if value is None:
            return None
        found = _SIZE.fullmatch(value.strip().lower())
        if not found:
            raise click.BadParameter(f"{value!r} is no size; write 64MB, say.", ctx, param)
        size = int(float(found[1]) * _UNITS[found[2]])
        if size < least:
            raise click.BadParameter(f"{value!r} is less than {least} bytes.", ctx, param)
        return size

    return convert


log_options = _all(
    click.option("--log", type=FILE, metavar="FILE", help="Append every query to FILE, as JSON."),
    click.option(
        "--log-max",
        callback=_size(4096),
        metavar="SIZE",
        help="Of FILE and FILE.1, where older lines go; the default is 64MB.",
    ),
    click.option(
        "--redact",
        multiple=True,
        metavar="personal|FILE",
        help="Log marks in place of e-mail addresses and numbers of phones, cards and accounts, "
        "or of what regular expressions find, a line each; may be given several times.",
    ),
)


def table_arguments(values: dict[str, Any]) -> dict[str, Any]:
    """Take the values of `table_options` out of a command's arguments."""
    names = ("question", "answer", "key", "phrasing", "phrasings", "encoding", "skip_bad")
    return {name: values.pop(name) for name in names}
