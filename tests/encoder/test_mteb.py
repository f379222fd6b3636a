"""mteb takes an encoder as it is; nothing is downloaded."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from semsearch.encoder import Encoder
from semsearch.whitening import fit
from tests.encoder.changes import copy_of

TEXTS = [
    "lost card", "my card was stolen", "where is my parcel", "track package", "hello",
    "the parcel is late", "refund my money", "money back", "how do i reset my password",
    "forgot pin", "几点开门", "营业时间",
]  # fmt: skip
# Distinct pairs only: how a text compares with itself is rounding, and rounding breaks ties.
ROWS = [
    {"sentence1": a, "sentence2": b, "score": float(n * n % 6)}
    for n, (a, b) in enumerate(combinations(TEXTS, 2))
]
SOURCE = {"path": "none", "revision": "none"}


@pytest.fixture(scope="module", autouse=True)
def _mteb_with_a_cache_of_its_own(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """mteb makes its cache when it is imported."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("MTEB_CACHE", str(tmp_path_factory.mktemp("mteb")))
        pytest.importorskip("mteb", reason="mteb is not installed")
        yield


def sts() -> Any:
    """A task of 66 pairs that are made here."""
    from datasets import Dataset
    from mteb.abstasks.sts import AbsTaskSTS
    from mteb.abstasks.task_metadata import TaskMetadata

    class Pairs(AbsTaskSTS):
        metadata = TaskMetadata(
            name="Pairs", description="", type="STS", dataset=SOURCE, eval_langs=["eng-Latn"],
            main_score="cosine_spearman",
        )  # fmt: skip

        def load_data(self, **_: Any) -> None:
            self.dataset = {"test": Dataset.from_list(ROWS)}
            self.data_loaded = True

    return Pairs()


def retrieval() -> Any:
    """A task of 3 queries and 12 documents."""
    from datasets import Dataset
    from mteb.abstasks import AbsTaskRetrieval
    from mteb.abstasks.task_metadata import TaskMetadata

    class Search(AbsTaskRetrieval):
        metadata = TaskMetadata(
            name="Search", description="", type="Retrieval", dataset=SOURCE,
            eval_langs=["eng-Latn"], main_score="ndcg_at_1",
        )  # fmt: skip

        def load_data(self, **_: Any) -> None:
            rows = [{"id": f"d{n}", "text": text, "title": ""} for n, text in enumerate(TEXTS)]
            split = {
                "corpus": Dataset.from_list(rows),
                "queries": Dataset.from_list([{"id": f"q{n}", "text": TEXTS[n]} for n in range(3)]),
                "relevant_docs": {f"q{n}": {f"d{n}": 1} for n in range(3)},
                "top_ranked": None,
            }
            self.dataset = {"default": {"test": split}}
            self.data_loaded = True

    return Search()


def scores(encoder: Encoder, task: Any) -> dict[str, Any]:
    import mteb

    result = mteb.evaluate(encoder, task, cache=None, co2_tracker=False, show_progress_bar=False)
    found: dict[str, Any] = result.task_results[0].scores["test"][0]
    return found


def test_mteb_measures_an_encoder_as_it_is(tiny_encoder: Encoder) -> None:
    from scipy.stats import pearsonr, spearmanr

    found = scores(tiny_encoder, sts())
    left = tiny_encoder.encode([row["sentence1"] for row in ROWS])
    right = tiny_encoder.encode([row["sentence2"] for row in ROWS])
    gold = [row["score"] for row in ROWS]
    cosines = (left * right).sum(axis=1)
    for name in ("cosine_spearman", "spearman"):
        assert found[name] == pytest.approx(spearmanr(cosines, gold)[0], abs=1e-6)
    assert found["pearson"] == pytest.approx(pearsonr(cosines, gold)[0], abs=1e-6)


def test_mteb_retrieves_with_an_encoder_as_it_is(tiny_encoder: Encoder) -> None:
    found = scores(tiny_encoder, retrieval())
    assert found["ndcg_at_1"] == 1.0, "every query is in the corpus word for word"


def test_the_batches_of_mteb_become_rows_in_their_order(tiny_encoder: Encoder) -> None:
    batches = [{"text": TEXTS[:5]}, {"text": TEXTS[5:]}]
    rows = tiny_encoder.encode(batches, task_metadata=None, prompt_type=None)  # type: ignore[arg-type]
    np.testing.assert_array_equal(rows, tiny_encoder.encode(TEXTS))


@pytest.mark.parametrize(("prompt_type", "kind"), [("query", "query"), ("document", "document")])
def test_the_prompt_type_of_mteb_chooses_the_prompt(
    tiny_encoder_dir: Path, tmp_path: Path, prompt_type: str, kind: Any
) -> None:
    from mteb.types import PromptType

    prompts = {"prompts": {"query": "question: ", "document": "answer: "}}
    folder = copy_of(
        tiny_encoder_dir, tmp_path / "encoder", config_sentence_transformers__json=prompts
    )
    encoder = Encoder.load(folder)
    batches: Any = [{"text": ["lost card"]}]
    rows = encoder.encode(batches, task_metadata=None, prompt_type=PromptType(prompt_type))
    np.testing.assert_array_equal(rows, encoder.encode(["lost card"], kind=kind))
    other = encoder.encode(["lost card"], kind="document" if kind == "query" else "query")
    assert not np.array_equal(rows, other)


def test_a_misspelt_argument_is_still_refused(tiny_encoder: Encoder) -> None:
    with pytest.raises(TypeError, match="unexpected keyword argument 'kinds'"):
        tiny_encoder.encode(["lost card"], kinds="query")


def test_results_of_another_encoder_are_not_taken_for_this_one_s(tiny_encoder: Encoder) -> None:
    meta = tiny_encoder.mteb_model_meta
    whitened = tiny_encoder.whitened(fit(tiny_encoder.embed(TEXTS * 4), 4)).mteb_model_meta
    assert meta.name == whitened.name == "semsearch/encoder"
    assert meta.revision == tiny_encoder.fingerprint.digest != whitened.revision
    assert (meta.embed_dim, whitened.embed_dim, meta.max_tokens) == (32, 4, 64)


def test_similarities_are_cosines_whatever_the_length_of_the_rows(tiny_encoder: Encoder) -> None:
    random = np.random.default_rng(0)
    left, right = random.normal(size=(2, 7, 5)).astype(np.float32)
    cosines = tiny_encoder.similarity(left, 3 * right)
    assert cosines.shape == (7, 7)
    expected = np.dot(left[2], right[4]) / np.linalg.norm(left[2]) / np.linalg.norm(right[4])
    assert cosines[2, 4] == pytest.approx(expected, abs=1e-6)
    np.testing.assert_allclose(
        tiny_encoder.similarity_pairwise(left, 3 * right), np.diag(cosines), atol=1e-6
    )
