"""Commands about encoders: encoder, whiten."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from semsearch.cli import options, output
from semsearch.types import Device, Pooling, RuntimeName


@click.command()
@click.argument("name", metavar="ENCODER", default="minilm")
@click.option("--pooling", type=click.Choice(["cls", "mean", "max"]), help="Other pooling.")
@click.option("--max-length", type=click.IntRange(min=3), help="Tokens read of a text.")
@options.encoder_options
@options.json_option
def encoder(
    name: str,
    pooling: Pooling | None,
    max_length: int | None,
    runtime: RuntimeName,
    device: Device,
    as_json: bool,
) -> None:
    """Say what ENCODER is: a name, a directory or a hub id.

    Loading it for the first time also makes and checks its ONNX file.

    \b
    Example:
      semsearch encoder minilm
    """
    from semsearch.encoder import Encoder

    loaded = Encoder.load(
        name, pooling=pooling, max_length=max_length, runtime=runtime, device=device
    )
    facts = {
        "source": loaded.source,
        "path": str(loaded.path),
        "dim": loaded.dim,
        "max_length": loaded.max_length,
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
@options.encoder_options
@options.json_option
def whiten(
    name: str,
    out: Path,
    dim: int,
    texts_file: str,
    column: str | None,
    runtime: RuntimeName,
    device: Device,
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
    base = Encoder.load(name, runtime=runtime, device=device)
    fit_on, held_out = _split(texts)
    with output.ProgressBar("encoding") as progress:
        embeddings = base.embed(fit_on + held_out, progress=output.counted(progress, len(texts)))
    fitted = whitening.fit(embeddings[: len(fit_on)], dim)
    base.whitened(fitted).save(out)
    facts: dict[str, Any] = {
        "path": str(out),
        "dim": dim,
        "fitted_on": fitted.n_samples,
        "variance_kept": round(fitted.variance_kept, 4),
        "shrinkage": round(fitted.shrinkage, 4),
    }
    if len(held_out) > 1:
        facts["held_out"] = whitening.compare(fitted, embeddings[len(fit_on) :]).to_dict()
    if as_json:
        output.echo_json(facts)
        return
    click.echo(
        f"{out}: {base.dim} dimensions whitened to {dim}, fitted on {fitted.n_samples} texts; "
        f"{fitted.variance_kept:.1%} of the variance kept, shrinkage {fitted.shrinkage:.3f}"
    )
    for measure, value in facts.get("held_out", {}).items():
        if measure != "n_rows":
            before, after = value
            click.echo(
                f"  {measure.replace('_', ' ')} on {len(held_out)} held-out texts: "
                f"{before:.3f} before, {after:.3f} after"
            )


def _split(texts: list[str]) -> tuple[list[str], list[str]]:
    """Every tenth text is held out."""
    held_out = texts[::10] if len(texts) >= 20 else []
    return [text for number, text in enumerate(texts) if number % 10 or not held_out], held_out
