"""The command that shows the job on sample banks: demo."""

from __future__ import annotations

from pathlib import Path

import click

from semsearch.cli import output
from semsearch.cli.bank import only_in_index
from semsearch.errors import DataError

BANKS = {
    "shop": (
        "whoops, i typed my old flat as the shipping adress",
        "my bank shows the same amount going out to you two times",
        "ordered a blue hat, a red scarf was in the bag",
    ),
    "bank_zh": (
        "提款機把卡吞進去了不出來",
        "双十一前能不能临时加点信用卡额度",
        "how do I send money to my son who studies abroad",
    ),
}
"""Sample bank -> what is asked, in other words than the bank has."""


@click.command()
@click.option(
    "--into",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("index"),
    show_default=True,
    help="Where to build them.",
)
@click.option("--encoder", help="Name, directory or hub id; the default is embedded.")
def demo(folder: Path, encoder: str | None) -> None:
    """Build an English and a Chinese sample bank, and answer three queries on each.

    \b
    Example:
      semsearch demo
    """
    from semsearch.index import Index

    for name, queries in BANKS.items():
        table, index_dir = _sample(f"{name}.csv"), folder / name
        click.secho(f"$ semsearch build {name}.csv {index_dir}", dim=True)
        _keep_own(index_dir, table)
        with output.ProgressBar("encoding") as progress:
            index = Index.build(table, index_dir, encoder=encoder, progress=progress)
        with index:
            click.echo(f"{index_dir}: {output.report_line(index.report)}")
            for query in queries:
                click.secho(f'\n$ semsearch query {index_dir} -k 1 "{query}"', dim=True)
                for result in index.search(query, k=1):
                    output.echo_result(result, show_query=False)
        click.echo()
    click.echo(f"Ask your own: semsearch query {folder / next(iter(BANKS))}")


def _keep_own(index_dir: Path, table: Path) -> None:
    """Refuse to make a sample bank of an index that holds anything else."""
    from semsearch.tables import read_bank

    own = only_in_index(index_dir, read_bank(table))
    if own:
        raise DataError(
            f"{index_dir}: holds {len(own)} standard questions that are not of the sample bank, "
            "and would lose them. Build the samples elsewhere: semsearch demo --into DIRECTORY"
        )


def _sample(name: str) -> Path:
    """A sample table: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "demo", package.parent / "index" / "demo"):
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"the sample bank {name} is missing. Install semsearch again.")
