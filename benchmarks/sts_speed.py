"""The English STS tasks as `semsearch sts` runs them, and as sentence-transformers and mteb do.

The same pairs, encoder (all-MiniLM-L6-v2) and machine, in turn. The others encode both sides of
every task; here each distinct sentence is encoded once for all tasks. Encoders and pairs are in
memory before the clock starts. What `semsearch sts` does beside scoring (a lexical baseline, 95%
intervals from 1,000 draws) is timed with it, and encoding is also told apart.

Torch slows down more than tenfold where other programs want its cores, which flatters us. Beside
other work, give it one thread and compare processor seconds, which count all threads.

    python benchmarks/sts_speed.py [--rounds 3] [--tasks STS16,STS-B] [--torch-threads 1]
"""

from __future__ import annotations

import argparse
import os
import statistics
import time
from collections.abc import Iterator
from importlib import metadata
from typing import Any

import provenance
import torch

from semsearch import Encoder
from semsearch.evaluation import sts
from semsearch.evaluation.data import NoDataError, Pairs, load
from semsearch.evaluation.tasks import choose

TASKS = "en,STS-B-dev"
TOLERANCE = 0.01
Scores = dict[str, float]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--tasks", default=TASKS)
    parser.add_argument("--torch-threads", type=int, help="default: as many as torch takes")
    arguments = parser.parse_args()
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    if arguments.torch_threads:
        torch.set_num_threads(arguments.torch_threads)
    pairs = list(_pairs(arguments.tasks))
    sides = {
        "semsearch": _Ours(),
        "sentence-transformers": _SentenceTransformers(),
        "mteb": _Mteb(),
    }
    for side in sides.values():
        side.prepare(pairs)
        side.run(pairs[-1:])  # a warm-up
    load = os.getloadavg()[0]
    seconds: dict[str, list[float]] = {name: [] for name in sides}
    cpu_seconds: dict[str, list[float]] = {name: [] for name in sides}
    scores: dict[str, Scores] = {}
    for _ in range(arguments.rounds):
        for name, side in sides.items():
            started, cpu_started = time.perf_counter(), time.process_time()
            scores[name] = side.run(pairs)
            seconds[name].append(time.perf_counter() - started)
            cpu_seconds[name].append(time.process_time() - cpu_started)
            print(f"{name}: {seconds[name][-1]:.1f} s, {cpu_seconds[name][-1]:.1f} s of processor")
    result = _scores(pairs, scores)
    result |= _times("seconds", seconds) | _times("cpu_seconds", cpu_seconds)
    result["encoding_seconds"] = sides["semsearch"].encoding_seconds[1:]
    result["torch_threads"] = torch.get_num_threads()
    result["mteb_version"] = metadata.version("mteb")
    result["load_before"] = round(load, 1)  # of others on the machine, on so many cores
    if arguments.tasks == TASKS:
        files = [provenance.data_dir() / source.name for p in pairs for source in p.sources]
        provenance.write("sts_speed", result, files)


def _scores(pairs: list[Pairs], scores: dict[str, Scores]) -> dict[str, Any]:
    """Print the scores side by side; they must be the same."""
    rows = [
        [p.task.name, f"{len(p):,}", *(f"{found[p.task.name]:.2f}" for found in scores.values())]
        for p in pairs
    ]
    print(provenance.table(["Spearman of cosine", "pairs", *scores], rows))
    ours, *others = scores.values()
    difference = max(abs(found[task] - score) for found in others for task, score in ours.items())
    print(f"\nlargest difference of a score: {difference:.6f}\n")
    assert difference <= TOLERANCE, scores
    return {
        "tasks": {p.task.name: len(p) for p in pairs},
        "sentences": {
            "both sides of every pair": sum(len(p.sentences) for p in pairs),
            "distinct": len({text for p in pairs for text in p.sentences}),
        },
        "scores": {
            name: {task: round(score, 4) for task, score in found.items()}
            for name, found in scores.items()
        },
        "largest_difference": difference,
    }


