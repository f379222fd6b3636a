"""The command that trains an encoder."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from semsearch.cli import options, output
from semsearch.training.objectives import CONCATENATIONS, DISTANCES, OBJECTIVES, RECORDS

if TYPE_CHECKING:
    from semsearch.training.report import Report

_SETTINGS = (
    *("encoder", "teacher", "vocabulary", "dim", "literal", "pooling", "max_length", "truncate"),
    *("epochs", "steps", "batch_size", "batch_tokens", "topics", "mini_batch", "learning_rate"),
    *("embedding_rate", "warmup", "dropout", "precision", "checks", "patience", "seed"),
)
_LOSS = ("temperature", "margin", "concatenation", "distance", "similarities", "ranking")
_BESIDE = tuple(name for name in OBJECTIVES if name != "distil")


class _Numbers(click.ParamType):  # type: ignore[type-arg]
    """Whole numbers with commas between them: 0,2,5."""

    name = "numbers"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[int, ...]:
        if isinstance(value, tuple):
            return value
        try:
            return tuple(int(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a list of numbers such as 0,2,5.", param, ctx)


class _Range(click.ParamType):  # type: ignore[type-arg]
    """The lowest and the highest of something: 0,5."""

    name = "range"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[float, float]:
        if isinstance(value, tuple):
            return value
        try:
            low, high = (float(part) for part in value.split(","))
        except ValueError:
            self.fail(f"{value!r} is not a range such as 0,5.", param, ctx)
        return low, high


class _Column(click.ParamType):  # type: ignore[type-arg]
    """Which column has a role: role=COLUMN."""

    name = "role=column"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        role, equals, column = value.partition("=")
        if not (role and equals and column):
            self.fail(f"{value!r} is not ROLE=COLUMN, such as score=similarity.", param, ctx)
        return role, column


class _Table(click.ParamType):  # type: ignore[type-arg]
    """What is learnt from another table: objective=TABLE."""

    name = "objective=table"

    def convert(self, value: Any, param: Any, ctx: Any) -> tuple[str, str]:
        if isinstance(value, tuple):
            return value
        objective, _, table = value.partition("=")
        if objective not in _BESIDE or not table:
            names = ", ".join(_BESIDE)
            self.fail(f"{value!r} is not OBJECTIVE=TABLE with one of {names}.", param, ctx)
        return objective, table


def _objectives() -> str:
    """What each objective is and how its paper trains it, for the help."""
    lines = []
    for name, record in RECORDS.items():
        epochs = f"{record.epochs} epoch" + ("s" if record.epochs > 1 else "")
        lines += [
            f"  {name}: {record.summary}.",
            f"    Batch {record.batch_size}, learning rate {record.learning_rate:g}, {epochs}, "
            f"warm-up {record.warmup:.0%}.",
            f"    {record.source}",
        ]
    return "\n".join(lines)


@click.command(
    epilog="\b\nObjectives, with the settings of their papers:\n" + _objectives(),
)
@click.argument("files", metavar="[TABLE]...", nargs=-1)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--objective", type=click.Choice(OBJECTIVES), help="What is learnt; see below.")
@click.option("--encoder", default="embedded", show_default=True, help="What is trained.")
@click.option("--bank", metavar="BANK", help="Learn from a bank's table, or an index.")
@click.option("--phrasings", metavar="FILE", help="A bank's second table: key, text of a phrasing.")
@click.option(
    "--shape",
    type=click.Choice(["sentences", "pairs", "triplets"]),
    help="What TABLE holds, for objectives that learn from several: distil, contrastive.",
)
@click.option(
    "--column",
    "columns",
    type=_Column(),
    multiple=True,
    metavar="ROLE=COLUMN",
    help="Column of a role, such as score=similarity; may be given several times.",
)
@click.option("--labels", metavar="A,B,...", help="The labels there can be, in their order.")
@click.option("--score-range", type=_Range(), metavar="LOW,HIGH", help="What scores can be.")
@click.option("--encoding", help="Encoding of tables, when the detected one is wrong.")
@click.option("--skip-bad", is_flag=True, help="Leave out bad rows and say how many.")
@click.option("--dev", metavar="TABLE", multiple=True, help="Held-out examples.")
@click.option(
    "--dev-share",
    type=options.Number(0, 1, max_open=True),
    default=0.1,
    show_default=True,
    help="Share of the examples that is held out where there is no --dev; 0 for none.",
)
@click.option(
    "--evaluate",
    "tests",
    metavar="TABLE",
    multiple=True,
    help="Test data: scored before and after.",
)
@click.option(
    "--drop-leaks", is_flag=True, help="Leave out examples that are in --evaluate, --dev."
)
@click.option(
    "--also",
    type=_Table(),
    multiple=True,
    metavar="OBJECTIVE=TABLE",
    help="Learn from another table, too, with another objective and its paper's batch size; may be "
    "given several times. Its columns go by their usual names. An epoch has the batches of all "
    "tables, mixed.",
)
@click.option("--mine-hard", type=click.IntRange(1), metavar="N", help="Hard negatives of a pair.")
@click.option("--teacher", help="Whose vectors distil matches; default: the encoder's own.")
@click.option("--layers", type=_Numbers(), metavar="0,2,5", help="Layers of the encoder to keep.")
@click.option(
    "--vocab", "vocabulary", metavar="FILE", help="Word pieces, one a line, instead of its own."
)
@click.option(
    "--dim",
    type=click.IntRange(1),
    help="distil: dimensions of the student, a map behind its pooling, at first the teacher's PCA.",
)
@click.option(
    "--literal",
    type=options.Number(0),
    help="distil, of pairs, with --batch-tokens: weight of a translation's own words in its "
    "target, times the share of them that stand side by side in hardly any other: names and "
    "jargon are then compared as they are spelt.",
)
@options.reading_options
@click.option("--epochs", type=options.Number(0, min_open=True), help="Passes over the examples.")
@click.option("--steps", type=click.IntRange(1), help="Updates of the weights.")
@click.option("--batch-size", type=click.IntRange(1), help="Examples that one step learns from.")
@click.option(
    "--batch-tokens",
    type=click.IntRange(1),
    help="distil, in place of --batch-size: tokens that one step learns from, padding included, in "
    "single sentences of one length.",
)
@click.option(
    "--topics",
    type=click.IntRange(2),
    help="With --batch-tokens: a step has sentences of one of so many topics, which are harder to "
    "tell apart; some 600 sentences a topic.",
)
@click.option(
    "--mini-batch",
    type=click.IntRange(1),
    help="Examples in memory at a time; tokens with --batch-tokens.",
)
@click.option("--learning-rate", type=options.Number(0, min_open=True), help="Highest of AdamW.")
@click.option(
    "--embedding-rate",
    type=options.Number(0, min_open=True),
    help="The same for the word embeddings; default: as all others.",
)
@click.option("--warmup", type=options.Number(0, 1, max_open=True), help="Share of the steps.")
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="What it computes in; auto takes half precision where the hardware has it.",
)
@click.option(
    "--checks",
    type=click.IntRange(1),
    default=5,
    show_default=True,
    help="Dev scores and checkpoints over the run.",
)
@click.option("--patience", type=click.IntRange(1), help="End after so many checks without gain.")
@click.option("--dropout", type=options.Number(0, 1, max_open=True), help="Other dropout.")
@click.option(
    "--temperature",
    type=options.Number(0, min_open=True),
    default=0.05,
    show_default=True,
    help="What cosines are divided by: simcse, contrastive, cosent, angle, --ranking.",
)
@click.option(
    "--margin",
    type=options.Number(0, min_open=True),
    default=1.0,
    show_default=True,
    help="By how much triplet wants the negative farther away.",
)
@click.option(
    "--concatenation",
    type=click.Choice(CONCATENATIONS),
    default=CONCATENATIONS[0],
    show_default=True,
    help="What classification sees.",
)
@click.option(
    "--distance",
    type=click.Choice(DISTANCES),
    default="mse",
    show_default=True,
    help="distil: to the teacher's vector.",
)
@click.option(
    "--similarities",
    type=options.Number(0),
    default=0.0,
    show_default=True,
    help="distil: weight of the error of the cosines within a batch.",
)
@click.option(
    "--ranking",
    type=options.Number(0),
    default=0.0,
    show_default=True,
    help="distil: weight of finding the own target among those of the batch.",
)
@click.option(
    "--dims", type=_Numbers(), metavar="128,64", help="Matryoshka: dimensions that are to work too."
)
@options.run_options
@options.json_option
def train(
    files: tuple[str, ...],
    out: Path,
    objective: Any,
    bank: str | None,
    phrasings: str | None,
    shape: Any,
    columns: tuple[tuple[str, str], ...],
    labels: str | None,
    score_range: tuple[float, float] | None,
    encoding: str | None,
    skip_bad: bool,
    dev: tuple[str, ...],
    dev_share: float,
    tests: tuple[str, ...],
    drop_leaks: bool,
    also: tuple[Any, ...],
    mine_hard: int | None,
    layers: tuple[int, ...] | None,
    dims: tuple[int, ...] | None,
    device: str,
    resume: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Train an encoder on each TABLE, or on a bank, and save it as OUT.

    OUT is a directory that `build`, `query` and `sts` take as --encoder, and that plain
    sentence-transformers loads. What is not set is set as in the objective's paper. A tenth of
    the examples is held out; the score on them is printed before and after, and the best weights
    are kept.

    \b
    Examples:
      semsearch train --bank faq.csv my-encoder
      semsearch train scored.csv my-encoder --objective regression --score-range 0,5
      semsearch train sentences.txt my-encoder --objective simcse --pooling cls
      semsearch train nli.csv my-encoder --objective classification --pooling mean
    """
    from semsearch.training import processes
    from semsearch.training.command import run_command
    from semsearch.training.objectives import LossOptions
    from semsearch.training.preparing import Sources
    from semsearch.training.settings import Settings

    reading: dict[str, Any] = {"encoding": encoding, "skip_bad": skip_bad}
    if bank is None:
        names = [name.strip() for name in labels.split(",")] if labels else None
        reading |= {"columns": dict(columns), "labels": names, "score_range": score_range}
    elif phrasings is not None:
        reading["phrasings"] = phrasings
    settings = Settings(
        objective or "contrastive",
        layers=layers or (),
        loss=LossOptions(dims=dims or (), **{name: values[name] for name in _LOSS}),
        **{name: values[name] for name in _SETTINGS},
    )
    sources = Sources(files, bank, shape, dev, dev_share, tests, drop_leaks, also, reading)
    with output.ProgressBar("training", "steps") as progress:
        report = run_command(
            settings,
            sources,
            out,
            mine_hard=mine_hard,
            resume=resume,
            device=device,
            progress=progress,
        )
    if not processes.is_main():
        return
    if as_json:
        output.echo_json({"path": str(out), **report.to_dict()})
        return
    _echo(out, report)


def _echo(out: Path, report: Report) -> None:
    click.echo(
        f"{out}: {report.steps:,} steps in {report.seconds:,.0f} s, the weights of step "
        f"{report.best_step:,}"
    )
    for gain in (*([report.gain] if report.gain else []), *report.tests):
        click.echo(f"  {gain}")
    if report.gain is None:
        click.echo("  nothing was held out: whether it is better is not known")
    if report.gain is not None and report.gain.difference < 0:
        certain = "" if report.gain.worse else ", though that may be chance"
        click.secho(
            f"warning: worse than {report.settings.encoder} on the held-out examples{certain}",
            fg="yellow",
            err=True,
        )
