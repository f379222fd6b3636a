"""One training run: from an encoder and examples to an encoder, and what came of it."""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from time import monotonic
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from semsearch.evaluation import provenance
from semsearch.evaluation.data import file_sha256
from semsearch.evaluation.metrics import Values
from semsearch.training import processes
from semsearch.training.dev import Dev, Encode
from semsearch.training.examples import Examples
from semsearch.training.installed import require_installed
from semsearch.training.report import Gain, Report, describe_examples
from semsearch.training.settings import Settings
from semsearch.training.tasks import Task, largest_batch, main_task
from semsearch.training.teacher import Targets
from semsearch.training.workdir import WorkDir

if TYPE_CHECKING:
    from semsearch.training.trainer import Progress

logger = logging.getLogger(__name__)

_PACKAGES = (*provenance.PACKAGES, "transformers", "accelerate", "datasets")


def train(
    settings: Settings,
    examples: Examples,
    out: Path,
    *,
    dev: Dev | None = None,
    tests: Mapping[str, Dev] = MappingProxyType({}),
    targets: Targets | None = None,
    also: Sequence[Task] = (),
    resume: bool = False,
    device: str = "auto",
    progress: Progress | None = None,
) -> Report:
    """Train an encoder and save it as `out`, a sentence-transformers directory.

    Args:
        examples: what it learns from.
        dev: is measured before, at every check and after; the best checkpoint is kept.
        tests: are measured before and after, and have no influence on what is kept.
        targets: the teacher's vector of each example, of the objective distil.
        also: what else it learns in the same steps; an epoch has all batches of all tasks.
        resume: go on with the run of the same settings and examples that was killed or stopped.
        device: "cpu", "cuda" or "auto".
        progress: called after every step.

    Raises:
        DataError: the examples do not fit the objective, or there is no such run to resume.
        EncoderError: the encoder cannot be trained, or `out` is there already.
        MissingExtraError: a package of the extra `train` is missing.
        StorageError: the disk refused.
        Interrupted: Ctrl-C; a checkpoint is kept.
    """
    settings = settings.filled(largest_batch(settings.objective, examples))
    tasks = (main_task(settings, examples, targets), *also)
    for task in tasks:
        task.check()
    require_installed()
    work = _work_dir(settings, tasks, out, resume)
    # torch is imported from here on: what can be refused is refused before.
    from semsearch.training import hardware
    from semsearch.training.attempts import Plan, run
    from semsearch.training.model import load_model, save_result
    from semsearch.training.student import student_of
    from semsearch.training.trainer import encode_with

    device = hardware.choose_device(device)
    precision = hardware.choose_precision(settings.precision, device)
    with work.kept_if_begun():
        with processes.main_first(device):
            reduction = targets.reduction if targets is not None else None
            start = student_of(settings, examples, reduction, work.path / "start")
            before = _before(work, dev, lambda: load_model(settings, device, start))
        plan = Plan(settings, tasks, dev, work, device, precision, start)
        began = monotonic()
        trainer, model = run(plan, progress)
    report = Report(
        settings=settings,
        steps=trainer.state.global_step,
        best_step=getattr(trainer.state, "best_global_step", None) or trainer.state.global_step,
        seconds=monotonic() - began,
        precision=precision,
        device=device,
        losses=_curve(trainer.state.log_history, "loss"),
        scores=_curve(trainer.state.log_history, "eval_dev"),
        examples=describe_examples(examples),
        also=[
            {"objective": task.objective, "batch_size": task.batch_size}
            | describe_examples(task.examples)
            for task in also
        ],
        provenance=provenance.collect(_PACKAGES),
        lowered=int(work.state.get("lowered", 0)),
    )
    if not processes.is_main():
        return report
    encode = encode_with(model)
    base = encode_with(load_model(settings, device, start)) if tests else encode
    judged = [_named(name, _gain(test, test.predict(base), encode)) for name, test in tests.items()]
    gain = _gain(dev, before, encode) if dev is not None and before is not None else None
    report = replace(report, gain=gain, tests=tuple(judged))
    save_result(model, out, report)
    work.remove()
    return report


def _work_dir(settings: Settings, tasks: Sequence[Task], out: Path, resume: bool) -> WorkDir:
    """The directory of the run, which only the main process begins."""
    if not processes.is_main():
        return WorkDir.of(out)
    # How much is in memory at a time may change when a run goes on.
    identity: dict[str, Any] = {
        "settings": replace(settings, mini_batch=None).to_dict(),
        "examples": tasks[0].examples.sha256,
        "also": [[task.objective, task.examples.sha256] for task in tasks[1:]],
    }
    if settings.vocabulary is not None:
        identity["vocabulary"] = file_sha256(Path(settings.vocabulary))
    return WorkDir.open(out, identity, resume=resume)


def _before(work: WorkDir, dev: Dev | None, load: Callable[[], Any]) -> Values | None:
    """What the encoder makes of the dev examples before it is trained."""
    from semsearch.training.trainer import encode_with

    if dev is None:
        return None
    if (known := work.before) is not None:
        return known
    predicted = dev.predict(encode_with(load()))
    work.keep_before(predicted)
    logger.info("%s before: %.2f on %s", dev.measure, dev.score(predicted), f"{len(dev):,}")
    return predicted


def _gain(dev: Dev, before: Values, encode: Encode) -> Gain:
    after = dev.predict(encode)
    low, high = dev.difference(before, after)
    return Gain(dev.measure, len(dev), dev.score(before), dev.score(after), low, high)


def _named(name: str, gain: Gain) -> Gain:
    measure = f"{name}: {gain.measure}"
    return Gain(measure, gain.n, gain.before, gain.after, gain.low, gain.high)


def _curve(history: list[dict[str, Any]], name: str) -> list[tuple[int, float]]:
    return [(int(entry["step"]), float(entry[name])) for entry in history if name in entry]
