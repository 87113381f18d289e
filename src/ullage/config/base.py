"""What every configuration model is made of."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated

from pydantic import AfterValidator, BaseModel, ConfigDict, Field

Slug = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9_-]*$", max_length=64)]
Share = Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)]
Seed = Annotated[int, Field(ge=0, lt=2**53)]
"""As large as a number of a statement may be: beyond it readers of JSON differ."""

DIMENSIONS = (
    "fidelity",
    "uncertainty",
    "boundary",
    "process",
    "stability",
    "grounding",
    "privacy",
    "safety",
    "diversity",
    "capacity",
    "agency",
    "inheritance",
)
"""Values of `ullage.probes.protocol.Dimension`, which configuration may not import."""


def _is_dimension(value: str) -> str:
    if value not in DIMENSIONS:
        raise ValueError(f"'{value}' is not a dimension; known: {', '.join(DIMENSIONS)}")
    return value


DimensionName = Annotated[
    str, AfterValidator(_is_dimension), Field(json_schema_extra={"enum": list(DIMENSIONS)})
]


class Strict(BaseModel):
    """Base of all configuration: frozen, no unknown keys, descriptions from docstrings."""

    model_config = ConfigDict(
        frozen=True, extra="forbid", use_attribute_docstrings=True, protected_namespaces=()
    )


def unique(kind: str, names: Iterable[str]) -> None:
    """Refuse names that are there twice, with a `ValueError`."""
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{kind} {name} is there twice; keep one")
        seen.add(name)
