import warnings

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from semsearch.errors import EncoderError
from semsearch.whitening import MAX_KERNEL, compare, fit, fit_and_compare


def anisotropic(n, d, seed=0):
    """Rows in a narrow cone, as sentence embeddings lie: correlated, around a far-off mean."""
    random = np.random.default_rng(seed)
    mixing = random.normal(size=(d, d)) * np.geomspace(2, 0.2, d)[:, None]
    return (random.normal(size=(n, d)) @ mixing + 5).astype(np.float32)


def reference(vectors, dim):
    """https://github.com/bojone/BERT-whitening, compute_kernel_bias."""
    mu = vectors.mean(axis=0, keepdims=True)
    u, s, _ = np.linalg.svd(np.cov(vectors.T))
    return (u @ np.diag(1 / np.sqrt(s)))[:, :dim], -mu


@pytest.mark.parametrize("dim", [1, 7, 16])
def test_it_equals_the_published_code(dim):
    rows = anisotropic(2000, 16)
    whitening = fit(rows, dim)
    kernel, bias = reference(rows.astype(np.float64), dim)
    np.testing.assert_allclose(whitening.kernel, kernel, atol=1e-4)
    np.testing.assert_allclose(whitening(rows), (rows + bias) @ kernel, atol=1e-4)
    assert whitening.shrinkage == 0
    assert (whitening.n_samples, whitening.dim) == (2000, dim)


def test_whitened_rows_have_unit_covariance_and_mean_zero():
    rows = anisotropic(3000, 12)
    white = fit(rows, 12)(rows)
    np.testing.assert_allclose(np.cov(white.T), np.eye(12), atol=1e-3)
    np.testing.assert_allclose(white.mean(axis=0), 0, atol=1e-3)


def test_as_a_linear_layer_it_is_the_same_map():
    rows = anisotropic(500, 8)
    whitening = fit(rows, 5)
    layer = rows @ whitening.weight.T + whitening.bias
    np.testing.assert_allclose(layer, whitening(rows), atol=1e-4)
    for array in (whitening.mean, whitening.kernel, whitening.weight, whitening.bias, layer):
        assert array.dtype == np.float32


def test_unit_rows_have_length_one():
    rows = anisotropic(500, 8)
    norms = np.linalg.norm(fit(rows, 5).unit(rows), axis=1)
    np.testing.assert_allclose(norms, 1, rtol=1e-5)


def test_the_share_of_variance_kept_grows_to_one():
    rows = anisotropic(500, 10)
    kept = [fit(rows, dim).variance_kept for dim in (1, 5, 10)]
    assert kept == sorted(kept) and 0 < kept[0] < kept[2]
    assert kept[2] == pytest.approx(1)


@pytest.mark.parametrize(
    ("rows", "said"),
    [
        (np.ones((1, 4)), "Fit it on more texts"),
        (np.ones((0, 4)), "Fit it on more texts"),
        (np.ones((50, 4)), "Fit it on more texts"),
        (np.zeros((50, 4)), "Fit it on more texts"),
        (np.full((50, 4), np.nan), "NaN or infinity"),
        (np.full((50, 4), np.inf), "NaN or infinity"),
        (1e5 + 1e-3 * np.random.default_rng(0).normal(size=(50, 4)), "Fit it on more texts"),
        (1e-7 * np.random.default_rng(0).normal(size=(50, 4)), "hardly differ"),
        (np.ones(4), "matrix"),
    ],
)
def test_data_that_says_nothing_is_refused(rows, said):
    with pytest.raises(EncoderError, match=said):
        fit(rows.astype(np.float32), 2)


@pytest.mark.parametrize("dim", [0, -1, 5])
def test_dimensions_that_are_not_there_are_refused(dim):
    with pytest.raises(EncoderError, match="the embeddings have 4"):
        fit(anisotropic(50, 4), dim)


