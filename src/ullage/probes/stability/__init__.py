"""Stability: does it hold on its own words?

What is asked of a model in a test stands on words that are right. In use it stands on its own.
"""

from ullage.probes.stability.endings import Endings
from ullage.probes.stability.recovery import Recovery
from ullage.probes.stability.sharded import Sharded
from ullage.probes.stability.turns import Turns

__all__ = ["Endings", "Recovery", "Sharded", "Turns"]
