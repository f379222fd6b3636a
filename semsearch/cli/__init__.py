"""The command line: it parses, delegates and prints."""

from __future__ import annotations

import importlib
import logging
import sys
from typing import Any

import click

from semsearch import __version__
from semsearch.errors import BadRowsError, SemsearchError

SECTIONS: dict[str, dict[str, str]] = {
    "Bank": {
        "build": "semsearch.cli.bank",
        "add": "semsearch.cli.bank",
        "remove": "semsearch.cli.bank",
        "export": "semsearch.cli.bank",
        "info": "semsearch.cli.upkeep",
        "verify": "semsearch.cli.upkeep",
        "compact": "semsearch.cli.upkeep",
        "tune": "semsearch.cli.tune",
        "review": "semsearch.cli.review",
        "gaps": "semsearch.cli.gaps",
    },
    "Answers": {
        "query": "semsearch.cli.answers",
        "calibrate": "semsearch.cli.calibrate",
        "diff": "semsearch.cli.diff",
        "improve": "semsearch.cli.improve",
        "rollback": "semsearch.cli.improve",
        "demo": "semsearch.cli.demo",
    },
    "Encoders": {
        "encoder": "semsearch.cli.encoders",
        "whiten": "semsearch.cli.encoders",
        "quantize": "semsearch.cli.quantize",
    },
    "Training": {
        "train": "semsearch.cli.train",
        "pretrain": "semsearch.cli.pretrain",
    },
    "Benchmarks": {
        "evaluate": "semsearch.cli.evaluate",
        "sts": "semsearch.cli.sts",
    },
}

_PROBLEMS_SHOWN = 100


class _Failure(click.ClickException):
    """One line on stderr, exit code 2."""

    exit_code = 2

    def show(self, file: Any = None) -> None:
        click.echo(f"semsearch: {self.format_message()}", err=True)


class Commands(click.Group):
    """Commands in sections, each module imported only when its command runs."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return [name for section in SECTIONS.values() for name in section]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        for section in SECTIONS.values():
            if cmd_name in section:
                command = getattr(importlib.import_module(section[cmd_name]), cmd_name)
                assert isinstance(command, click.Command)
                return command
        return None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        for title, names in SECTIONS.items():
            with formatter.section(title):
                commands = [(name, self.get_command(ctx, name)) for name in names]
                formatter.write_dl(
                    [
                        (name, command.get_short_help_str(66))
                        for name, command in commands
                        if command
                    ]
                )

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except BadRowsError as error:
            for problem in error.problems[:_PROBLEMS_SHOWN]:
                click.echo(str(problem), err=True)
            more = len(error.problems) - _PROBLEMS_SHOWN
            if more > 0:
                click.echo(f"… and {more} more", err=True)
            raise _Failure(str(error)) from error
        except SemsearchError as error:
            raise _Failure(str(error)) from error
        except BrokenPipeError:
            raise
        except OSError as error:
            where = f"{error.filename}: " if error.filename else ""
            raise _Failure(f"{where}{error.strerror or error}") from error
        except KeyboardInterrupt as error:
            usual = "Interrupted. Nothing is half-written; a build goes on from here."
            click.echo(f"\n{error}" if str(error) else f"\n{usual}", err=True)
            ctx.exit(130)


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="semsearch")
def cli() -> None:
    """Find the right standard question in milliseconds.

    \b
    semsearch demo                              see it work
    semsearch build faq.csv                     make index/faq, or bring it up to date
    semsearch query index/faq "where is my parcel"
    """


class _Messages(logging.Handler):
    """What the library has to say goes to stderr, a line each."""

    def emit(self, record: logging.LogRecord) -> None:
        prefix = "warning: " if record.levelno >= logging.WARNING else ""
        click.echo(prefix + record.getMessage(), err=True)


class _WithoutPandas:
    """Hides pandas from sqlite-utils, which would import it only to know its types: 0.5 s."""

    def find_spec(self, name: str, path: Any, target: Any = None, /) -> None:
        importing = sys.modules.get("sqlite_utils.db")
        if name == "pandas" and importing and not hasattr(importing, "Database"):
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)


def main() -> None:
    """Entry point of the `semsearch` command."""
    sys.meta_path.insert(0, _WithoutPandas())
    for stream in (sys.stdout, sys.stderr):
        # A terminal that cannot show a character gets an escape, not a traceback.
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")
    logger = logging.getLogger("semsearch")
    logger.setLevel(logging.INFO)
    logger.addHandler(_Messages())
    cli()
