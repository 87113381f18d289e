"""Boundary: does it know where to stop, ask, or cope?

Abstention and clarification are contrast pairs, so that always doing one thing scores nothing.
"""

from ullage.probes.boundary.abstention import Abstention
from ullage.probes.boundary.clarification import Clarification
from ullage.probes.boundary.formats import Formats
from ullage.probes.boundary.invariance import Invariance

__all__ = ["Abstention", "Clarification", "Formats", "Invariance"]
