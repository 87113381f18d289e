"""Making students, and keeping a ledger of the teacher signal thrown away."""

from ullage.distill.preflight import Preflight
from ullage.distill.result import DistillResult, Progress, Report, Stopped
from ullage.distill.run import run_distill, run_preflight

__all__ = [
    "DistillResult",
    "Preflight",
    "Progress",
    "Report",
    "Stopped",
    "run_distill",
    "run_preflight",
]
