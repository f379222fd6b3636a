"""The model that is trained: loaded with the choices of a run, saved with its report."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from semsearch.encoder.quiet import quiet
from semsearch.encoder.source import resolve
from semsearch.encoder.trainable import save_trained, trainable_model
from semsearch.errors import EncoderError
from semsearch.files import atomic_directory
from semsearch.training.dropout import largest_dropout, set_dropout
from semsearch.training.report import Report, model_card, write_report
from semsearch.training.settings import Settings


def load_model(settings: Settings, device: str, start: Path | None = None) -> Any:
    """The encoder of a run as a SentenceTransformer, the same one every time.

    Args:
        start: a directory that the run begins with instead of the encoder that it names.

    Raises:
        EncoderError: it cannot be loaded.
    """
    from transformers import set_seed

    with quiet():
        set_seed(settings.seed)  # what the loss or the pooling adds starts at random
        model = trainable_model(
            start or resolve(settings.encoder, trust_remote_code=settings.trust_remote_code),
            pooling=settings.pooling,
            max_length=settings.max_length,
            truncate=settings.truncate,
            device=device,
            trust_remote_code=settings.trust_remote_code,
        )
    if settings.dropout is not None:
        set_dropout(model, settings.dropout)
    return model


def require_dropout(model: Any, encoder: str) -> None:
    """Make sure that SimCSE has something to work with.

    Raises:
        EncoderError: the model drops nothing.
    """
    if not largest_dropout(model):
        raise EncoderError(
            f"{encoder}: has no dropout, which simcse makes its two views with. Pass --dropout 0.1."
        )


def save_result(model: Any, out: Path, report: Report) -> None:
    """Write the encoder, `training.json` and the model card; all of it or nothing.

    Raises:
        StorageError: the disk refused.
    """
    with atomic_directory(out) as folder:
        with quiet():
            save_trained(model, folder)
        card = model_card(report, Path(report.settings.encoder).name)
        (folder / "README.md").write_text(card, encoding="utf-8")
        write_report(folder, report.to_dict())
