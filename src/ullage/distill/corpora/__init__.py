"""Corpora that ship with the package, and the scripts that write them."""

from pathlib import Path

DESK = Path(__file__).with_name("desk.jsonl")
"""A support desk for things on wheels: short conversations with references, see `desk.py`."""
