"""Texts encoded per second on the CPU, against sentence-transformers, and what it costs.

The same texts, questions and longer sentences, encoded in turn by everybody, after one warm-up of
each. Everybody takes the list as it is: order, repetitions and batches are their own business. The
baseline is sentence-transformers as it comes (float32, batches of 32). Beside each speed stands
what it costs: the cosine of each text's vector with that in float32 (of MiniLM the baseline's, of
the embedded encoder the one on ONNX Runtime), and STS-B (Spearman x 100).

Share of the machine: multiplications of the linear layers for the tokens that were read, against
the fastest matrix product in that number format that torch or OpenVINO reach in the same run.

sentence-transformers' own openvino-int8 needs optimum-intel, and that an older transformers than
the newest sentence-transformers does. So it runs in a process of its own, by a Python that has
them (baselines/st_openvino.py says which), at its defaults, quantized by its own function on 300
sentences. Without --optimum it is left out.

Torch slows down more than tenfold where other programs want its cores, which flatters us. Beside
other work, give everybody one core and compare processor seconds: `taskset -c 0 python
benchmarks/encoding.py --clock processor`. The ratio of each side's best round stands beside the
median of the rounds' ratios.

STS-B in float32 is that of ONNX Runtime, whose vectors are the baseline's. With --cold each runtime
is started in fresh processes instead, to its first vector.

    python benchmarks/encoding.py [--rounds 5] [--optimum ENVIRONMENT/bin/python] [--cold]
"""

from __future__ import annotations

import argparse
import base64
import csv
import functools
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import provenance
import pyarrow.parquet as parquet

from semsearch.encoder.streams import cores

N_QUESTIONS, N_SENTENCES = 1_000, 500
BASELINE = "sentence-transformers, float32"
THEIR_INT8 = "sentence-transformers, openvino int8"
WIDTH, LAYERS = 384, {"minilm": 6, "embedded": 3}
# Ours: name of the row -> (encoder, runtime, precision).
OURS = {
    "minilm, onnx, float32": ("minilm", "onnx", "float32"),
    "minilm quantized, onnx, int8": ("quantized", "onnx", "int8"),
    "minilm, openvino, bfloat16": ("minilm", "openvino", "bfloat16"),
    "minilm, openvino, int8": ("minilm", "openvino", "int8"),
    "embedded, onnx, int8": ("embedded", "onnx", "int8"),
    "embedded, openvino, int8": ("embedded", "openvino", "int8"),
}
# Row -> (what it is measured against, how many times as fast it must be).
CLAIMS = {
    "minilm, openvino, bfloat16": (BASELINE, 4.2),
    "minilm, openvino, int8": (BASELINE, 7.0),
    "minilm, openvino, int8 ": (THEIR_INT8, 2.3),
    "embedded, openvino, int8": (BASELINE, 12.0),
}
COLD = [("minilm", "onnx", "float32"), ("minilm", "openvino", "bfloat16"),
        ("minilm", "openvino", "int8"), ("embedded", "onnx", "int8"),
        ("embedded", "openvino", "int8")]  # fmt: skip

Encode = Callable[[Sequence[str]], Any]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--clock", choices=("wall", "processor"), default="wall")
    parser.add_argument("--optimum", help="A Python with sentence-transformers and optimum-intel.")
    parser.add_argument("--cold", action="store_true", help="Time starts only.")
    arguments = parser.parse_args()
    rounds = arguments.rounds
    clock = time.perf_counter if arguments.clock == "wall" else time.process_time
    os.environ |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "true"}
    if arguments.cold:
        provenance.write("encoding_cold_start", {"starts": _cold_starts(rounds)})
        return
    data = provenance.data_dir()
    files = [data / "faq/banking77/train.parquet", data / "text/enwiki/dev.parquet",
             data / "sts_en/stsbenchmark/test.parquet"]  # fmt: skip
    texts = [*_questions(files[0]), *_sentences(files[1])]
    with tempfile.TemporaryDirectory() as folder:
        sides = _sides(Path(folder))
        if arguments.optimum:
            calibration = _sentences(files[1], 2 * N_SENTENCES, 300)
            sides[THEIR_INT8] = _InItsOwn(arguments.optimum, Path(folder), calibration)
        result = _measure(sides, texts, files[2], rounds, clock)
    result |= {"clock": arguments.clock, "cores": cores(), "load": round(os.getloadavg()[0], 1)}
    provenance.write("encoding", result, files)


