"""Ullage distils large models into small ones and accounts for what the small one lost."""

__version__ = "0.1.0"
