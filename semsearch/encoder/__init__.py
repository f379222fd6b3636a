"""Encoders: texts to vectors, on ONNX Runtime or torch."""

from semsearch.encoder.encoder import Encoder
from semsearch.encoder.fingerprint import Fingerprint
from semsearch.encoder.tokens import TextStats

__all__ = ["Encoder", "Fingerprint", "TextStats"]