def degenerate(kind, n, d, seed):
    rows = anisotropic(n, d, seed)
    if kind == "constant column":
        rows[:, 0] = 3
    elif kind == "equal columns":
        rows[:, 1] = rows[:, 0]
    elif kind == "duplicates":
        rows = np.repeat(rows[: max(2, n // 10)], 10, axis=0)
    elif kind == "tiny column":
        rows[:, -1] *= 1e-7
    elif kind == "rank one":
        rows = rows[:, :1] * np.arange(1, d + 1, dtype=np.float32)
    return rows


KINDS = ["plain", "constant column", "equal columns", "duplicates", "tiny column", "rank one"]


@given(st.sampled_from(KINDS), st.integers(2, 60), st.integers(2, 24), st.integers(0, 5))
@settings(max_examples=60, deadline=None)
def test_no_kernel_is_huge_or_nan_whatever_the_data(kind, n, d, seed):
    rows = degenerate(kind, n, d, seed)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        whitening = fit(rows, rows.shape[1])
    assert np.isfinite(whitening.kernel).all()
    assert np.abs(whitening.kernel).max() <= MAX_KERNEL
    assert np.isfinite(whitening(rows)).all()
    assert 0 <= whitening.shrinkage <= 1


def test_fewer_rows_than_dimensions_are_shrunk_and_said_so():
    whitening = fit(anisotropic(20, 64), 32)
    assert 0 < whitening.shrinkage <= 1


def test_repeated_rows_do_not_count_as_more_data():
    rows = anisotropic(20, 64)
    many = fit(np.repeat(rows, 10, axis=0), 32)
    assert many.shrinkage == pytest.approx(fit(rows, 32).shrinkage)
    assert many.n_samples == 200


def test_a_column_that_never_varies_is_no_trouble_among_many_rows():
    rows = anisotropic(1000, 8)
    rows[:, 3] = 1
    assert fit(rows, 7).shrinkage == 0  # not among the dimensions kept
    assert fit(rows, 8).shrinkage > 0


def test_comparing_shows_more_even_directions_on_rows_not_seen():
    rows = anisotropic(3000, 16)
    report = compare(fit(rows[:2500], 16), rows[2500:])
    assert report.n_rows == 500
    assert report.mean_cosine[0] > 0.3 > abs(report.mean_cosine[1])
    assert report.mean_correlation[0] > 2 * report.mean_correlation[1]
    assert report.effective_rank[0] < 0.8 < report.effective_rank[1] <= 1
    assert report.to_dict()["mean_cosine"] == report.mean_cosine


@pytest.mark.parametrize("shape", [(1, 16), (0, 16), (9, 4), (16,)])
def test_comparing_needs_rows_of_the_same_width(shape):
    with pytest.raises(EncoderError, match="at least 2 rows of 16"):
        compare(fit(anisotropic(100, 16), 4), np.zeros(shape, np.float32))


@pytest.mark.minilm
@pytest.mark.data
def test_minilm_gets_more_isotropic_on_questions_it_was_not_fitted_on(data_dir):
    pandas = pytest.importorskip("pandas")
    from semsearch.encoder import Encoder

    texts = pandas.read_parquet(data_dir / "faq" / "banking77" / "train.parquet")["text"]
    embeddings = Encoder.load("minilm").embed(texts.sample(900, random_state=0).tolist())
    whitening = fit(embeddings[:700], 128)
    report = compare(whitening, embeddings[700:])
    assert report.mean_cosine[1] < report.mean_cosine[0] / 3
    assert 0.5 < whitening.variance_kept < 1


def test_a_fit_is_reported_on_rows_that_it_has_not_seen() -> None:
    rows = anisotropic(400, 16)
    whitening, report = fit_and_compare(rows, 8)
    np.testing.assert_array_equal(whitening.kernel, fit(rows, 8).kernel)
    assert report is not None and report.n_rows == 40
    assert report == compare(fit(rows[np.arange(400) % 10 > 0], 8), rows[::10])
    assert "of the variance kept" in str(whitening) and "40 held-out texts" in str(report)
    assert fit_and_compare(rows[:12], 4)[1] is None
