"""Inheritance: which teacher faults came along, and grew?

What the student shares with its teacher proves nothing by itself: questions that are hard for one
are hard for another. Faults that came along are those it has beyond what `base` had.
"""

from ullage.probes.inheritance.group_swaps import GroupSwaps
from ullage.probes.inheritance.teacher_errors import TeacherErrors

__all__ = ["GroupSwaps", "TeacherErrors"]
