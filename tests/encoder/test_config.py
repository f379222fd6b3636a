import json

import pytest

from semsearch.encoder.config import read_layout
from semsearch.encoder.modules import Dense, Normalize
from semsearch.errors import EncoderError
from tests.encoder.changes import add_module, copy_of, drop_last_module, edit

BASE = "sentence_transformers.base.modules."
NEW = "sentence_transformers.sentence_transformer.modules."


def test_the_layout_of_a_directory(tiny_encoder_dir):
    layout = read_layout(tiny_encoder_dir)
    assert layout.body == layout.path == tiny_encoder_dir
    assert layout.max_length == 64
    assert str(layout.pooling) == "mean"
    assert layout.tail == ()  # the last Normalize is always there
    assert layout.prompts == {"query": "", "document": ""}
    assert layout.unsupported == ()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ({"pooling_mode_mean_tokens": True}, "mean"),
        ({"pooling_mode_cls_token": True, "pooling_mode_mean_tokens": True}, "cls+mean"),
        ({"pooling_mode_lasttoken": True}, "lasttoken"),
        ({"pooling_mode_mean_tokens": False}, "mean"),
        ({"embedding_dimension": 32, "pooling_mode": "max"}, "max"),
        ({"embedding_dimension": 32, "pooling_mode": ["mean", "cls"]}, "mean+cls"),
    ],
)
def test_pooling_configs_of_old_and_new_releases(tiny_encoder_dir, tmp_path, config, expected):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "1_Pooling" / "config.json").write_text(json.dumps(config))
    assert str(read_layout(path).pooling) == expected


def test_module_names_of_new_releases(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    entries = json.loads((path / "modules.json").read_text())
    for entry, prefix in zip(entries, (BASE, NEW, BASE), strict=True):
        entry["type"] = prefix + entry["type"].rsplit(".", 1)[-1]
    (path / "modules.json").write_text(json.dumps(entries))
    layout = read_layout(path)
    assert (str(layout.pooling), layout.tail, layout.unsupported) == ("mean", (), ())


def test_a_plain_transformers_directory_gets_mean_pooling(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", modules__json=None)
    assert str(read_layout(path).pooling) == "mean"
    edit(path / "config.json", architectures=["TinyForCausalLM"])
    assert str(read_layout(path).pooling) == "lasttoken"


@pytest.mark.parametrize(
    ("own", "tokenizer", "positions", "expected"),
    [
        (64, 512, 128, 64),
        (256, 512, 128, 256),  # as sentence-transformers: its own setting is not capped
        (None, 100, 128, 100),
        (None, 512, 128, 128),
        (None, None, 128, 128),
        (None, int(1e30), 128, 128),
        (None, 512, -1, 512),
    ],
)
def test_the_longest_input(tiny_encoder_dir, tmp_path, own, tokenizer, positions, expected):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        sentence_bert_config__json={"max_seq_length": own},
        tokenizer_config__json={"model_max_length": tokenizer},
        config__json={"max_position_embeddings": positions},
    )
    assert read_layout(path).max_length == expected


def test_an_encoder_without_any_longest_input_cuts_nothing(tiny_encoder_dir, tmp_path):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        sentence_bert_config__json={"max_seq_length": None},
        tokenizer_config__json={"model_max_length": None},
        config__json={"max_position_embeddings": None},
    )
    assert read_layout(path).max_length > 100_000


@pytest.mark.parametrize(
    ("prompts", "default", "query", "document"),
    [
        ({}, None, "", ""),
        ({"query": "q: ", "document": "d: "}, None, "q: ", "d: "),
        ({"query": "q: ", "passage": "p: "}, None, "q: ", "p: "),
        ({"corpus": "c: ", "passage": "p: "}, None, "", "p: "),
        ({"sts": "s: "}, "sts", "s: ", "s: "),
        ({"sts": "s: ", "query": "", "document": ""}, "sts", "", ""),
        (None, None, "", ""),
    ],
)
def test_prompts(tiny_encoder_dir, tmp_path, prompts, default, query, document):
    path = copy_of(
        tiny_encoder_dir,
        tmp_path / "e",
        config_sentence_transformers__json={"prompts": prompts, "default_prompt_name": default},
    )
    assert read_layout(path).prompts == {"query": query, "document": document}


