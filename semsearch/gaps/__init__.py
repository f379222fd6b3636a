"""What people ask and the bank has no answer to."""

from __future__ import annotations

from semsearch.gaps.report import Gap, Gaps
from semsearch.gaps.run import gaps

__all__ = ["Gap", "Gaps", "gaps"]
