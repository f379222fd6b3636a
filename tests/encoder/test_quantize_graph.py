import numpy as np
import pytest

onnx = pytest.importorskip("onnx")
onnxruntime = pytest.importorskip("onnxruntime")

from onnx import TensorProto, helper, numpy_helper  # noqa: E402

from semsearch.encoder import quantize_graph  # noqa: E402
from semsearch.errors import EncoderError  # noqa: E402


def normal(*shape):
    return np.random.default_rng(shape).normal(size=shape).astype(np.float32)


def model(nodes, constants, opset=21, ids=False):
    """A model from x, (..., k) floats or ids, to y."""
    kind = TensorProto.INT64 if ids else TensorProto.FLOAT
    graph = helper.make_graph(
        [helper.make_node(name, inputs, [out], **more) for name, inputs, out, more in nodes],
        "graph",
        [helper.make_tensor_value_info("x", kind, ["batch", "tokens"] + [8] * (not ids))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, None)],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opsets = [helper.make_opsetid("", opset)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10)


def run(made, x):
    session = onnxruntime.InferenceSession(
        made.SerializeToString(), providers=["CPUExecutionProvider"]
    )
    return session.run(None, {"x": x})[0]


def error(found, expected):
    return np.linalg.norm(found - expected) / np.linalg.norm(expected)


def constants(made):
    return {tensor.name: numpy_helper.to_array(tensor) for tensor in made.graph.initializer}


def linear(weight):
    return model([("MatMul", ["x", "w"], "y", {})], {"w": weight})


def test_a_linear_layer_multiplies_integers():
    weight, x = normal(8, 5), normal(2, 3, 8)
    made = linear(weight)
    assert quantize_graph.quantize(made, {}) == 1
    assert [node.op_type for node in made.graph.node if "MatMul" in node.op_type] == [
        "MatMulIntegerToFloat"
    ]
    assert constants(made)["w.int8"].dtype == np.int8
    assert "w" not in constants(made)
    assert 0 < error(run(made, x), x @ weight) < 0.01


def test_a_token_of_large_values_takes_no_precision_from_the_others():
    weight, x = normal(8, 5), normal(1, 2, 8)
    made = linear(weight)
    quantize_graph.quantize(made, {})
    x[0, 1] *= 10_000
    np.testing.assert_array_equal(run(made, x)[:, :1], run(made, x[:, :1]))
    assert error(run(made, x)[0, 0], x[0, 0] @ weight) < 0.01


def test_an_output_of_large_weights_takes_no_precision_from_the_others():
    weight, x = normal(8, 5), normal(1, 2, 8)
    weight[:, 0] *= 10_000
    made = linear(weight)
    quantize_graph.quantize(made, {})
    assert error(run(made, x)[..., 1:], (x @ weight)[..., 1:]) < 0.01


def test_zeros_stay_zeros():
    made = linear(np.zeros((8, 5), np.float32))
    quantize_graph.quantize(made, {})
    assert not run(made, normal(1, 2, 8)).any()
    made = linear(normal(8, 5))
    quantize_graph.quantize(made, {})
    assert not run(made, np.zeros((1, 2, 8), np.float32)).any()


def behind_layer_norm(weight, gamma):
    nodes = [
        ("LayerNormalization", ["x", "gamma"], "normed", {"axis": -1}),
        ("MatMul", ["normed", "w"], "y", {}),
    ]
    return model(nodes, {"w": weight, "gamma": gamma})


def test_a_wide_channel_behind_a_layer_norm_takes_no_precision_from_the_others():
    gamma = np.array([300, 1, 1, 1, 1, 1, 1, 1], np.float32)
    weight, x = normal(8, 5), normal(4, 6, 8)
    weight[0] /= 300  # as it is in encoders: what is wide matters no more than the rest
    made = behind_layer_norm(weight, gamma)
    expected = run(made, x)
    (name,) = quantize_graph.smoothed(made)
    peak = np.abs(run(quantize_graph.exposing(made, [name]), x)).max(axis=(0, 1))
    assert peak.argmax() == 0
    quantize_graph.quantize(made, {name: peak})
    unbalanced = behind_layer_norm(weight, gamma)
    quantize_graph.quantize(unbalanced, {name: np.abs(weight).max(axis=1)})
    assert 5 * error(run(made, x), expected) < error(run(unbalanced, x), expected)


