"""JSON Schema of what a user writes, for editors and other tools."""

from __future__ import annotations

from typing import Any

from ullage.config.models import Config, Scenario

DIALECT = "https://json-schema.org/draft/2020-12/schema"


def config_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of `ullage.yaml`."""
    return _schema(Config, "ullage.yaml", "What to compare, on what, and within which limits.")


def scenario_schema() -> dict[str, Any]:
    """JSON Schema (draft 2020-12) of a scenario file."""
    return _schema(Scenario, "Ullage scenario", Scenario.__doc__ or "")


def _schema(model: type[Config] | type[Scenario], title: str, description: str) -> dict[str, Any]:
    schema = model.model_json_schema(mode="validation")
    return {"$schema": DIALECT, **schema, "title": title, "description": description}
