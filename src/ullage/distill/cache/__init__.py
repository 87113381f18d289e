"""The teacher cache: the teacher is asked once, then many students learn from disk.

Of each position, the likeliest tokens (or some that were drawn) are kept with their probabilities,
a few bits each. See `about` for what identifies a cache, `hazards`, `values` and `codec` for how
positions are written, `container`, `shard` and `manifest` for the files.
"""

from ullage.distill.cache.about import About, Compressor
from ullage.distill.cache.given import Distributions
from ullage.distill.cache.reader import CacheReader
from ullage.distill.cache.verify import Stats, prune, stats, verify
from ullage.distill.cache.writer import CacheWriter

__all__ = [
    "About",
    "CacheReader",
    "CacheWriter",
    "Compressor",
    "Distributions",
    "Stats",
    "prune",
    "stats",
    "verify",
]
