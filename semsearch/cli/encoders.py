"""Commands about encoders: encoder, whiten."""

from __future__ import annotations

from pathlib import Path

import click

from semsearch.cli import options, output
from semsearch.types import Device, Pooling, Precision, RuntimeName


@click.command()
@click.argument("name", metavar="ENCODER", default="embedded")
@options.reading_options
@options.encoding_options
@options.json_option
def encoder(
    name: str,
    pooling: Pooling | None,
    max_length: int | None,
    truncate: str | None,
    runtime: RuntimeName,
    device: Device,
    precision: Precision,
    as_json: bool,
) -> None:
    """Say what ENCODER is: a name, a directory or a hub id.

    Loading it for the first time also makes and checks its ONNX file.

    \b
    Example:
      semsearch encoder embedded
    """
    from semsearch.encoder import Encoder

    loaded = Encoder.load(
        name,
        pooling=pooling,
        max_length=max_length,
        truncate=truncate,
        runtime=runtime,
        device=device,
        precision=precision,
    )
    facts = {
        "source": loaded.source,
        "path": str(loaded.path),
        "dim": loaded.dim,
        "max_length": loaded.max_length,
        "truncate": loaded.truncate,
        "pooling": loaded.pooling,
        "runtime": loaded.runtime,
        "precision": loaded.precision,
        "fingerprint": loaded.fingerprint.digest,
    }
    if as_json:
        output.echo_json(facts)
        return
    for fact, value in facts.items():
        click.echo(f"{fact:<11}  {value}")


@click.command()
@click.argument("name", metavar="ENCODER")
@click.argument("out", metavar="OUT", type=click.Path(path_type=Path))
@click.option("--dim", type=click.IntRange(min=1), default=256, show_default=True)
@click.option(
    "--on",
    "texts_file",
    metavar="FILE",
    required=True,
    help="Texts to fit on: a line each, or a table's column.",
)
@click.option("--column", help="Column of the texts in --on.")
@options.encoding_options
@options.json_option
def whiten(
    name: str,
    out: Path,
    dim: int,
    texts_file: str,
    column: str | None,
    runtime: RuntimeName,
    device: Device,
    precision: Precision,
    as_json: bool,
) -> None:
    """Fit a whitening on texts and save ENCODER with it as OUT.

    A tenth of the texts is held out to show what the whitening does. OUT is a directory that
    plain sentence-transformers loads too.

    \b
    Example:
      semsearch whiten minilm minilm-256 --on sentences.txt --dim 256
    """
    from semsearch import whitening
    from semsearch.encoder import Encoder
    from semsearch.tables import read_texts

    texts = list(dict.fromkeys(read_texts(texts_file, column=column)))
    base = Encoder.load(name, runtime=runtime, device=device, precision=precision)
    whitening.check_dim(dim, base.dim)
    with output.ProgressBar("encoding") as progress:
        embeddings = base.embed(texts, progress=output.counted(progress, len(texts)))
    fitted, report = whitening.fit_and_compare(embeddings, dim)
    base.whitened(fitted).save(out)
    if as_json:
        output.echo_json(
            {
                "path": str(out),
                "dim": dim,
                "fitted_on": fitted.n_samples,
                "variance_kept": fitted.variance_kept,
                "shrinkage": fitted.shrinkage,
                "held_out": report.to_dict() if report else None,
            }
        )
        return
    click.echo(f"{out}: {fitted}")
    if report:
        click.echo(f"  {report}")
