from __future__ import annotations

from itertools import pairwise

import pytest

from semsearch.calibration.assembling import (
    UNANSWERABLE,
    assumed_unanswerable,
    promised_unanswerable,
)


@pytest.mark.parametrize(("phrasings", "share"), [(2, 0.5), (1000, 0.5), (5000, 0.1), (10**6, 0.1)])
def test_a_small_bank_is_thought_to_be_asked_more_that_it_does_not_have(
    phrasings: int, share: float
) -> None:
    assert assumed_unanswerable(phrasings) == share
    assert share >= UNANSWERABLE
    assert promised_unanswerable(phrasings) > share, "a promise is for worse days, too"


def test_one_phrasing_more_changes_little() -> None:
    shares = [assumed_unanswerable(n) for n in range(900, 5100)]
    steps = [before - after for before, after in pairwise(shares)]
    assert min(steps) >= 0 and max(steps) == pytest.approx(0.01)