def _measure(
    sides: dict[str, Encode],
    texts: list[str],
    sts_file: Path,
    rounds: int,
    clock: Callable[[], float],
) -> dict[str, Any]:
    from semsearch import Encoder

    seconds: dict[str, list[float]] = {name: [] for name in sides}
    vectors: dict[str, Any] = {}
    peaks: dict[str, list[float]] = {}
    for round_ in range(rounds + 1):
        for kind, speed in _peaks(clock).items():
            peaks.setdefault(kind, []).append(speed)
        for name, encode in sides.items():
            started = clock()
            vectors[name] = encode(texts)
            took = clock() - started
            if isinstance(encode, _InItsOwn) and clock is time.process_time:
                took = encode.processor_seconds
            print(f"round {round_}: {name}: {took:.2f} s", file=sys.stderr, flush=True)
            if round_:  # the first is a warm-up
                seconds[name].append(took)
    peak = {kind: max(speeds) for kind, speeds in peaks.items()}
    tokens = int(Encoder.load("minilm").measure(texts).n_tokens.sum())
    result: dict[str, Any] = {
        "texts": len(texts),
        "tokens": tokens,
        "gemm_gflops": {kind: round(speed) for kind, speed in peak.items()},
        "encoders": {},
    }
    sts = {name: _sts(encode, sts_file) for name, encode in sides.items() if name in OURS}
    rows = []
    for name, times in seconds.items():
        found = _facts(name, times, seconds[BASELINE], vectors)
        kind = name.rpartition(" ")[2]
        work = _work(tokens, LAYERS["embedded" if "embedded" in name else "minilm"])
        found["share_of_gemm_peak"] = round(work / statistics.median(times) / peak[kind], 3)
        found["sts_b"] = round(sts[name], 2) if name in sts else None
        result["encoders"][name] = found
        low, high = min(found["ratios"]), max(found["ratios"])
        rows.append(
            [name, f"{statistics.median(found['texts_per_second']):,.0f}",
             f"{found['ratio_median']:.2f} [{low:.2f}, {high:.2f}]",
             f"{found['ratio_of_best']:.2f}", f"{found['share_of_gemm_peak']:.0%}",
             f"{found['mean_cosine']:.5f}, {found['min_cosine']:.5f}",
             f"{sts[name]:.2f}" if name in sts else ""]
        )  # fmt: skip
    columns = ["", "texts a second", "ratio [min, max]", "of the best rounds",
               "of the GEMM peak",
               "cosine: mean, least", "STS-B"]  # fmt: skip
    print(provenance.table(columns, rows))
    print("GEMM peak, GFLOP/s:", result["gemm_gflops"])
    result["claims"] = _claims(seconds)
    return result


def _facts(
    name: str, times: list[float], base: list[float], vectors: dict[str, Any]
) -> dict[str, Any]:
    ratios = [a / b for a, b in zip(base, times, strict=True)]
    exact = vectors["embedded, onnx, int8" if "embedded" in name else BASELINE]
    cosines = (vectors[name] * exact).sum(axis=1)
    return {
        "texts_per_second": [round(len(exact) / t) for t in times],
        "ratio_median": round(statistics.median(ratios), 3),
        "ratio_of_best": round(min(base) / min(times), 3),
        "ratios": [round(ratio, 3) for ratio in ratios],
        "mean_cosine": round(float(cosines.mean()), 6),
        "min_cosine": round(float(cosines.min()), 6),
    }


