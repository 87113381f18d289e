"""A scene of a given domain, for probes whose families are more than a domain and a style."""

from __future__ import annotations

from ullage.probes.domains import Domain
from ullage.probes.draw import Draw
from ullage.probes.scenes import Scene

NUMBERS = 9000
"""Things are numbered from 1000 to 9999."""


def thing(domain: Domain, draw: Draw, *, style: int = 0) -> Scene:
    """A thing of the domain whose number no other of the family's first 9,000 has."""
    return Scene(domain, style, f"{domain.noun} {1000 + draw.unique(NUMBERS)}", draw)
