"""Learn how sure an answer is, and from where on to answer; what is learnt is in `confidence`."""

from semsearch.calibration.plots import require as require_plots
from semsearch.calibration.report import CalibrationReport, write
from semsearch.calibration.run import calibrate, remove

__all__ = ["CalibrationReport", "calibrate", "remove", "require_plots", "write"]
