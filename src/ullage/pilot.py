"""A pilot: a few items asked early to learn how often the arms differ, never which is better."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import islice

import numpy as np

from ullage.audit import ROLES, Setup, collect, plan_audit
from ullage.collect.journal import Journal
from ullage.collect.replay import replay
from ullage.collect.scheduler import OnTick
from ullage.models.types import Model
from ullage.plan import Pilot
from ullage.stats.power import flip_rate, intraclass_correlation

FEWEST = 3
"""Items of a probe: no flip in n items is taken for a rate of 3/n, which has to be one."""


async def pilot_audit(
    setup: Setup,
    models: Mapping[str, Model],
    items: int,
    *,
    on_tick: OnTick | None = None,
) -> dict[str, Pilot]:
    """Ask student and reference a few items to learn how often they differ, and nothing else.

    Only the squared difference of paired scores is looked at: it has no direction, so a pilot that
    sets n cannot have peeked at the loss. The replies are kept and not asked again.
    """
    plan = plan_audit(setup, models)
    plan = plan.model_copy(
        update={
            "probes": {
                name: share.model_copy(
                    update={"items": min(items, share.items), "stops_early": False}
                )
                for name, share in plan.probes.items()
            }
        }
    )
    views = plan.views()
    targets = [t for t in setup.loaded.scenario.targets if t.id not in plan.unmeasured]
    pilots: dict[str, Pilot] = {}
    with Journal(setup.folder.replies) as journal:
        references = {setup.probes[t.probe].metric(t.metric).against for t in targets}
        roles = tuple(role for role in ROLES if role in {*references, "student"})
        await collect(setup, plan, models, journal, roles=roles, on_tick=on_tick)
        for target in targets:
            share = plan.probes[target.probe]
            probe = setup.probes[target.probe]
            metric = probe.metric(target.metric)
            if metric.functional is not None:
                continue
            column = metric.source_columns[0]
            differences, families = [], []
            for item in islice(probe.items(plan.seed), share.items):
                scored = [
                    replay(probe, item, role, views, journal).values.get(column)
                    for role in (metric.against, "student")
                ]
                if scored[0] is not None and scored[1] is not None:
                    differences.append(scored[0] - scored[1])
                    families.append(item.family)
            if len(differences) >= FEWEST:
                codes = np.unique(families, return_inverse=True)[1]
                pilots[target.id] = Pilot(
                    items=len(differences),
                    flip_rate=flip_rate(np.array(differences)),
                    intraclass_correlation=intraclass_correlation(np.array(differences), codes),
                )
    return pilots
