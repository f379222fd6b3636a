"""Find the right standard question in milliseconds."""

__version__ = "0.1.0"
