"""Looking at a probe: what it costs, its items, and what an arm makes of some of them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from ullage.audit import ROLES, arm_models, arm_views, on_demand, open_arms, spent
from ullage.collect.conversation import Outcome
from ullage.collect.journal import Journal
from ullage.collect.replay import Exchange, replay
from ullage.collect.scheduler import Collector
from ullage.config import Loaded
from ullage.errors import InputError
from ullage.examples import turns
from ullage.plan import rehearse, usual_items
from ullage.probes.base import PackagedProbe
from ullage.probes.catalogue import about
from ullage.probes.protocol import Item, Probe
from ullage.run_folder import RunFolder
from ullage.statement.document import Turn


@dataclass(frozen=True, slots=True)
class Entry:
    """A probe as `ullage probes` lists it."""

    probe: Probe
    about: str
    """What it does, in a sentence or two."""
    needs: str
    """What it needs beside access, where it does."""
    prompts: float
    """Prompts an item, to an arm that replies ideally; the teacher's, where it is asked, too."""
    items: int
    """About how many a standard audit asks."""

    def as_json(self) -> dict[str, object]:
        """For machines."""
        return {
            "probe": self.probe.name,
            "dimension": str(self.probe.dimension),
            "about": self.about,
            "access": sorted(self.probe.access),
            "arms": sorted(self.probe.others),
            "needs": self.needs,
            "prompts_per_item": self.prompts,
            "standard_items": self.items,
            "metrics": {metric.name: metric.summary for metric in self.probe.metrics},
        }


def entry(probe: Probe) -> Entry:
    """What there is to say of a probe; nothing is asked."""
    return Entry(
        probe=probe,
        about=about(probe),
        needs=needs_items(probe),
        prompts=rehearse(probe, 0)[0],
        items=usual_items(probe),
    )


def needs_items(probe: Probe) -> str:
    """Why an audit would not ask these items, where it would not."""
    return probe.needs_items if isinstance(probe, PackagedProbe) else ""


@dataclass(frozen=True, slots=True)
class Seen:
    """An item, and what an arm made of it."""

    item: Item
    turns: tuple[Turn, ...] = ()
    """What followed the item's own messages. The content is hostile text."""
    outcome: Outcome | None = None
    """The scores, or why there are none; None where no arm was asked."""


async def look(loaded: Loaded, probe: Probe, items: Sequence[Item], role: str) -> list[Seen]:
    """Ask one arm some items. The replies are kept, and an audit does not ask them again.

    Args:
        loaded: whose arms there are; the replies go to its run folder.
        probe: one probe.
        items: some of its items.
        role: the arm.

    Raises:
        InputError: there is no such arm, or one lacks what the probe needs.
    """
    roles = dict.fromkeys(("teacher", *probe.others, role))
    there = arm_models(loaded)
    for name in roles:
        if name not in there:
            known = ", ".join(one for one in ROLES if one in there)
            raise InputError(f"{loaded.path}: has no arm '{name}'; it has {known}")
    models = await open_arms(loaded, roles)
    views = arm_views(loaded, models)
    if missing := probe.access - views[role].access:
        raise InputError(
            f"{loaded.path}: probe {probe.name} needs access '{', '.join(sorted(missing))}', which "
            f"the {role} does not give; look at another arm, or leave --arm out"
        )
    folder = RunFolder(loaded.root / loaded.config.runs / loaded.config.name)
    with folder.locked(), Journal(folder.replies) as journal:
        async with on_demand(models) as give:
            spending = spent(loaded.config, views, journal)
            collector = Collector(role, views, give, journal, spending)
            await collector.run(iter([(probe, item) for item in items]))
        found = []
        for item in items:
            exchanges: list[Exchange] = []
            outcome = replay(probe, item, role, views, journal, exchanges=exchanges)
            found.append(Seen(item, turns(exchanges, item.messages), outcome))
    return found
