"""Find the fastest way to index a bank's vectors that still finds the neighbours, and prove it."""

from semsearch.tuning.outcome import Trial, TuneReport
from semsearch.tuning.tune import tune

__all__ = ["Trial", "TuneReport", "tune"]
