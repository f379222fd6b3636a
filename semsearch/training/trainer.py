"""sentence-transformers' trainer with what a run that may be killed needs; imports torch."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from sentence_transformers import SentenceTransformerTrainer
from sentence_transformers.base.evaluation import BaseEvaluator
from sentence_transformers.base.sampler import DefaultBatchSampler
from transformers import TrainerCallback

from semsearch.training.dev import Dev
from semsearch.training.feeding import Feed

Progress = Callable[[int, int, float], None]
"""Called with the steps done, the steps in all, and the loss of late."""

_LOSS_FILE = "loss.safetensors"


class Trainer(SentenceTransformerTrainer):  # type: ignore[misc]
    """Learns from one task or several, each in batches of its own, and in parts where it must.

    The weights of the losses, such as a softmax classifier, are in its checkpoints, too.
    """

    def __init__(self, *, feeds: Mapping[str, Feed], losses: Mapping[str, Any], **others: Any):
        """
        Args:
            feeds: by the names of the tasks.
            losses: by the same names.
            others: of sentence-transformers' trainer.
        """
        self._feeds = feeds
        self._share = 1.0
        datasets: Any = {name: feed.dataset for name, feed in feeds.items()}
        loss: Any = dict(losses)
        if len(feeds) == 1:
            (datasets,), (loss,) = datasets.values(), loss.values()
        super().__init__(train_dataset=datasets, loss=loss, **others)

    def get_batch_sampler(self, dataset: Any, batch_size: int, *args: Any, **others: Any) -> Any:
        feed = next(feed for feed in self._feeds.values() if feed.dataset is dataset)
        sampler = feed.batches(dataset, feed.batch_size, *args, **others)
        if feed.in_tokens and len(self._feeds) == 1:
            sampler.batch_size = None  # devices share out batches of any number of rows
        return sampler

    def get_multi_dataset_batch_sampler(self, *args: Any, **others: Any) -> Any:
        sampler = super().get_multi_dataset_batch_sampler(*args, **others)
        sampler.batch_size = None
        return sampler

    def training_step(self, model: Any, inputs: Any, *others: Any) -> torch.Tensor:
        feed = self._feeds[inputs.get("dataset_name") or next(iter(self._feeds))]
        loss = torch.zeros((), device=self.args.device)
        for part, share in feed.parts(inputs):
            self._share = share
            loss += super().training_step(model, part, *others)
        return loss

    def compute_loss(self, *args: Any, **others: Any) -> Any:
        return super().compute_loss(*args, **others) * self._share

    def add_model_card_callback(self, default_args_dict: dict[str, Any]) -> None:
        """None: the card is written once, by us."""

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        folder = Path(output_dir or self.args.output_dir)
        self.model.save_pretrained(str(folder), create_model_card=False)
        if own := _own_parameters(self.loss, self.model):
            save_file({name: value.detach() for name, value in own}, folder / _LOSS_FILE)

    def _load_from_checkpoint(self, checkpoint_path: str) -> None:
        super()._load_from_checkpoint(checkpoint_path)
        if own := _own_parameters(self.loss, self.model):
            saved = load_file(Path(checkpoint_path) / _LOSS_FILE)
            with torch.no_grad():
                for name, value in own:
                    value.copy_(saved[name])


class SeededBatchSampler(DefaultBatchSampler):  # type: ignore[misc]
    """Batches in an order that depends on seed and epoch only, so that a run can be resumed."""

    def __iter__(self) -> Iterator[list[int]]:
        generator = torch.Generator().manual_seed(self.seed + self.epoch)
        rows = torch.randperm(len(self.sampler), generator=generator).tolist()
        for start in range(0, len(rows), self.batch_size):
            batch = rows[start : start + self.batch_size]
            if len(batch) == self.batch_size or not self.drop_last:
                yield batch


class DevEvaluator(BaseEvaluator):  # type: ignore[misc]
    """Takes the dev score while the trainer runs."""

    def __init__(self, dev: Dev) -> None:
        super().__init__()
        self._dev = dev

    def __call__(self, model: Any, **_: Any) -> dict[str, float]:
        return {"dev": self._dev.score(self._dev.predict(encode_with(model)))}


class Reporter(TrainerCallback):  # type: ignore[misc]
    """Tells how far the run is, and takes a last dev score at its end."""

    def __init__(self, progress: Progress | None, *, evaluate: bool) -> None:
        self._progress = progress
        self._evaluate = evaluate
        self._loss = float("nan")

    def on_log(self, args: Any, state: Any, control: Any, logs: Any = None, **_: Any) -> None:
        self._loss = (logs or {}).get("loss", self._loss)

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self._evaluate and state.global_step >= state.max_steps:
            control.should_evaluate = True
        if self._progress is not None and state.is_world_process_zero:
            self._progress(state.global_step, state.max_steps, self._loss)


class Interrupt(TrainerCallback):  # type: ignore[misc]
    """Ctrl-C ends the run at the next step, with a checkpoint to go on from."""

    def __init__(self) -> None:
        self.asked = False

    def on_step_end(self, args: Any, state: Any, control: Any, **_: Any) -> None:
        if self.asked:
            control.should_save = True
            control.should_training_stop = True

    @contextmanager
    def armed(self) -> Iterator[None]:
        """Take SIGINT while the block runs; a second one interrupts at once."""
        if threading.current_thread() is not threading.main_thread():
            yield
            return

        def ask(number: int, frame: FrameType | None) -> None:
            if self.asked:
                raise KeyboardInterrupt
            self.asked = True

        before = signal.signal(signal.SIGINT, ask)
        try:
            yield
        finally:
            signal.signal(signal.SIGINT, before)


def encode_with(model: Any) -> Callable[[Sequence[str]], Any]:
    """The embeddings that a SentenceTransformer makes: texts to (n, d) float32."""

    def encode(texts: Sequence[str]) -> Any:
        was_training = model.training
        model.eval()
        try:
            return model.encode(
                list(texts), batch_size=64, show_progress_bar=False, convert_to_numpy=True
            )
        finally:
            model.train(was_training)

    return encode


def _own_parameters(loss: Any, model: Any) -> list[tuple[str, Any]]:
    """The parameters of a loss, or of several by their names, that are not the model's."""
    loss = torch.nn.ModuleDict(loss) if isinstance(loss, dict) else loss
    models = {id(value) for value in model.parameters()}
    return [(name, value) for name, value in loss.named_parameters() if id(value) not in models]