def _times(kind: str, seconds: dict[str, list[float]]) -> dict[str, Any]:
    """Print a table of times, and give them with the median ratio of ours to the others."""
    ours, *others = seconds
    ratios = {
        name: statistics.median(a / b for a, b in zip(seconds[ours], seconds[name], strict=True))
        for name in others
    }
    rows = [
        [name, *(f"{function(times):.1f}" for function in (statistics.median, min, max)),
         f"{ratios[name]:.3f}" if name in ratios else ""]
        for name, times in seconds.items()
    ]  # fmt: skip
    columns = ["median", "min", "max", "ours / theirs"]
    print(provenance.table([f"all tasks, {kind.replace('_', ' ')}", *columns], rows), "\n")
    return {
        kind: {name: [round(x, 2) for x in times] for name, times in seconds.items()},
        f"{kind}_ratio_median": {name: round(ratio, 4) for name, ratio in ratios.items()},
    }


def _pairs(names: str) -> Iterator[Pairs]:
    for chosen in choose(names):
        try:
            yield load(chosen.task, provenance.data_dir())
        except NoDataError as error:
            print(f"left out: {error}")


class _Ours:
    """The runner of `semsearch sts`."""

    def prepare(self, pairs: list[Pairs]) -> None:
        self._encoder = Encoder.load("minilm")
        self.encoding_seconds: list[float] = []

    def run(self, pairs: list[Pairs]) -> Scores:
        row = sts.evaluate([self._encoder], pairs=pairs).rows[1]
        assert row.encoder is not None
        self.encoding_seconds.append(row.encoder["encoding_seconds"])
        return {name: score.value for name, score in row.scores.items()}


class _SentenceTransformers:
    """EmbeddingSimilarityEvaluator with its defaults, one a task."""

    def prepare(self, pairs: list[Pairs]) -> None:
        from sentence_transformers import SentenceTransformer
        from sentence_transformers.evaluation import EmbeddingSimilarityEvaluator

        self._model = SentenceTransformer(str(Encoder.load("minilm").path), device="cpu")
        self._evaluators = {
            p.task.name: EmbeddingSimilarityEvaluator(
                list(p.first), list(p.second), p.gold.tolist(),
                main_similarity="cosine", write_csv=False,
            )
            for p in pairs
        }  # fmt: skip

    def run(self, pairs: list[Pairs]) -> Scores:
        found = {p.task.name: self._evaluators[p.task.name](self._model) for p in pairs}
        return {name: 100 * scores["spearman_cosine"] for name, scores in found.items()}


class _Mteb:
    """`mteb.evaluate` with its defaults on tasks that hold the same pairs."""

    def prepare(self, pairs: list[Pairs]) -> None:
        from mteb.models.sentence_transformer_wrapper import SentenceTransformerEncoderWrapper
        from sentence_transformers import SentenceTransformer

        model = SentenceTransformer(str(Encoder.load("minilm").path), device="cpu")
        self._model = SentenceTransformerEncoderWrapper(model)
        self._tasks = {p.task.name: _mteb_task(p) for p in pairs}

    def run(self, pairs: list[Pairs]) -> Scores:
        import mteb

        done = mteb.evaluate(
            self._model, [self._tasks[p.task.name] for p in pairs],
            cache=None, co2_tracker=False, show_progress_bar=False,
        )  # fmt: skip
        return {
            result.task_name: 100 * result.scores["test"][0]["cosine_spearman"]
            for result in done.task_results
        }


def _mteb_task(pairs: Pairs) -> Any:
    from datasets import Dataset
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    class LocalTask(AbsTaskSTS):
        metadata = TaskMetadata(
            name=pairs.task.name, description=pairs.task.source, type="STS",
            dataset={"path": "local", "revision": "local"},
            eval_langs=["eng-Latn"], main_score="cosine_spearman",
        )  # fmt: skip
        min_score, max_score = pairs.task.score_range

        def load_data(self, **_: Any) -> None:
            columns = {
                "sentence1": list(pairs.first),
                "sentence2": list(pairs.second),
                "score": pairs.gold.tolist(),
            }
            self.dataset = {"test": Dataset.from_dict(columns)}
            self.data_loaded = True

    task = LocalTask()
    task.load_data()
    return task


if __name__ == "__main__":
    main()
