"""Names of what a statement can become. Imports nothing, so that the command starts at once."""

from __future__ import annotations

from enum import StrEnum


class Format(StrEnum):
    """What a statement can be exported as."""

    CARD = "card"
    """A Hugging Face model card: a section of README.md, and its metadata."""
    CYCLONEDX = "cyclonedx"
    """A CycloneDX 1.6 ML-BOM."""
    SPDX = "spdx"
    """An SPDX 3.0.1 document with an AI package, as JSON-LD."""
    CSV = "csv"
    """One row a finding."""
    PARQUET = "parquet"
    """The same, as Parquet."""


TABLES = (Format.CSV, Format.PARQUET)


class Tracker(StrEnum):
    """Where a statement can be logged."""

    MLFLOW = "mlflow"
    """To `$MLFLOW_TRACKING_URI`."""
    WANDB = "wandb"
    """To the account that is logged in, or to files where `$WANDB_MODE` is `offline`."""
