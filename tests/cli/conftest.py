"""What the tests of commands share."""

from __future__ import annotations

from click.testing import CliRunner, Result

from semsearch.cli import cli


def invoke(*arguments: str) -> Result:
    """Run a command; only an exit code may come out of it, no other exception."""
    result = CliRunner().invoke(cli, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result
