"""The command that shows the job on a sample bank: demo."""

from __future__ import annotations

from pathlib import Path

import click

from semsearch.cli import output
from semsearch.errors import DataError

QUERIES = (
    "the postman has left nothing and it should have been here last thursday",
    "my bank shows the same amount going out to you two times",
    "can't sign in, no idea what my pasword was",
)


@click.command()
@click.option(
    "--into",
    "index_dir",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("index/shop"),
    show_default=True,
    help="Where to build it.",
)
@click.option("--encoder", help="Name, directory or hub id; the default is minilm.")
def demo(index_dir: Path, encoder: str | None) -> None:
    """Build the English sample bank and answer three queries.

    \b
    Example:
      semsearch demo
    """
    from semsearch.index import Index

    table = _sample("shop.csv")
    click.secho(f"$ semsearch build shop.csv {index_dir}", dim=True)
    with output.ProgressBar("encoding") as progress:
        index = Index.build(table, index_dir, encoder=encoder, progress=progress)
    with index:
        click.echo(f"{index_dir}: {output.report_line(index.report)}")
        for query in QUERIES:
            click.secho(f'\n$ semsearch query {index_dir} -k 1 "{query}"', dim=True)
            for result in index.search(query, k=1):
                output.echo_result(result, show_query=False)
    click.echo(f"\nAsk your own: semsearch query {index_dir}")


def _sample(name: str) -> Path:
    """A sample table: inside the installed package, or at the top of a checkout."""
    package = Path(__file__).resolve().parents[1]
    for folder in (package / "demo", package.parent / "index" / "demo"):
        if (folder / name).is_file():
            return folder / name
    raise DataError(f"the sample bank {name} is missing. Install semsearch again.")
