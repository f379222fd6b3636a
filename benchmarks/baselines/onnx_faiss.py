"""As little as can answer: the embedded encoder's body in int8 on ONNX Runtime, FAISS and a JSON
file; one text at a time, nothing checked. What starts more slowly than this does more.

See flat_script.py for its two commands.
"""

import json
from importlib.util import find_spec
from pathlib import Path

import flat_script
import numpy as np
import onnxruntime
from tokenizers import Tokenizer

encoder = Path(find_spec("semsearch").submodule_search_locations[0], "embedded")
options = onnxruntime.SessionOptions()
options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC
session = onnxruntime.InferenceSession(str(encoder / "onnx" / "model.onnx"), options)
inputs = session.get_inputs()
tokenizer = Tokenizer.from_file(str(encoder / "tokenizer.json"))
dense = (encoder / "2_Dense" / "model.safetensors").read_bytes()
start = 8 + int.from_bytes(dense[:8], "little")
tensor = json.loads(dense[8:start])["linear.weight"]
weight = np.frombuffer(dense[start:], np.float32).reshape(tensor["shape"])


def encode(texts):
    vectors = []
    for text in texts:
        ids = np.array([tokenizer.encode(text).ids])
        feeds = {"input_ids": ids, "attention_mask": np.ones_like(ids)}
        given = {value.name: feeds.get(value.name, np.zeros_like(ids)) for value in inputs}
        vectors.append(session.run(None, given)[0].mean(axis=1) @ weight.T)
    found = np.concatenate(vectors).astype(np.float32)
    return found / np.linalg.norm(found, axis=1, keepdims=True)


flat_script.run(encode)