def _claims(seconds: dict[str, list[float]]) -> list[dict[str, Any]]:
    found = []
    for name, (other, factor) in CLAIMS.items():
        if other not in seconds:
            continue
        theirs, ours = seconds[other], seconds[name.strip()]
        ratio = statistics.median(a / b for a, b in zip(theirs, ours, strict=True))
        best = min(theirs) / min(ours)
        held = "holds" if min(ratio, best) >= factor else "DOES NOT HOLD"
        print(f"{name.strip()}: {ratio:.2f} x {other} ({best:.2f} of the best rounds), "
              f"{factor:g} asked for: {held}")  # fmt: skip
        found.append({"encoder": name.strip(), "against": other, "asked": factor,
                      "ratio_median": round(ratio, 3),
                      "ratio_of_best": round(best, 3)})  # fmt: skip
    return found


def _sides(folder: Path) -> dict[str, Encode]:
    import torch
    from sentence_transformers import SentenceTransformer

    from semsearch import Encoder
    from semsearch.encoder.quantize import quantize
    from semsearch.encoder.source import resolve

    path = str(resolve("minilm"))
    plain = SentenceTransformer(path, device="cpu")
    half = SentenceTransformer(path, device="cpu", model_kwargs={"dtype": torch.bfloat16})
    quantize("minilm", folder / "quantized")
    sides: dict[str, Encode] = {
        BASELINE: lambda texts: plain.encode(list(texts)),
        "sentence-transformers, bfloat16": lambda texts: _unit(
            half.encode(list(texts), convert_to_tensor=True).float().numpy()
        ),
    }
    for row, (name, runtime, precision) in OURS.items():
        source = folder / name if name == "quantized" else name
        encoder = Encoder.load(source, runtime=runtime, precision=precision)
        assert (encoder.runtime, encoder.precision) == (runtime, precision), encoder
        sides[row] = encoder.encode
    return sides


class _InItsOwn:
    """sentence-transformers with optimum-intel, run by another Python."""

    def __init__(self, python: str, folder: Path, sentences: list[str]) -> None:
        from semsearch.encoder.source import resolve

        table = folder / "calibration"
        table.mkdir()
        with (table / "sentences.csv").open("w", newline="", encoding="utf-8") as file:
            csv.writer(file).writerows([["sentence"], *([text] for text in sentences)])
        script = Path(__file__).parent / "baselines" / "st_openvino.py"
        self._process = subprocess.Popen(
            [python, str(script), str(resolve("minilm")), str(table)],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            text=True, env={k: v for k, v in os.environ.items() if k != "PYTHONPATH"},
        )  # fmt: skip
        if self._line() != "ready":
            sys.exit(f"{python} {script} does not start; call it by hand to see why.")
        self.processor_seconds = 0.0

    def __call__(self, texts: Sequence[str]) -> Any:
        assert self._process.stdin is not None
        print(json.dumps(list(texts)), file=self._process.stdin, flush=True)
        _, processor_seconds, content = self._line().split()
        self.processor_seconds = float(processor_seconds)
        return np.frombuffer(base64.b64decode(content), np.float32).reshape(len(texts), -1)

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().rstrip()


def _cold_starts(rounds: int) -> list[dict[str, Any]]:
    """Seconds of a fresh process to its first vector, with what was compiled kept and without."""
    code = (
        "import sys, time; started = time.perf_counter()\n"
        "from semsearch.encoder import Encoder\n"
        "e = Encoder.load(sys.argv[1], runtime=sys.argv[2], precision=sys.argv[3])\n"
        "e.encode(['how do I pay'], kind='query')\n"
        "print(time.perf_counter() - started)"
    )
    found = []
    for choice in COLD:
        times: dict[str, list[float]] = {"kept": [], "new": []}
        for _ in range(rounds):
            for which, kept in times.items():
                if which == "new" and choice[1:] != ("openvino", "int8"):
                    continue
                if which == "new":
                    _forget_compiled()
                command = [sys.executable, "-c", code, *choice]
                kept.append(float(subprocess.run(
                    command, check=True, capture_output=True, text=True
                ).stdout))  # fmt: skip
        medians = {key: round(statistics.median(t), 3) for key, t in times.items() if t}
        print(f"first vector, {', '.join(choice)}: {medians}")
        found.append({"encoder": list(choice), "seconds": times})
    return found


def _forget_compiled() -> None:
    from semsearch.encoder.cache import cache_dir

    for file in (cache_dir() / "openvino").glob("*.blob"):
        file.unlink()


