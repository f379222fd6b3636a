"""The command that measures answers against labels: evaluate."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semsearch.cli import options, output
from semsearch.types import Device, Precision, RuntimeName

if TYPE_CHECKING:
    from semsearch.evaluation.retrieval import RetrievalReport

_LABELS = {
    "accuracy_at_1": ("accuracy@1", "that expect an answer"),
    "recall_at_5": ("recall@5", "that expect an answer"),
    "mrr": ("MRR@{k}", "that expect an answer"),
    "precision": ("precision", "that got an answer"),
    "coverage": ("coverage", "that expect an answer"),
    "right_answer": ("right answer", "that expect an answer"),
    "right_refusal": ("right refusal", "that expect none"),
}


@click.command()
@click.argument("index_dir", metavar="INDEX", type=options.INDEX)
@click.argument("queries", metavar="QUERIES")
@options.labelled_options
@click.option(
    "-k", type=click.IntRange(min=1), default=10, show_default=True, help="How far MRR looks."
)
@click.option(
    "--min-score",
    type=options.Number(-1, 1),
    help="Cosine below which there is no answer; measures what refusing wins and loses.",
)
@click.option(
    "--score", type=click.Choice(["best", "top3"]), help="Score in another way than the index says."
)
@options.lexical_option
@click.option(
    "--errors", metavar="FILE", type=options.FILE, help="Write the wrong ones to a table."
)
@click.option("--encoder", help="Encoder in place of the index's own; it must be the same.")
@options.encoder_options
@options.json_option
def evaluate(
    index_dir: Path,
    queries: str,
    errors: Path | None,
    encoder: str | None,
    runtime: RuntimeName,
    device: Device,
    precision: Precision,
    as_json: bool,
    **values: Any,
) -> None:
    """Measure how often INDEX gives the right answer to QUERIES.

    QUERIES is a table with a text and the expected key; an empty key says that no answer is
    expected. Each measure comes with its 95% bootstrap interval.

    \b
    accuracy@1      the expected standard question is the first hit
    recall@5        it is among the first 5 hits
    MRR             mean of 1 / its rank, 0 beyond the first k
    With --min-score, or once INDEX is calibrated, also:
    precision       of the queries that got an answer, the right ones
    coverage        of those that expect an answer, the answered ones
    right answer    of those that expect an answer, those that got the right one
    right refusal   of those that expect none, the unanswered ones

    \b
    Examples:
      semsearch evaluate index/faq test.csv
      semsearch evaluate index/faq test.csv --min-score 0.5 --errors wrong.csv
    """
    from semsearch.evaluation import retrieval
    from semsearch.index import Index
    from semsearch.tables import write_table

    options.keep_apart(queries, ("--errors", errors))
    with (
        Index.open(
            index_dir, encoder=encoder, runtime=runtime, device=device, precision=precision
        ) as index,
        output.ProgressBar("asking") as progress,
    ):
        report = retrieval.evaluate(index, queries, progress=progress, **values)
    output.echo_skipped(report.skipped)
    if errors is not None:
        write_table(errors, report.errors(), columns=retrieval.ERROR_COLUMNS)
    if as_json:
        output.echo_json(report.to_dict())
    else:
        _show(report)
    if errors is not None:
        click.echo(f"{errors}: {len(report.wrong)} wrong ones", err=as_json)


def _show(report: RetrievalReport) -> None:
    facts = report.to_dict()
    threshold = "" if report.min_score is None else f", answers from {report.min_score:g}"
    if report.threshold is not None:
        threshold = f", answers from confidence {report.threshold:.3f}"
    click.echo(
        f"{report.index}: {facts['queries']} queries, {facts['answerable']} that expect an answer, "
        f"{facts['unanswerable']} that expect none; score {report.score}{threshold}"
    )
    for name, measure in report.measures.items():
        label, of = _LABELS[name]
        line = f"{label.format(k=report.k):<13}"
        if measure.value is None:
            click.echo(f"{line}      –  no queries {of}")
            continue
        right = "" if name == "mrr" else f"{round(measure.value * measure.n)} of "
        click.echo(
            f"{line}  {measure.value:.3f}  [{measure.low:.3f}, {measure.high:.3f}]  "
            f"{right}{measure.n} {of}"
        )
