"""The command that pre-trains a masked language model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from semsearch.cli import options, output
from semsearch.training.masking import MASKINGS


@click.command()
@click.argument("files", metavar="TEXTS...", nargs=-1, required=True)
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--encoder", help="Start from this encoder instead of new weights.")
@click.option("--layers", type=click.IntRange(1), help="Of a new model.  [default: 4]")
@click.option("--width", type=click.IntRange(1), help="Of a new model.  [default: 256]")
@click.option("--heads", type=click.IntRange(1), help="Of a new model.  [default: 4]")
@click.option(
    "--vocab-size",
    type=click.IntRange(1),
    help="Learn so many word pieces from TEXTS.  [default: 16000, or those of --encoder]",
)
@click.option("--column", help="Column of the texts in tables.")
@click.option("--encoding", help="Encoding of text files, when the detected one is wrong.")
@click.option(
    "--dev",
    metavar="FILE",
    multiple=True,
    help="Held-out texts to measure on; without it a hundredth of TEXTS is held out.",
)
@click.option(
    "--max-length",
    type=click.IntRange(8),
    default=128,
    show_default=True,
    help="Tokens of a block.",
)
@click.option(
    "--masking",
    type=click.Choice(MASKINGS),
    default="word",
    show_default=True,
    help="What there is to guess: tokens, whole words, runs of 1 to 4 words.",
)
@click.option(
    "--rate",
    type=options.Number(0, 1, min_open=True, max_open=True),
    default=0.15,
    show_default=True,
    help="Share of the tokens to guess.",
)
@click.option("--steps", type=click.IntRange(1), help="Updates of the weights.")
@click.option(
    "--epochs",
    type=options.Number(0, min_open=True),
    help="Passes over the texts.  [default: 1]",
)
@click.option(
    "--minutes", type=options.Number(0, min_open=True), help="About how long it may take."
)
@click.option(
    "--batch-tokens", type=click.IntRange(1), default=4096, show_default=True, help="Of one step."
)
@click.option(
    "--learning-rate",
    type=options.Number(0, min_open=True),
    help="Highest of AdamW.  [default: 1e-3, or 1e-4 with --encoder]",
)
@click.option(
    "--schedule",
    type=click.Choice(["linear", "cosine"]),
    default="linear",
    show_default=True,
    help="How the learning rate goes down to 0.",
)
@click.option(
    "--warmup",
    type=options.Number(0, 1, max_open=True),
    default=0.06,
    show_default=True,
    help="Share of the steps.",
)
@click.option(
    "--dropout",
    type=options.Number(0, 1, max_open=True),
    default=0.0,
    show_default=True,
    help="While pre-training.",
)
@click.option(
    "--precision",
    type=click.Choice(["auto", "float32", "bfloat16", "float16"]),
    default="auto",
    show_default=True,
    help="What products are computed in.",
)
@options.run_options
@options.json_option
def pretrain(
    files: tuple[str, ...],
    out: Path,
    column: str | None,
    encoding: str | None,
    dev: tuple[str, ...],
    device: str,
    resume: bool,
    as_json: bool,
    **values: Any,
) -> None:
    """Teach a model the language of TEXTS by letting it guess masked words; save it as OUT.

    TEXTS are `.txt` files with a text a line, or tables. OUT is an encoder with mean pooling for
    `train --encoder`, and loads in sentence-transformers and Transformers. Whole words are masked
    together: in Chinese those that jieba finds.

    \b
    Examples:
      semsearch pretrain manuals.txt domain --encoder minilm --minutes 30
      semsearch pretrain wiki.parquet base --layers 4 --width 256 --epochs 2
      semsearch pretrain 语料.txt base-zh --vocab-size 8000 --masking ngram
    """
    from semsearch.tables import read_texts
    from semsearch.training.pretraining import pretrain as run
    from semsearch.training.pretraining_settings import PretrainingSettings

    settings = PretrainingSettings(**values)

    def read(names: tuple[str, ...]) -> list[str]:
        return [
            text for name in names for text in read_texts(name, column=column, encoding=encoding)
        ]

    with (
        output.ProgressBar("reading") as reading,
        output.ProgressBar("pre-training", "steps") as progress,
    ):
        report = run(
            read(files),
            out,
            settings,
            dev=read(dev) if dev else None,
            resume=resume,
            device=device,
            reading=reading,
            progress=progress,
        )
    if as_json:
        output.echo_json({"path": str(out), **report.to_dict()})
        return
    click.echo(f"{out}: {report.steps:,} steps in {report.seconds:,.0f} s")
    click.echo(f"  {report}")
    if report.after.loss > report.before.loss:
        click.secho("warning: it guesses worse than before", fg="yellow", err=True)
