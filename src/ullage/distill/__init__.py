"""Making students, and keeping a ledger of the teacher signal thrown away."""

from ullage.distill.result import DistillResult, Progress, Report, Stopped
from ullage.distill.run import run_distill

__all__ = ["DistillResult", "Progress", "Report", "Stopped", "run_distill"]
