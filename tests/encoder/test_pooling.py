import numpy as np
import pytest

from semsearch.encoder.modules import Dense
from semsearch.encoder.pooling import MODES, Pooling


def states_and_mask(seed=0):
    random = np.random.default_rng(seed)
    states = random.normal(size=(5, 7, 4)).astype(np.float32)
    mask = (np.arange(7) < np.array([7, 5, 2, 1, 3])[:, None]).astype(np.int64)
    return states, mask


def _sentence_transformers_pooling():
    try:
        from sentence_transformers.sentence_transformer.modules import Pooling
    except ImportError:  # before 5.5
        from sentence_transformers.models import Pooling
    return Pooling


@pytest.mark.parametrize("mode", MODES)
def test_pooling_equals_sentence_transformers(mode):
    torch = pytest.importorskip("torch")
    reference = _sentence_transformers_pooling()
    states, mask = states_and_mask()
    features = {
        "token_embeddings": torch.from_numpy(states),
        "attention_mask": torch.from_numpy(mask),
    }
    expected = reference(4, pooling_mode=mode)(features)["sentence_embedding"].numpy()
    np.testing.assert_allclose(Pooling((mode,))(states, mask), expected, rtol=1e-5, atol=1e-6)


def test_modes_are_concatenated_in_order():
    states, mask = states_and_mask()
    both = Pooling(("max", "cls"))(states, mask)
    np.testing.assert_array_equal(both[:, :4], Pooling(("max",))(states, mask))
    np.testing.assert_array_equal(both[:, 4:], states[:, 0])


@pytest.mark.parametrize("mode", MODES)
def test_padding_has_no_influence(mode):
    states, mask = states_and_mask()
    other = np.where(mask[:, :, None] > 0, states, np.float32(99))
    np.testing.assert_allclose(
        Pooling((mode,))(states, mask), Pooling((mode,))(other, mask), rtol=1e-6
    )


def test_a_prompt_is_left_out_of_the_mean_when_the_encoder_says_so():
    states, mask = states_and_mask()
    pooled = Pooling(("mean",), include_prompt=False)(states, mask, prompt_length=1)
    np.testing.assert_allclose(pooled[0], states[0, 1:].mean(axis=0), rtol=1e-5)
    assert mask.sum() == 18  # the caller's mask is as it was


@pytest.mark.parametrize("shape", [(0, 5, 3), (1, 384, 256), (33, 384, 257), (70, 9000, 40)])
def test_a_dense_is_one_product_in_pieces(shape):
    n, d, dim = shape
    random = np.random.default_rng(0)
    x, weight = (random.normal(size=s).astype(np.float32) for s in ((n, d), (dim, d)))
    made = Dense(weight)(x)
    assert made.shape == (n, dim) and made.dtype == np.float32
    np.testing.assert_allclose(made, x @ weight.T, rtol=1e-4, atol=1e-3)
