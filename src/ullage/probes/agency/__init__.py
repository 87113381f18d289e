"""Agency: what can a user do through it?

Each probe asks for the difference that the model makes: against the same question without the
lesson, against giving in to a wrong correction, against the list the user had before.
"""

from ullage.probes.agency.correction import Correction
from ullage.probes.agency.list_edits import ListEdits
from ullage.probes.agency.novel_rule import NovelRule
from ullage.probes.agency.soft_instructions import SoftInstructions
from ullage.probes.agency.steering import Steering

__all__ = ["Correction", "ListEdits", "NovelRule", "SoftInstructions", "Steering"]