def test_a_channel_that_was_never_seen_is_no_reason_for_extremes():
    made = behind_layer_norm(normal(8, 5), np.ones(8, np.float32))
    x, peak = normal(4, 6, 8), np.full(8, 2, np.float32)
    expected = run(made, x)
    peak[3] = 0
    quantize_graph.quantize(made, {"normed": peak})
    assert error(run(made, x), expected) < 0.05


def test_a_weight_of_several_layers_is_kept_once_and_not_balanced():
    nodes = [
        ("LayerNormalization", ["x", "gamma"], "normed", {"axis": -1}),
        ("MatMul", ["normed", "w"], "first", {}),
        ("MatMul", ["first", "w"], "y", {}),
    ]
    made = model(nodes, {"w": normal(8, 8), "gamma": np.ones(8, np.float32)})
    x = normal(2, 3, 8)
    expected = run(made, x)
    assert quantize_graph.smoothed(made) == []
    quantize_graph.quantize(made, {})
    assert error(run(made, x), expected) < 0.02


def test_all_steps_behind_a_gelu_lie_above_its_least_value():
    nodes = [("Gelu", ["x"], "active", {}), ("MatMul", ["active", "w"], "y", {})]
    made = model(nodes, {"w": normal(8, 5)})
    x = normal(20, 6, 8)
    expected = run(made, x)
    quantize_graph.quantize(made, {})
    exposed = quantize_graph.exposing(made, ["active.above", "active.scale"])
    session = onnxruntime.InferenceSession(exposed.SerializeToString())
    above, scale = session.run(None, {"x": x})
    assert above.min() >= 0
    np.testing.assert_allclose(above.max(axis=-1), 255 * scale[..., 0], rtol=1e-5)
    assert error(run(made, x), expected) < 0.006


def lookup(rows):
    table = normal(rows, 8) * np.exp(3 * normal(rows, 1))
    return model([("Gather", ["table", "x"], "y", {})], {"table": table}, ids=True), table


def test_a_row_of_a_table_is_read_without_the_others():
    made, table = lookup(4096)
    assert quantize_graph.quantize(made, {}) == 1
    assert constants(made)["table.int8"].dtype == np.int8
    assert constants(made)["table.scale"].shape == (4096, 1)
    x = np.random.default_rng(0).integers(0, 4096, (5, 7))
    step = np.abs(table[x]).max(axis=-1, keepdims=True) / 127
    assert (np.abs(run(made, x) - table[x]) <= 0.51 * step).all()
    (cast,) = [node for node in made.graph.node if node.op_type == "Cast"]
    assert cast.input[0] != "table.int8"  # never the whole table


def test_a_small_table_stays_as_it_is():
    made, _ = lookup(2)
    assert quantize_graph.quantize(made, {}) == 0


def test_a_quantized_model_is_left_alone():
    made, _ = lookup(20_000)
    quantize_graph.quantize(made, {})
    assert quantize_graph.quantize(made, {}) == 0


def test_products_of_two_inputs_stay_float():
    made = model([("MatMul", ["x", "t"], "y", {}), ("Transpose", ["x"], "t", {"perm": [0, 2, 1]})],
                 {})  # fmt: skip
    made.graph.node.insert(0, made.graph.node.pop())
    assert quantize_graph.quantize(made, {}) == 0
    assert {node.op_type for node in made.graph.node} == {"MatMul", "Transpose"}


def test_an_older_opset_is_brought_up(tmp_path):
    weight, x = normal(8, 5), normal(2, 3, 8)
    made = model([("MatMul", ["x", "w"], "y", {})], {"w": weight}, opset=14)
    onnx.save(made, tmp_path / "model.onnx")
    loaded = quantize_graph.load(tmp_path / "model.onnx")
    assert [entry.version for entry in loaded.opset_import] == [21]
    quantize_graph.quantize(loaded, {})
    assert error(run(loaded, x), x @ weight) < 0.01


def test_operators_that_cannot_be_brought_up_are_an_error(tmp_path):
    made = model([("Unheard", ["x"], "y", {})], {}, opset=14)
    onnx.save(made, tmp_path / "model.onnx")
    with pytest.raises(EncoderError, match=r"model\.onnx: cannot be brought from ONNX opset 14"):
        quantize_graph.load(tmp_path / "model.onnx")


def test_weights_that_no_file_can_hold_are_an_error(tmp_path):
    onnx.save(linear(normal(8, 5)), tmp_path / "model.onnx")
    with (tmp_path / "model.onnx.data").open("wb") as file:
        file.truncate(1 << 31)  # sparse
    with pytest.raises(EncoderError, match="2 GiB or more"):
        quantize_graph.load(tmp_path / "model.onnx")
