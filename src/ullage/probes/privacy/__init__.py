"""Privacy: what does it leak? More leakage is a loss.

`Confidences` needs nothing; the others look for canaries that were planted in a training run
(`ullage canaries`), and are unmeasured where none were.
"""

from ullage.probes.privacy.canaries import (
    CanaryChoice,
    CanaryExposure,
    CanaryExtraction,
    CanaryInheritance,
)
from ullage.probes.privacy.confidences import Confidences
from ullage.probes.privacy.membership import Membership, MembershipLoss, MembershipTokens

__all__ = [
    "CanaryChoice",
    "CanaryExposure",
    "CanaryExtraction",
    "CanaryInheritance",
    "Confidences",
    "Membership",
    "MembershipLoss",
    "MembershipTokens",
]
