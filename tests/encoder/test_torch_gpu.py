"""torch on a GPU: batches that are not waited for, halves where memory runs out, 16 bits.

All but the last tests run on the CPU, on the same code.
"""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.encoder import Encoder, torch_gpu
from semsearch.errors import EncoderError

torch = pytest.importorskip("torch")
pytest.importorskip("sentence_transformers")

TEXTS = [
    *(f"how do I pay order {number} " + "with my card " * (number % 9) for number in range(80)),
    "",
    "怎么申请退款？",
    "a very long text about my order " * 60,
]


class Full(torch.nn.Module):  # type: ignore[misc]
    """A model whose memory holds so many tokens at a time."""

    def __init__(self, model: Any, most_tokens: int, error: Exception) -> None:
        super().__init__()
        self.model, self.most_tokens, self.error = model, most_tokens, error
        self.seen: list[int] = []

    def __getattr__(self, name: str) -> Any:
        try:
            return super().__getattr__(name)
        except AttributeError:
            return getattr(super().__getattr__("model"), name)

    def forward(self, features: dict[str, Any]) -> Any:
        tokens = features["input_ids"].numel()
        self.seen.append(tokens)
        if tokens > self.most_tokens:
            raise self.error
        return self.model(features)


def _loaded(path: Path, **choices: Any) -> Encoder:
    return Encoder.load(path, runtime="torch", **choices)


def _as_on_a_gpu(encoder: Encoder) -> Any:
    """The runtime, taking its own tokens and with batches in flight, on the CPU."""
    runtime: Any = encoder._runtime
    runtime._takes_tokens, runtime._ahead = True, torch_gpu.AHEAD
    return runtime


ERRORS = [
    torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."),
    RuntimeError("[enforce fail at alloc_cpu.cpp] DefaultCPUAllocator: can't allocate memory"),
    RuntimeError("CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`"),
]


@pytest.mark.parametrize("truncate", ["head", "windows", "head+tail"])
def test_batches_in_flight_give_the_same_vectors(tiny_encoder_dir: Path, truncate: str) -> None:
    expected = _loaded(tiny_encoder_dir, truncate=truncate).encode(TEXTS)
    encoder = _loaded(tiny_encoder_dir, truncate=truncate)
    runtime = _as_on_a_gpu(encoder)
    runtime.budget = 100
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


def test_the_next_texts_are_cut_while_batches_are_in_flight(
    tiny_encoder_dir: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = _loaded(tiny_encoder_dir)
    runtime = _as_on_a_gpu(encoder)
    order: list[str] = []

    def run(items: Any, kind: str) -> Any:
        order.append("begun")
        return lambda: order.append("fetched") or np.ones((len(items), encoder.dim), np.float32)

    monkeypatch.setattr(runtime, "_run", run)
    batches = [(np.array([i]), ["x"]) for i in range(4)]
    assert [rows.tolist() for rows, _ in runtime.run_all(batches, "document")] == [
        [0],
        [1],
        [2],
        [3],
    ]
    assert order == ["begun"] * 3 + ["fetched", "begun"] + ["fetched"] * 3


@pytest.mark.parametrize("error", ERRORS)
@pytest.mark.parametrize("truncate", ["head", "windows", "head+tail"])
def test_where_memory_runs_out_halves_give_the_same_vectors(
    tiny_encoder_dir: Path, truncate: str, error: Exception
) -> None:
    expected = _loaded(tiny_encoder_dir, truncate=truncate).encode(TEXTS)
    encoder = _loaded(tiny_encoder_dir, truncate=truncate)
    runtime = _as_on_a_gpu(encoder)
    runtime._model = full = Full(runtime._model, 200, error)
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)
    assert max(full.seen) > 200
    # It has learnt how much there is room for.
    full.seen.clear()
    encoder.encode(TEXTS[:80])
    assert max(full.seen) <= 200


def test_halves_serve_what_sentence_transformers_cuts_itself(tiny_encoder_dir: Path) -> None:
    expected = _loaded(tiny_encoder_dir).encode(TEXTS)
    encoder = _loaded(tiny_encoder_dir)
    runtime: Any = encoder._runtime
    whole = runtime._model.encode_document

    def encode(texts: list[str], **options: Any) -> Any:
        if len(texts) > 5:
            raise ERRORS[0]
        return whole(texts, **options)

    runtime._model.encode_document = encode
    np.testing.assert_allclose(encoder.encode(TEXTS), expected, atol=1e-5)


@pytest.mark.parametrize("truncate", ["head", "windows"])
def test_one_text_that_does_not_fit_is_an_error_that_says_what_to_do(
    tiny_encoder_dir: Path, truncate: str
) -> None:
    encoder = _loaded(tiny_encoder_dir, truncate=truncate)
    runtime = _as_on_a_gpu(encoder)
    runtime._model = Full(runtime._model, 2, ERRORS[0])
    with pytest.raises(EncoderError, match=r"does not hold one text.*--max-length"):
        encoder.encode(["how do I pay for my order"])


