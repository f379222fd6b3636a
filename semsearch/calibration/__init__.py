"""Learn how sure an answer is, and from where on to answer; what is learnt is in `confidence`."""

from semsearch.calibration.report import CalibrationReport
from semsearch.calibration.run import calibrate, remove

__all__ = ["CalibrationReport", "calibrate", "remove"]
