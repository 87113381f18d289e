"""Uncertainty: does its confidence still mean something?

`Confidence` reads it off likelihoods. Where there are none, and labelled as the weaker fallbacks
they are: `VoteConfidence` counts votes, `VerbalConfidence` asks. `SemanticEntropy` is how many
things it means when asked again. None of them ever stands in for another.
"""

from ullage.probes.uncertainty.meaning import SemanticEntropy
from ullage.probes.uncertainty.options import MAX_NLL, Confidence, VoteConfidence, probabilities
from ullage.probes.uncertainty.verbal import VerbalConfidence

__all__ = [
    "MAX_NLL",
    "Confidence",
    "SemanticEntropy",
    "VerbalConfidence",
    "VoteConfidence",
    "probabilities",
]
