"""Make the encoder of an index better with its own bank, or prove that it cannot be."""

from semsearch.improvement.report import ImprovementReport
from semsearch.improvement.run import improve, rollback

__all__ = ["ImprovementReport", "improve", "rollback"]
