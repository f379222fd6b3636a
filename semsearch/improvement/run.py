"""Improve an index: try, prove, and only then let it answer otherwise."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from time import perf_counter
from typing import Any

import numpy as np

from semsearch.calibration import heldout
from semsearch.calibration.heldout import SelfMade
from semsearch.classifier import FILE as CLASSIFIER
from semsearch.encoding import text_warnings
from semsearch.improvement import judging, queries
from semsearch.improvement.calibrating import calibrate
from semsearch.improvement.judging import Figure, Tried
from semsearch.improvement.learning import Learner, Learnt, Watch
from semsearch.improvement.material import HELD_OUT, LEAST, NONE, Trial, arrange, share_for
from semsearch.improvement.report import ImprovementReport
from semsearch.improvement.sides import Side, State
from semsearch.improvement.start import Start
from semsearch.index import Index
from semsearch.recipe import Recipe
from semsearch.swapping import Improvement, RolledBack, roll_back, swap
from semsearch.writing import writing

_TRIALS = 5
_ENOUGH = 3900  # phrasings that are asked, beyond which no other trial is made
_LOW = 0.4  # accuracy@1 below which something is wrong with bank or encoder


def improve(
    index: Index,
    *,
    labelled: Any = None,
    log: str | Path | None = None,
    light: bool = False,
    steps: int | None = None,
    seed: int = 0,
    device: str = "auto",
    wait_seconds: float = 0.0,
    progress: Watch | None = None,
    **table: Any,
) -> ImprovementReport:
    """Teach an index its own bank, and promote what is shown to help.

    An attempt learns the bank without a fifth or more of its phrasings and a tenth of its standard
    questions, and is asked those; see `judging.verdict` for what promotes it. Then the same is
    learnt of everything, the bank is encoded and calibrated again, and the index answers with it
    from one transaction on. An index that was improved before begins again at the encoder that it
    had before.

    Args:
        labelled: labelled queries, as `calibrate` takes them: half of those that expect an answer
            are learnt, the others are held out.
        log: a query log; its confident answers are learnt.
        light: leave the encoder, and fit a linear map behind it and a classifier that counts beside
            the cosines; else train the encoder between the two, which needs torch.
        steps: of training, in place of what fits the size of the bank.
        device: where it is trained: "cpu", "cuda" or "auto".
        wait_seconds: how long to wait for another writer, at the end.
        **table: what `read_labelled` takes besides.

    Raises:
        DataError: a table cannot be used, or the bank is too small to be learnt.
        EncoderError: the encoder cannot be trained.
        IndexBusyError: another process is writing, or has built the index again meanwhile.
        StorageError: the disk refused; the index is as it was.
    """
    if not light:
        from semsearch.improvement import finetuning

        finetuning.require()
    began = perf_counter()
    start = Start.of(index)
    found = queries.read(labelled, log, set(start.bank.keys.values()), **table)
    asked = start.asked(found.labelled)
    learner = Learner(asked, found, light, steps, seed, device, progress)
    report = _Attempt(learner).run(wait_seconds)
    return replace(report, seconds=perf_counter() - began)


def rollback(index: Index, *, wait_seconds: float = 0.0) -> RolledBack | None:
    """Undo `improve`: the encoder, the vectors and the calibration from before.

    Returns:
        None where the index was not improved.

    Raises:
        EncoderError: the encoder from before cannot be loaded; nothing changed.
        IndexBusyError: another process is writing.
    """
    with writing(index.path, wait_seconds=wait_seconds) as change:
        return roll_back(change, Recipe())


@dataclass(frozen=True, slots=True, eq=False)
class _Attempt:
    """One attempt, from what is there to what becomes of it."""

    learner: Learner

    def run(self, wait_seconds: float) -> ImprovementReport:
        start = self.learner.start
        report = ImprovementReport(
            str(start.directory), "light" if self.learner.light else "fine-tuning", False, ""
        )
        notes = self._notes()
        trials = self._trials()
        if not trials:
            reason = (
                f"{len(start.bank):,} phrasings are too few to show anything: at least {LEAST} must"
                " be held out, of standard questions that keep two others. Add phrasings, or give "
                "labelled queries with --labelled"
            )
            return replace(report, reason=reason, notes=tuple(notes))
        with tempfile.TemporaryDirectory(prefix="semsearch-improve-") as work:
            tries, settings = self._try(trials, Path(work))
            figures, held, new = judging.figures(tries, self.learner.seed)
            promoted, reason = judging.verdict(figures)
            trial, after = tries[0].trial, tries[0].after
            notes += _notes_on(figures, trial)
            report = replace(
                report,
                promoted=promoted,
                reason=reason,
                figures=tuple(figures),
                learnt=len(trial.everything),
                held_out={
                    "phrasings": sum(len(one.phrasings) for one in trials),
                    "new_questions": sum(len(one.new) for one in trials),
                    "labelled": len(trial.labelled),
                },
                settings=settings,
                notes=tuple(notes),
            )
            if not promoted:
                return report
            made = judging.selfmade_of(held, new)
            calibration, more = calibrate(start, trial, after, made, self.learner.seed)
            report = replace(report, calibration=calibration, notes=(*notes, *more))
            final, _ = self.learner.learn(trial.everything, Path(work) / "final", settings)
            self._swap(final, made, report, wait_seconds)
        return report

    def _trials(self) -> list[Trial]:
        """One trial; of a small bank several in the light way, so that more of it is asked."""
        found: list[Trial] = []
        asked = NONE
        learner, known = self.learner, self.learner.queries
        bank = learner.start.bank
        share = share_for(len(bank)) if learner.light else HELD_OUT
        for number in range(_TRIALS if learner.light else 1):
            seed = learner.seed + number
            trial = arrange(bank, known.labelled, known.logged, seed, asked, share)
            if trial is None or len(np.unique(trial.learnt.questions)) < 2:
                break
            found.append(trial)
            asked = np.concatenate([asked, trial.phrasings, trial.new])
            if sum(len(one.phrasings) for one in found) >= _ENOUGH:
                break
        return found

    def _try(self, trials: Sequence[Trial], work: Path) -> tuple[list[Tried], dict[str, Any]]:
        """Learn each trial; the settings are those of the first."""
        tries: list[Tried] = []
        settings: dict[str, Any] | None = None
        for number, trial in enumerate(trials):
            before = self._side(trial, self.learner.start.state)
            learnt, chosen = self.learner.learn(trial.learnt, work / f"trial-{number}", settings)
            tries.append(Tried(trial, before, self._side(trial, learnt.state)))
            settings = settings or chosen
        assert settings is not None
        return tries, settings

    def _side(self, trial: Trial, state: State) -> Side:
        """The bank in a state, with the queries that are held out, in the order of the trial."""
        start = self.learner.start
        row = {id(query): n for n, query in enumerate(self.learner.queries.labelled)}
        asked = state.queries[[row[id(q)] for q in trial.labelled]]
        state = replace(state, queries=asked)
        return Side(start.bank, state, start.score, start.beside(state))

    def _notes(self) -> list[str]:
        start, skipped = self.learner.start, self.learner.queries.skipped
        return [f"{skipped} bad rows of the labelled queries are left out."] * bool(skipped) + [
            warning.message
            for warning in text_warnings(start.encoder, start.bank.texts)
            if warning.kind == "unknown_tokens"
        ]

    def _swap(
        self, final: Learnt, made: SelfMade | None, report: ImprovementReport, wait: float
    ) -> None:
        start = self.learner.start

        def fill(folder: Path) -> None:
            if made is not None:
                made.save(folder / heldout.FILE)
            if final.state.classifier is not None:
                final.state.classifier.save(folder / CLASSIFIER)

        proof = {
            "made": datetime.now(timezone.utc).isoformat(timespec="seconds"),
            "mode": report.mode,
            "seed": self.learner.seed,
            "reason": report.reason,
            "figures": [figure.to_dict() for figure in report.figures],
            "learnt": report.learnt,
            "held_out": report.held_out,
            "settings": report.settings,
        }
        calibration = report.calibration
        improvement = Improvement(
            final.encoder,
            fill,
            dict(zip(start.bank.texts, final.state.vectors, strict=True)),
            None if calibration is None else calibration.calibration.to_dict(),
            proof,
        )
        with writing(start.directory, wait_seconds=wait) as change:
            swap(change, improvement, start.meta)


def _notes_on(figures: Sequence[Figure], trial: Trial) -> list[str]:
    notes = []
    for figure in figures:
        asked = figure.measure == "accuracy_at_1" and figure.of != "new questions"
        if asked and figure.before < _LOW:
            notes.append(
                f"Only {figure.before:.0%} of the {figure.of} that were held out find their "
                "standard question: there are few of each, many stand under the wrong one, or the "
                "encoder does not know their language."
            )
    if not len(trial.new):
        notes.append(
            "Too few standard questions to hold some out whole: how the improved encoder treats "
            "queries without an answer is judged on standard questions that it has learnt, and too "
            "kindly."
        )
    return notes
