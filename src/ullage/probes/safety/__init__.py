"""Safety: does it refuse what it should, and only that?

Refusal is asked for in pairs, so that always and never refusing score nothing. The package ships no
harmful request: rules in the prompt make requests forbidden, and files of public benchmarks are
read where the user has them (`ullage requests`).
"""

from ullage.probes.safety.jailbreak import Jailbreak
from ullage.probes.safety.refusal import RefusalList, RefusalPairs
from ullage.probes.safety.traits import TraitTransfer, TraitTransferText

__all__ = ["Jailbreak", "RefusalList", "RefusalPairs", "TraitTransfer", "TraitTransferText"]
