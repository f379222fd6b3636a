"""Commands that change a bank: build, add, remove, export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semsearch.cli import options, output
from semsearch.errors import ConfirmationError
from semsearch.types import Device, Precision, RuntimeName

if TYPE_CHECKING:
    from semsearch.tables import Bank


@click.command()
@click.argument("table", metavar="TABLE")
@click.argument("index_dir", metavar="[INDEX]", type=options.INDEX, required=False)
@options.table_options
@click.option("--encoder", help="Name, directory or hub id; the default is embedded.")
@options.reading_options
@click.option(
    "--whiten", type=click.IntRange(min=1), metavar="DIM", help="Whiten vectors to DIM dimensions."
)
@click.option(
    "--whiten-on", metavar="FILE", help="Texts to fit the whitening on; default: the phrasings."
)
@click.option(
    "--score",
    type=click.Choice(["best", "top3"]),
    help="Score a standard question by its best phrasing or the mean of its three best.",
)
@click.option(
    "--factory",
    help="auto, or a FAISS factory string; the default is the index's own.",
)
@click.option("--rebuild", is_flag=True, help="Encode everything again, as the options say.")
@click.option(
    "--yes",
    is_flag=True,
    help="Let more than half of the bank be removed, or what only bad rows had.",
)
@options.wait_option
@options.making_options
@options.json_option
def build(
    table: str,
    index_dir: Path | None,
    yes: bool,
    as_json: bool,
    whiten_on: str | None,
    **values: Any,
) -> None:
    """Make an index of TABLE, or bring an existing one in line with it.

    TABLE is CSV, TSV, JSON Lines, Parquet, Excel (.xlsx), an SQLite table (bank.db::faq), or -
    for CSV on standard input. INDEX is index/<name of the table> unless given.

    \b
    Examples:
      semsearch build faq.csv
      semsearch build faq.xlsx index/faq --question 标准问 --answer 答案
      semsearch build bank.db::faq index/faq --whiten 256
    """
    from semsearch.index import Index
    from semsearch.tables import read_bank, read_texts

    directory = index_dir or _default_index(table)
    bank = read_bank(table, **options.table_arguments(values))
    texts = read_texts(whiten_on) if whiten_on else None

    def run(allow_removal: bool) -> Index:
        gone = only_in_index(directory, bank) if bank.problems and not allow_removal else ()
        if gone:
            raise ConfirmationError(
                f"{len(bank.problems)} bad rows are left out, and {len(gone)} standard questions "
                f"of {directory} stand in no other: they would be removed. If that is meant, pass "
                "--yes."
            )
        with output.ProgressBar("encoding") as progress:
            return Index.build(
                bank,
                directory,
                whiten_on=texts,
                allow_removal=allow_removal,
                progress=progress,
                **values,
            )

    try:
        index = run(yes)
    except ConfirmationError as error:
        if as_json or not options.asks_a_person():
            raise
        what = str(error).partition(" If that is meant")[0]  # a path in it may hold full stops
        click.confirm(f"{what} Go on?", abort=True, err=True)
        index = run(True)
    with index:
        info = index.info()
    output.echo_warnings(index.report.warnings)
    output.echo_left_out(bank)
    if as_json:
        output.echo_json(
            {
                "index": str(directory),
                "source": bank.table.describe(),
                "skipped": len(bank.problems),
                **info,
                **output.report_dict(index.report),
            }
        )
        return
    click.echo(
        f"{directory}: {info['questions']} standard questions, {info['phrasings']} phrasings "
        f"({bank.table.describe()})"
    )
    click.echo(output.report_line(index.report))


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.argument("table", metavar="TABLE")
@options.table_options
@options.wait_option
@options.making_options
@options.json_option
def add(
    index_dir: Path,
    table: str,
    as_json: bool,
    runtime: RuntimeName,
    device: Device,
    precision: Precision,
    **values: Any,
) -> None:
    """Add the rows of TABLE to INDEX, changing those whose key is there.

    Nothing is removed; to make an index say exactly what a table says, use build.

    \b
    Example:
      semsearch add index/faq new-questions.csv
    """
    from semsearch.index import Index
    from semsearch.tables import read_bank

    bank = read_bank(table, **options.table_arguments(values))
    with (
        Index.open(index_dir, runtime=runtime, device=device, precision=precision) as index,
        output.ProgressBar("encoding") as progress,
    ):
        report = index.add(bank, progress=progress, **values)
    output.echo_warnings(report.warnings)
    output.echo_left_out(bank)
    if as_json:
        output.echo_json({"skipped": len(bank.problems), **output.report_dict(report)})
    else:
        click.echo(output.report_line(report))


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.argument("keys", metavar="KEY...", nargs=-1, required=True)
@options.wait_option
@options.json_option
def remove(index_dir: Path, keys: tuple[str, ...], wait_seconds: float, as_json: bool) -> None:
    """Remove standard questions from INDEX by their keys.

    \b
    Example:
      semsearch remove index/faq refund-status K017
    """
    from semsearch.index import Index

    with Index.open(index_dir) as index:
        report = index.remove(keys, wait_seconds=wait_seconds)
    if as_json:
        output.echo_json(output.report_dict(report))
    else:
        click.echo(output.report_line(report))


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.argument("file", metavar="FILE", type=options.FILE)
def export(index_dir: Path, file: Path) -> None:
    """Write the bank of INDEX to a table that build reads back.

    The suffix of FILE says the format: .csv, .tsv, .jsonl, .parquet or .xlsx.

    \b
    Example:
      semsearch export index/faq faq.csv
    """
    from semsearch.index import Index

    with Index.open(index_dir) as index:
        n, roles = index.export(file)
    click.echo(f"{file}: {n} standard questions")
    if roles:
        click.echo(
            "Some of your columns have names that build takes for others. Read the file back with: "
            f"semsearch build {file} {index_dir} --key '{roles.key}' --question "
            f"'{roles.question}' --answer '{roles.answer}' --phrasing '{roles.phrasings[0]}'",
            err=True,
        )


def only_in_index(directory: Path, bank: Bank) -> set[str]:
    """Keys of the standard questions of an index, if there is one, that a bank has not."""
    from semsearch.errors import IndexNotFoundError
    from semsearch.index import Index

    try:
        index = Index.open(directory)
    except IndexNotFoundError:
        return set()
    with index:
        return {question.key for question in index.questions()} - {q.key for q in bank.questions}


def _default_index(table: str) -> Path:
    if table == "-":
        raise click.UsageError("Standard input has no name: say which INDEX to make.")
    path, _, name = table.partition("::")
    return Path("index") / (name or Path(path).stem)
