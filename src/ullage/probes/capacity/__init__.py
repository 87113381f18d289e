"""Capacity: did it find the principle, or build a lookup table?

Both score the same on what was taught. They differ on what was held out, so the probes compare the
two, and the loss from one to the other with the teacher's.
"""

from ullage.probes.capacity.distance import CorpusDistance
from ullage.probes.capacity.pairs import HeldOutPairs

__all__ = ["CorpusDistance", "HeldOutPairs"]
