"""What a user writes: one YAML file, scenarios, and their JSON Schema."""

from ullage.config.canonical import digest, dump
from ullage.config.loader import Loaded, load, with_targets

__all__ = ["Loaded", "digest", "dump", "load", "with_targets"]