def _unit(x: Any) -> Any:
    return np.asarray(x / np.linalg.norm(x, axis=1, keepdims=True), np.float32)


def _questions(file: Path) -> list[str]:
    found: list[str] = parquet.read_table(file, columns=["text"])["text"].to_pylist()
    return found[:N_QUESTIONS]


def _sentences(file: Path, start: int = 0, n: int = N_SENTENCES) -> list[str]:
    found = parquet.read_table(file, columns=["text"])["text"].to_pylist()
    sentences = [part for text in found for part in text.split(". ") if 15 <= len(part) <= 200]
    return sentences[start : start + n]


def _sts(encode: Encode, file: Path) -> float:
    from scipy.stats import spearmanr

    table = parquet.read_table(file).to_pydict()
    one, two = encode(table["sentence1"]), encode(table["sentence2"])
    return 100 * float(spearmanr((one * two).sum(axis=1), table["score"]).statistic)


def _peaks(clock: Callable[[], float]) -> dict[str, float]:
    """GFLOP/s of the fastest matrix products in each format, on all cores."""
    import torch

    best = {}
    for kind, dtype in (("float32", torch.float32), ("bfloat16", torch.bfloat16)):
        best[kind] = 0.0
        for n, k, m in ((512, 384, 1536), (512, 1536, 384), (1024, 1024, 1024)):
            x, y = torch.ones(n, k, dtype=dtype), torch.ones(m, k, dtype=dtype)
            took = _least(functools.partial(torch.nn.functional.linear, x, y), clock)
            best[kind] = max(best[kind], 2 * n * k * m / took / 1e9)
    for kind in ("float32", "bfloat16", "int8"):
        best[kind] = max(best.get(kind, 0.0), _layers_of(kind).gflops(clock))
    return best


def _least(call: Callable[[], Any], clock: Callable[[], float], times: int = 12) -> float:
    seconds = []
    for _ in range(times):
        started = clock()
        call()
        seconds.append(clock() - started)
    return min(seconds[2:])


@functools.cache
def _layers_of(kind: str) -> _LayersOf:
    return _LayersOf(kind)


class _LayersOf:
    """Twelve linear layers in a row on OpenVINO, in as many streams as there are cores."""

    SIZE, ROWS, LAYERS = 768, 512, 12

    def __init__(self, kind: str) -> None:
        import openvino
        from openvino import opset13 as op

        from semsearch.encoder.openvino import core

        given = x = op.parameter([self.ROWS, self.SIZE], np.float32)
        for _ in range(self.LAYERS):
            weight = op.constant(np.eye(self.SIZE, dtype=np.float32))
            if kind == "int8":
                x = op.fake_quantize(x, *map(np.float32, (-1, 1, -1, 1)), 256)
                codes = op.constant(np.eye(self.SIZE, dtype=np.int8))
                weight = op.multiply(op.convert(codes, "f32"), np.full((self.SIZE, 1), 0.5, "f4"))
            x = op.matmul(x, weight, False, True)
        hint = "bf16" if kind == "bfloat16" else "f32"
        settings = {"INFERENCE_PRECISION_HINT": hint, "NUM_STREAMS": str(cores()),
                    "INFERENCE_NUM_THREADS": str(cores()), "ENABLE_CPU_PINNING": "NO"}  # fmt: skip
        compiled = core().compile_model(openvino.Model([x], [given]), "CPU", settings)
        self._requests = [compiled.create_infer_request() for _ in range(cores())]
        for request in self._requests:
            request.infer([np.ones((self.ROWS, self.SIZE), np.float32)])

    def gflops(self, clock: Callable[[], float]) -> float:
        def run() -> None:
            for request in self._requests:
                request.start_async()
            for request in self._requests:
                request.wait()

        work = 2 * self.ROWS * self.SIZE**2 * self.LAYERS * len(self._requests)
        return work / _least(run, clock) / 1e9


def _work(tokens: int, layers: int) -> float:
    """GFLOP of the linear layers: query, key, value, output, and twice four times the width."""
    return 2 * tokens * layers * 12 * WIDTH**2 / 1e9


if __name__ == "__main__":
    main()
