"""What is asked of a student against what it learns from: which traffic no prompt comes near."""

from ullage.distill.coverage.report import Cluster, Coverage, Exercise
from ullage.distill.coverage.run import run_coverage

__all__ = ["Cluster", "Coverage", "Exercise", "run_coverage"]
