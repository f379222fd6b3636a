"""The command that answers: query."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import click

from semsearch.cli import options, output
from semsearch.lexical import Lexical
from semsearch.ranking import Score
from semsearch.types import Device, Precision, RuntimeName

if TYPE_CHECKING:
    from semsearch.querylog import QueryLog

_QUERIES_AT_ONCE = 2048


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.argument("texts", metavar="[TEXT]...", nargs=-1)
@click.option("-k", type=click.IntRange(min=1), default=3, show_default=True, help="Hits a query.")
@click.option("--min-score", type=options.Number(-1, 1), help="Leave out hits with a lower cosine.")
@click.option("--refused", is_flag=True, help="Show what a calibrated index would not answer.")
@click.option("--file", "file", metavar="FILE", help="Queries: a line each, or a table's column.")
@click.option("--column", help="Column of the queries in --file.")
@click.option(
    "--score", type=click.Choice(["best", "top3"]), help="Score in another way than the index says."
)
@options.lexical_option
@click.option(
    "--where", metavar="CONDITION", help="Only rows that pass: SQL on the table's other columns."
)
@click.option("--encoder", help="Encoder in place of the index's own; it must be the same.")
@options.log_options
@options.encoder_options
@options.json_option
def query(
    index_dir: Path,
    texts: tuple[str, ...],
    k: int,
    min_score: float | None,
    refused: bool,
    file: str | None,
    column: str | None,
    score: Score | None,
    where: str | None,
    lexical: Lexical,
    encoder: str | None,
    log: Path | None,
    log_max: int | None,
    redact: tuple[str, ...],
    runtime: RuntimeName,
    device: Device,
    precision: Precision,
    as_json: bool,
) -> None:
    """Print the K standard questions closest to each TEXT.

    Without TEXT, queries come from --file or standard input, a line each; on a terminal, from a
    prompt. --json prints one line per query. Exit code 1 when a single query has no answer: no hit
    reaches --min-score or, once INDEX is calibrated (see semsearch calibrate), the confidence does
    not reach its operating point. --min-score takes the place of that point.

    --log keeps what was asked, for semsearch gaps and semsearch improve: a line of JSON each, with
    the first hit, its score, the confidence and whether it was answered. A log that cannot be
    written is a warning; the answer comes all the same.

    \b
    Examples:
      semsearch query index/faq "where is my parcel"
      semsearch query index/faq "where is my parcel" --where "shop = 'de' AND price < 20"
      semsearch query index/faq --file queries.txt --json
      semsearch query index/faq "lost card" --log queries.jsonl --redact personal
    """
    from semsearch.index import Index

    if texts and file:
        raise click.UsageError("Give either TEXT or --file, not both.")
    if texts:
        options.without_effect("says how queries are read: give --file in place of TEXT", "column")
    kept = _query_log(log, log_max, redact)
    with Index.open(
        index_dir, encoder=encoder, runtime=runtime, device=device, precision=precision
    ) as index:

        def answer(batch: Sequence[str], *, show_query: bool) -> bool:
            results = index.search(
                batch,
                k,
                min_score=min_score,
                score=score,
                where=where,
                lexical=lexical,
                refused=refused or kept is not None,
            )
            if kept is not None:
                kept.add(results)
                if not refused:
                    results = [result.without_refused_hits() for result in results]
            for number, result in enumerate(results):
                if as_json:
                    output.echo_json(result.to_dict())
                    continue
                if number:
                    click.echo()
                output.echo_result(result, show_query=show_query)
            return all(result.answered for result in results)

        if not texts and not file and options.asks_a_person():
            for line in _prompt():
                answer([line], show_query=False)
            return
        queries = list(texts) or _from_file(file or "-", column)
        answered = True
        for start in range(0, len(queries), _QUERIES_AT_ONCE):
            batch = queries[start : start + _QUERIES_AT_ONCE]
            answered = answer(batch, show_query=len(queries) > 1)
    if len(queries) == 1 and not answered:
        click.get_current_context().exit(1)


def _query_log(path: Path | None, max_bytes: int | None, redact: Sequence[str]) -> QueryLog | None:
    if path is None:
        if max_bytes is not None or redact:
            raise click.UsageError("--log-max and --redact say how to keep a log: give --log FILE.")
        return None
    from semsearch.querylog import QueryLog, redactor
    from semsearch.querylog.writer import MAX_BYTES

    return QueryLog(
        path, redact=redactor(*redact) if redact else None, max_bytes=max_bytes or MAX_BYTES
    )


def _from_file(file: str, column: str | None) -> list[str]:
    from semsearch.tables import read_texts

    return read_texts(file, column=column)


def _prompt() -> Iterator[str]:
    """Lines typed at a prompt, with history where the terminal can."""
    try:
        import readline
    except ImportError:
        yield from _lines()
        return
    from semsearch.encoder.cache import cache_dir

    history = cache_dir() / "history"
    with suppress(OSError):
        readline.read_history_file(history)
    readline.set_history_length(1000)
    try:
        yield from _lines()
    finally:
        with suppress(OSError):
            history.parent.mkdir(parents=True, exist_ok=True)
            readline.write_history_file(history)


def _lines() -> Iterator[str]:
    while True:
        try:
            line = input("? ").strip()
        except (EOFError, KeyboardInterrupt):
            click.echo()
            return
        if line:
            yield line
