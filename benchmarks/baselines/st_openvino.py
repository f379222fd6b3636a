"""sentence-transformers' own OpenVINO int8, in a process and an environment of its own.

optimum-intel needs an older transformers than the newest sentence-transformers does, so it gets
what it needs elsewhere: pip install 'sentence-transformers<5.2' 'transformers>=4.57,<5'
'optimum-intel[openvino,nncf]' datasets. The int8 is what its documentation says: the exported
model, quantized with the default settings on 300 sentences, here from a local table.

Standard input: one JSON list of texts a line, encoded as they stand, with the defaults of `encode`.
Standard output, a line each: seconds, processor seconds, and the vectors as base64 of float32.

    python st_openvino.py MODEL FOLDER_OF_A_CSV
"""

from __future__ import annotations

import base64
import json
import os
import sys
import tempfile
import time
from pathlib import Path


def main() -> None:
    os.environ |= {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1"}
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what libraries print is no answer
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.backend import export_static_quantized_openvino_model

    path, table = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        exported = str(Path(folder, "model"))
        SentenceTransformer(path, backend="openvino").save_pretrained(exported)
        export_static_quantized_openvino_model(
            SentenceTransformer(exported, backend="openvino"), None, exported,
            dataset_name=table, dataset_config_name="default", dataset_split="train",
            column_name="sentence",
        )  # fmt: skip
        file = {"file_name": "openvino/openvino_model_qint8_quantized.xml"}
        model = SentenceTransformer(exported, backend="openvino", model_kwargs=file)
        print("ready", file=answers, flush=True)
        for line in sys.stdin:
            texts = json.loads(line)
            wall, processor = time.perf_counter(), time.process_time()
            vectors = model.encode(texts)
            took = time.perf_counter() - wall, time.process_time() - processor
            content = base64.b64encode(vectors.astype("float32").tobytes()).decode()
            print(*took, content, file=answers, flush=True)


if __name__ == "__main__":
    main()
