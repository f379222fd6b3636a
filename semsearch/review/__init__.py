"""What is wrong with a bank, found without labels."""

from __future__ import annotations

from semsearch.review.findings import KINDS, Finding, Review
from semsearch.review.run import review

__all__ = ["KINDS", "Finding", "Review", "review"]
