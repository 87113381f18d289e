"""Local models through transformers; the only part of `models` that imports torch."""
