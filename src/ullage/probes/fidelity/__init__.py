"""Fidelity: does it say what the teacher says?

`Agreement` counts answers, `LikelihoodGap` compares what a model picks with what it writes.
`NextTokens` compares the distributions themselves where vocabularies are equal; `TeacherText` and
`TextBits` do across any tokenizers, per byte.
"""

from ullage.probes.fidelity.answers import Agreement, LikelihoodGap
from ullage.probes.fidelity.next_tokens import NextTokens
from ullage.probes.fidelity.texts import MAX_SURPRISE, TeacherText, TextBits

__all__ = ["MAX_SURPRISE", "Agreement", "LikelihoodGap", "NextTokens", "TeacherText", "TextBits"]
