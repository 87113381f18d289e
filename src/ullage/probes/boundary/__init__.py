"""Boundary: does it know where to stop, ask, or cope?

Abstention, clarification and empty input are contrast pairs, so that always doing one thing scores
nothing; the others want one answer to a question in several dresses.
"""

from ullage.probes.boundary.abstention import Abstention
from ullage.probes.boundary.clarification import Clarification
from ullage.probes.boundary.empty_input import EmptyInput
from ullage.probes.boundary.formats import Formats
from ullage.probes.boundary.invariance import Invariance
from ullage.probes.boundary.languages import OtherLanguages
from ullage.probes.boundary.long_input import LongInput
from ullage.probes.boundary.odd_writing import OddWriting

__all__ = [
    "Abstention",
    "Clarification",
    "EmptyInput",
    "Formats",
    "Invariance",
    "LongInput",
    "OddWriting",
    "OtherLanguages",
]
