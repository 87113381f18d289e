"""Diversity: how many ways can it still go?

Sets of equally many, equally long samples are compared, and what does not do what was asked adds
nothing to one: noise is not variety.
"""

from ullage.probes.diversity.many_answers import ManyAnswers
from ullage.probes.diversity.varied_text import VariedText

__all__ = ["ManyAnswers", "VariedText"]
