"""What would spoil a student, looked for before a weight is trained."""

from ullage.distill.preflight.findings import Finding, Preflight

__all__ = ["Finding", "Preflight"]