def test_other_errors_are_not_taken_for_a_lack_of_memory(tiny_encoder_dir: Path) -> None:
    encoder = _loaded(tiny_encoder_dir)
    runtime = _as_on_a_gpu(encoder)
    runtime._model = full = Full(
        runtime._model, 0, RuntimeError("mat1 and mat2 cannot be multiplied")
    )
    with pytest.raises(RuntimeError, match="cannot be multiplied"):
        encoder.encode(TEXTS)
    assert len(full.seen) == 1


@pytest.mark.parametrize("pooling", ["mean", "cls", "first-last-avg"])
def test_a_body_in_16_bits_gives_nearly_the_same_vectors_in_32(
    tiny_encoder_dir: Path, pooling: Any
) -> None:
    expected = _loaded(tiny_encoder_dir, pooling=pooling).encode(TEXTS)
    encoder = _loaded(tiny_encoder_dir, pooling=pooling)
    runtime = _as_on_a_gpu(encoder)
    torch_gpu.compute_in(runtime._model, "bfloat16")
    body = next(runtime._model[0].parameters())
    assert body.dtype == torch.bfloat16
    pooled = []
    runtime._model[1].register_forward_pre_hook(
        lambda _module, inputs: pooled.append(inputs[0]["token_embeddings"].dtype)
    )
    found = encoder.encode(TEXTS)
    assert set(pooled) == {torch.float32} and found.dtype == np.float32
    cosines = (found * expected).sum(axis=1)
    assert 0.995 < cosines.min() < 0.9999999


@pytest.mark.minilm
def test_minilm_in_bfloat16_passes_for_the_same_encoder() -> None:
    texts = [text for text in TEXTS if text][:16]
    expected = Encoder.load("minilm", runtime="torch").encode(texts)
    encoder = Encoder.load("minilm", runtime="torch")
    torch_gpu.compute_in(_as_on_a_gpu(encoder)._model, "bfloat16")
    assert (encoder.encode(texts) * expected).sum(axis=1).min() > 0.999  # `identity.CANARY_COSINE`


def test_attention_is_torchs_fused_kernel(tiny_encoder_dir: Path) -> None:
    body = _loaded(tiny_encoder_dir)._runtime._model[0].auto_model  # type: ignore[attr-defined]
    assert body.config._attn_implementation == "sdpa"


def test_batches_grow_with_free_memory_and_shrink_with_the_body() -> None:
    gib = 1 << 30
    assert torch_gpu.budget(100 * gib, 384, 2) == torch_gpu.MOST_BUDGET
    assert torch_gpu.budget(1, 384, 2) == torch_gpu.LEAST_BUDGET
    small, large = torch_gpu.budget(4 * gib, 384, 2), torch_gpu.budget(4 * gib, 1024, 2)
    assert torch_gpu.LEAST_BUDGET < large < small < torch_gpu.MOST_BUDGET
    assert torch_gpu.budget(4 * gib, 384, 4) == pytest.approx(small / 2, rel=0.01)


@pytest.fixture
def ampere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (8, 0))


@pytest.fixture
def turing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torch.cuda, "get_device_capability", lambda: (7, 5))


def test_a_gpu_computes_in_the_16_bits_that_it_has(ampere: None) -> None:
    assert torch_gpu.choose_precision("auto", "cuda") == "bfloat16"
    assert torch_gpu.choose_precision("bfloat16", "cuda") == "bfloat16"
    assert torch_gpu.choose_precision("float32", "cuda") == "float32"
    with pytest.raises(EncoderError, match="not in int8"):
        torch_gpu.choose_precision("int8", "cuda")


def test_an_older_gpu_computes_in_float16_and_says_so(turing: None) -> None:
    assert torch_gpu.choose_precision("auto", "cuda") == "float16"
    with pytest.raises(EncoderError, match="does not compute in bfloat16"):
        torch_gpu.choose_precision("bfloat16", "cuda")


def test_a_cpu_stays_in_float32() -> None:
    assert torch_gpu.choose_precision("auto", "cpu") == "float32"
    with pytest.raises(EncoderError, match=re.escape("computes in float32, not in bfloat16")):
        torch_gpu.choose_precision("bfloat16", "cpu")


def test_leaving_the_range_of_float16_is_told_from_damaged_weights(tiny_encoder_dir: Path) -> None:
    encoder = _loaded(tiny_encoder_dir)
    runtime = _as_on_a_gpu(encoder)
    runtime.precision = "float16"
    runtime._run = lambda items, kind: lambda: np.full((len(items), 32), np.inf, np.float32)
    with pytest.raises(EncoderError, match="--precision float32"):
        encoder.encode(["pay"])


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["auto", "float32"])
@pytest.mark.parametrize("truncate", ["head", "windows"])
def test_a_real_gpu_gives_the_vectors_of_the_cpu(
    tiny_encoder_dir: Path, truncate: str, precision: Any
) -> None:
    if not torch.cuda.is_available():
        pytest.skip("torch sees no GPU here")
    expected = Encoder.load(tiny_encoder_dir, truncate=truncate).encode(TEXTS)
    encoder = _loaded(tiny_encoder_dir, truncate=truncate, device="cuda", precision=precision)
    assert encoder.precision != "auto"
    cosines = (encoder.encode(TEXTS) * expected).sum(axis=1)
    assert cosines.min() > (0.9999 if precision == "float32" else 0.995)