def test_modules_behind_pooling(tiny_encoder_dir, tmp_path):
    import numpy as np

    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    drop_last_module(path)
    function = "torch.nn.modules.activation.Tanh"
    weight = np.ones((8, 32), np.float32)
    config = {"in_features": 32, "out_features": 8, "activation_function": function}
    add_module(path, "2_Dense", BASE + "Dense", config, linear__weight=weight)
    (dense,) = read_layout(path).tail
    assert isinstance(dense, Dense)
    assert (dense.dim, dense.activation, dense.bias) == (8, "Tanh", None)
    add_module(path, "3_Normalize", BASE + "Normalize", {})
    add_module(path, "4_Dense", BASE + "Dense", {**config, "in_features": 8}, linear__weight=weight)
    assert [type(module) for module in read_layout(path).tail] == [Dense, Normalize, Dense]


@pytest.mark.parametrize(
    ("kind", "config", "named"),
    [
        ("sentence_transformers.models.CNN", {}, "CNN"),
        (BASE + "Dense", {"activation_function": "torch.nn.modules.Softmax2d"}, "Softmax2d"),
        (BASE + "Dense", {"activation_function": "mine.Tanh"}, "mine.Tanh"),
        (BASE + "Normalize", {"module_input_name": "token_embeddings"}, "token_embeddings"),
    ],
)
def test_what_numpy_cannot_do_is_named(tiny_encoder_dir, tmp_path, kind, config, named):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    add_module(path, "3_Odd", kind, config)
    assert named in read_layout(path).unsupported[0]


@pytest.mark.parametrize(
    "options",
    [
        {"processing_kwargs": {"text": {"padding": "max_length"}}},
        {"query_length": 32},
        {"transformer_task": "fill-mask"},
        {"modality_config": {"text": {"method": "forward", "method_output_name": "logits"}}},
        {"modality_config": {"message": {"method": "forward", "method_output_name": "x"}}},
    ],
)
def test_bodies_that_only_sentence_transformers_can_run(tiny_encoder_dir, tmp_path, options):
    path = copy_of(tiny_encoder_dir, tmp_path / "e", sentence_bert_config__json=options)
    assert read_layout(path).unsupported


def test_dropout_does_nothing_when_encoding(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    add_module(path, "3_Dropout", NEW + "Dropout", {"dropout": 0.5})
    assert read_layout(path).unsupported == ()


def test_code_of_its_own_is_refused_unless_trusted(tiny_encoder_dir, tmp_path):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    add_module(path, "3_Mine", "os.system", {})
    with pytest.raises(EncoderError, match="trust_remote_code"):
        read_layout(path)
    assert read_layout(path, trust_remote_code=True).unsupported == ("system",)


@pytest.mark.parametrize("where", ["../other", "/etc", "a/../../b"])
def test_modules_lie_inside_the_directory(tiny_encoder_dir, tmp_path, where):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    entries = json.loads((path / "modules.json").read_text())
    entries[1]["path"] = where
    (path / "modules.json").write_text(json.dumps(entries))
    with pytest.raises(EncoderError, match="outside"):
        read_layout(path)


@pytest.mark.parametrize("content", ["", "{", "[]", "{}", "[1]", '[{"path": ""}]', "\ud800"])
def test_a_modules_file_that_makes_no_sense_is_named(tiny_encoder_dir, tmp_path, content):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / "modules.json").write_bytes(content.encode("utf-8", "surrogatepass"))
    with pytest.raises(EncoderError, match=r"modules\.json"):
        read_layout(path)


@pytest.mark.parametrize("name", ["config.json", "tokenizer_config.json", "1_Pooling/config.json"])
def test_a_damaged_config_is_named(tiny_encoder_dir, tmp_path, name):
    path = copy_of(tiny_encoder_dir, tmp_path / "e")
    (path / name).write_text("[]")
    with pytest.raises(EncoderError, match="config"):
        read_layout(path)


def test_a_directory_that_is_no_encoder_says_so(tmp_path):
    with pytest.raises(EncoderError, match=r"neither modules\.json nor config\.json"):
        read_layout(tmp_path)


@pytest.mark.parametrize(
    ("choice", "said"),
    [
        ({"pooling": "median"}, "Choose from: cls.*first-last-avg"),
        ({"pooling": ""}, "Choose from"),
        ({"max_length": 2}, "3 to 128"),
        ({"max_length": 129}, "3 to 128"),
    ],
)
def test_choices_that_cannot_be(tiny_encoder_dir, choice, said):
    with pytest.raises(EncoderError, match=said):
        read_layout(tiny_encoder_dir, **choice)
