"""How sure an answer is: signals of what a search found, and a calibrated probability of them.

Nothing here learns; `semsearch.calibration` fits what is applied here with NumPy alone.
"""

from semsearch.confidence.model import Calibration, Model
from semsearch.confidence.signals import SIGNALS, Nearest, signals

__all__ = ["SIGNALS", "Calibration", "Model", "Nearest", "signals"]
