"""The two commands of a script that searches with FAISS and keeps a JSON file, for any encoder.

    python SCRIPT.py build BANK.json FOLDER
    python SCRIPT.py query FOLDER TEXT

BANK.json is a list of {"key", "answer", "texts"}.
"""

import json
import sys
from pathlib import Path

import faiss


def run(encode):
    """`encode` turns a list of texts into unit vectors: (n, d) float32."""
    if sys.argv[1] == "build":
        bank, folder = json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
        rows = [(text, q["key"], q["answer"]) for q in bank for text in q["texts"]]
        vectors = encode([text for text, _, _ in rows])
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        folder.mkdir(exist_ok=True)
        faiss.write_index(index, str(folder / "vectors.faiss"))
        (folder / "rows.json").write_text(json.dumps(rows))
    else:
        folder, query = Path(sys.argv[2]), sys.argv[3]
        index = faiss.read_index(str(folder / "vectors.faiss"))
        rows = json.loads((folder / "rows.json").read_text())
        scores, ids = index.search(encode([query]), 10)
        seen = {}
        for score, row in zip(scores[0].tolist(), ids[0].tolist(), strict=True):
            text, key, answer = rows[row]
            if key not in seen and len(seen) < 3:
                seen[key] = print(f"{score:.3f} {key} {text} {answer}")
