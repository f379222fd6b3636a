from __future__ import annotations

import pytest

from semsearch.ann.placing import (
    Gpus,
    Place,
    Shape,
    moving_seconds,
    pays_to_train,
    places,
    why_not,
)

GIB = 1 << 30
MILLION = 1_000_000


def _kept(n: int, dim: int = 256) -> Shape:
    """What `--factory auto` makes: a GPU has no such codes, but the vectors are there."""
    return Shape(n, dim, keeps_vectors=True)


def test_every_vector_goes_to_the_card_in_16_bits_where_there_is_room() -> None:
    (place,) = places(_kept(10 * MILLION), Gpus((80 * GIB,)))
    assert place == Place("flat", (0,), "one", 10 * MILLION * 256 * 2)


@pytest.mark.parametrize(("dim", "fits"), [(256, True), (768, False)])
def test_dimensions_and_free_memory_decide(dim: int, fits: bool) -> None:
    # 10 million of 768 dimensions are 15.4 GB; of 16 GiB, two stay free for what is computed.
    assert bool(places(_kept(10 * MILLION, dim), Gpus((16 * GIB,)))) == fits


def test_a_card_keeps_room_for_what_it_computes() -> None:
    size = _kept(10 * MILLION).size_bytes("flat")
    assert not places(_kept(10 * MILLION), Gpus((size + GIB,)))
    assert places(_kept(10 * MILLION), Gpus((size + 2 * GIB,)))


def test_several_cards_that_hold_everything_share_the_queries() -> None:
    first, *others = places(_kept(MILLION), Gpus((8 * GIB, 4 * GIB, 8 * GIB)))
    assert (first.spread, first.cards) == ("replicas", (0, 1, 2))
    # Should memory run out all the same: one card, and then a part on each.
    assert [(other.spread, other.cards) for other in others] == [
        ("one", (0,)),
        ("shards", (0, 1, 2)),
    ]


def test_a_card_that_is_full_gets_no_replica() -> None:
    first = places(_kept(MILLION), Gpus((8 * GIB, 0, 8 * GIB)))[0]
    assert (first.spread, first.cards) == ("replicas", (0, 2))


def test_what_no_card_holds_alone_is_spread_over_as_many_as_have_room() -> None:
    (place,) = places(_kept(40 * MILLION), Gpus((12 * GIB, 12 * GIB, GIB, 12 * GIB)))
    assert (place.kind, place.spread, place.cards) == ("flat", "shards", (0, 1, 3))
    assert place.size_bytes == -(-40 * MILLION * 256 * 2 // 3)


def test_nothing_goes_where_there_is_no_room_and_it_is_said_how_much_there_is() -> None:
    shape, gpus = _kept(40 * MILLION), Gpus((8 * GIB, 8 * GIB))
    assert places(shape, gpus) == []
    assert why_not(shape, gpus) == "20.5 GB are needed, and 6.4, 6.4 GB are free on the GPUs"


def test_an_index_without_the_vectors_and_without_a_gpu_form_stays_where_it_is() -> None:
    shape = Shape(MILLION, 256, keeps_vectors=False)
    assert places(shape, Gpus((80 * GIB,))) == []
    assert "--factory auto" in why_not(shape, Gpus((80 * GIB,)))


def test_clusters_are_searched_where_they_are_all_there_is() -> None:
    shape = Shape(MILLION, 256, keeps_vectors=False, clusters_bytes=256)
    assert [place.kind for place in places(shape, Gpus((8 * GIB,)))] == ["clusters"]


def test_clusters_come_first_where_reading_everything_takes_long() -> None:
    def kinds(n: int) -> list[str]:
        shape = Shape(n, 256, keeps_vectors=True, clusters_bytes=256)
        return [place.kind for place in places(shape, Gpus((80 * GIB,)))]

    assert kinds(10 * MILLION) == ["flat", "clusters"]
    assert kinds(50 * MILLION) == ["clusters", "flat"]


def test_a_graph_is_searched_as_one_where_faiss_has_cuvs_and_never_split() -> None:
    shape = Shape(MILLION, 256, keeps_vectors=True, links=64)
    cards = (8 * GIB, 8 * GIB)
    with_cuvs = places(shape, Gpus(cards, graphs=True))
    assert (with_cuvs[0].kind, with_cuvs[0].spread) == ("graph", "one")
    assert {place.kind for place in with_cuvs[1:]} == {"flat"}
    assert {place.kind for place in places(shape, Gpus(cards))} == {"flat"}


def test_a_place_says_what_is_where() -> None:
    first = places(_kept(MILLION), Gpus((8 * GIB, 8 * GIB)))[0]
    assert str(first) == "flat, 0.5 GB on GPU 0, 1 each"


def test_moving_costs_more_the_more_there_is() -> None:
    assert moving_seconds(10 * MILLION, 256) > moving_seconds(1_000, 256) > 1


@pytest.mark.parametrize(("n", "lists", "pays"), [(100_000, 256, False), (MILLION, 1024, True)])
def test_a_gpu_is_started_only_for_what_takes_the_cpu_longer(
    n: int, lists: int, pays: bool
) -> None:
    assert pays_to_train(n, 256, lists) == pays
