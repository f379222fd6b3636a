"""Training an encoder: what it learns from, how, and what came of it."""
