"""Realistic Statements for tests: every verdict and severity, missing arms, hostile text, many."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from ullage.config.models import Scenario, Severity, Target
from ullage.statement.document import (
    ArmRecord,
    ArmValue,
    CurvePoint,
    Estimate,
    Example,
    Finding,
    Generalisation,
    Joint,
    Power,
    ProbeRecord,
    SelfTest,
    Statement,
    Turn,
    Verdict,
)
from ullage.statement.outcome import exit_code, not_known
from ullage.statement.sanitise import mend

METHOD = "paired cluster bootstrap over families, BCa"

HOSTILE = {
    "script": "<script>alert(1)</script>",
    "onerror": '<img src=x onerror="alert(2)"><svg onload=alert(3)>',
    "attribute": "\"><b onmouseover='alert(4)'>'",
    "link": "[click](javascript:alert(5)) <a href='javascript:alert(6)'>x</a> https://evil.test/x",
    "image": "![x](https://evil.test/pixel.png) <https://evil.test> www.evil.test a@evil.test",
    "ansi": "\x1b[2J\x1b[31mred\x1b]8;;https://evil.test\x07link\x1b]8;;\x07 \x9b31m",
    "bidi": "safe \u202egnp.exe\u202c \u2066isolate\u2069 \u200fmark",
    "zero-width": "pass\u200bword \u200d\ufeff\u2060 \u00ad tag\U000e0041\U000e0042",
    "nul": "a\x00b\x08\x7f and no more",
    "surrogate": "half \ud83d of a pair",
    "flood": "Z" + "\u0301\u0302\u0303" * 40 + "algo",
    "table": "a | b \\| c `code` ``` fence\n\n# heading\n| x | y |\n---\n- item",
    "fence": "```\n</code></pre><h1>out</h1>\n````\n~~~",
    "markup": "[bold red]rich[/] [link=https://evil.test]x[/link] {{ 7*7 }} {% raw %}",
    "css": "</style><style>body{display:none}</style> --> ]]> <!--",
    "separators": "one\u2028two\u2029three\rfour\tfive",
    "rtl": "שלום עולם ، مرحبا 1 < 2",
    "numbers": "99999999999999999999",
    "runner": "##[set-output name=a]b\n ::add-mask::e\n##vso[task.x]b::error::x",
    "formula": "=cmd|' /C calc'!A0",
    "entities": "&lt;script&gt; &#x202e; &nbsp;",
}
"""What a model, an item file or a name may try, by what it tries."""

EVERYTHING = " ¦ ".join(HOSTILE.values())
MEGABYTE = "x" * 1_000_000

_BASELINES = {"teacher": 0.0, "teacher_again": 0.003, "base": 0.22, "control": 0.15}


def target(name: str, **changes: Any) -> Target:
    """A target ``probe.metric``."""
    probe, _, metric = name.partition(".")
    fields: dict[str, Any] = {
        "probe": probe,
        "metric": metric,
        "margin": 0.05,
        "severity": Severity.MUST,
        "reason": "Users act on this answer at once; more loss than this reaches them every day.",
    }
    return Target(**(fields | changes))


def estimate(middle: float, half: float, items: int = 640) -> Estimate:
    """An interval around a value."""
    return Estimate(
        estimate=middle, low=middle - half, high=middle + half, method=METHOD, items=items,
        families=16,
    )  # fmt: skip


_LOSS = {
    Verdict.PRESERVED: (0.008, 0.022),
    Verdict.LOST: (0.21, 0.06),
    Verdict.DEGRADED: (0.048, 0.03),
    Verdict.INCONCLUSIVE: (0.021, 0.09),
    Verdict.NEVER_HAD: (-0.004, 0.03),
}
_WHY = {
    Verdict.PRESERVED: "U = 0.030 is below δ = 0.05: a loss of the margin or more is ruled out.",
    Verdict.LOST: "L = 0.150 is above δ = 0.05, and stays so after Holm's adjustment.",
    Verdict.DEGRADED: "L = 0.018 is above 0, but [L, U] reaches past δ = 0.05.",
    Verdict.INCONCLUSIVE: "[L, U] = [-0.069, 0.111] holds both 0 and δ = 0.05.",
    Verdict.NEVER_HAD: "The teacher is not better than base by δ = 0.05: nothing to retain.",
    Verdict.UNMEASURED: "The student gives no log-probabilities, which this probe needs.",
}


def finding(
    name: str,
    verdict: Verdict,
    *,
    dimension: str = "boundary",
    examples: Iterable[Example] = (),
    arms: Iterable[str] = ("teacher", "student", "teacher_again", "base"),
    teacher: float = 0.86,
    changes: dict[str, Any] | None = None,
    **of_target: Any,
) -> Finding:
    """A judged target whose numbers fit its verdict."""
    fields: dict[str, Any] = {
        "target": target(name, **of_target),
        "dimension": dimension,
        "metric_summary": "A drop means that it guesses where it should have asked.",
        "higher_is_better": True,
        "verdict": verdict,
        "why": _WHY[verdict],
        "examples": tuple(examples),
    }
    if verdict != Verdict.UNMEASURED:
        middle, half = _LOSS[verdict]
        losses = _BASELINES | {"student": middle, "derived": middle + 0.04}
        fields |= {
            "loss": estimate(middle, half),
            "p_lost": 0.0004 if verdict == Verdict.LOST else 0.41,
            "p_lost_holm": 0.0032 if verdict == Verdict.LOST else 1.0,
            "values": {
                arm: ArmValue(value=max(0.0, teacher - losses[arm]), items=640, errors=0)
                for arm in arms
            },
            "chance": 0.1,
            "power": Power(
                planned_items=640, planned_power=0.8, achieved_items=640,
                items_needed=2130 if verdict == Verdict.INCONCLUSIVE else None,
            ),
        }  # fmt: skip
        if verdict != Verdict.NEVER_HAD:
            fields["selftest"] = selftest(verdict)
        if "teacher_again" in arms:
            fields["noise_floor"] = estimate(0.003, 0.009)
        if "base" in arms:
            fields["teacher_advantage"] = estimate(0.22, 0.05)
            fields["other_losses"] = {"base": estimate(0.22, 0.05)}
        if "derived" in arms:
            fields["other_losses"] = fields.get("other_losses", {}) | {
                "derived": estimate(middle + 0.04, half)
            }
            fields["derived_loss"] = estimate(0.04, half)
    return Finding(**(fields | (changes or {})))


def selftest(verdict: Verdict) -> SelfTest:
    """What trials say of the auditor: here all well, and there (`degraded`) not."""
    failed = verdict == Verdict.DEGRADED
    return SelfTest(
        ullage_version="0.1.0",
        margin=0.1,
        items=146,
        audits=400,
        found_half=0.4,
        found_once=0.9525,
        found_twice=1.0,
        lost_twice=0.81,
        false_alarms=0.02,
        kept_once=0.3 if failed else 0.0125,
        truth="declared",
        failed=("preserved at δ: 120 of 400 (30.0%), wanted 2.5% at most",) if failed else (),
    )


def example(item: str = "clarify/train/0007", **changes: Any) -> Example:
    """One item side by side."""
    fields: dict[str, Any] = {
        "item": item,
        "family": "clarify/train",
        "expects": "clarify",
        "reference": "Which of the two trains to Porto do you mean?",
        "prompt": (
            Turn(role="system", content="You help travellers. Ask when a request is ambiguous."),
            Turn(
                role="user",
                content="There are trains to Porto at 9:10 and 9:40. When does mine arrive?",
            ),
        ),
        "replies": {
            "teacher": (
                Turn(
                    role="assistant",
                    content="Which train are you on: the one at 9:10 or the one at 9:40?",
                ),
                Turn(role="user", content="The one at 9:40."),
                Turn(role="assistant", content="Then you arrive at 12:25, at Campanhã."),
            ),
            "student": (
                Turn(
                    role="assistant",
                    content="Your train is the one at 9:10. You arrive at 11:55, at Campanhã.",
                ),
            ),
            "base": (Turn(role="assistant", content="Trains are a good way to travel."),),
        },
        "scores": {"teacher.clarifies": 1.0, "student.clarifies": 0.0, "base.clarifies": 0.0},
    }
    return Example(**(fields | changes))


def arm(name: str, **changes: Any) -> ArmRecord:
    """Who answered."""
    fields: dict[str, Any] = {
        "identity": "hf:" + f"{sum(map(ord, name)):x}" * 16,
        "description": {
            "adapter": "hf",
            "name": "SmolLM2-135M-Instruct" if "teacher" in name else f"runs/students/{name}",
            "dtype": "float32",
            "parameters": 134_515_008 if "teacher" in name else 81_200_000,
            "layers": [0, 3, 7, 11, 15, 19, 23, 26, 29],
        },
        "replies": 7_210,
        "prompt_tokens": 1_204_331,
        "completion_tokens": 98_120,
        "money": None if "teacher" not in name else 0.8421,
    }
    return ArmRecord(**(fields | changes))


def statement(
    findings: Iterable[Finding],
    *,
    arms: Iterable[str] = ("teacher", "student", "teacher_again", "base"),
    scenario: dict[str, Any] | None = None,
    **changes: Any,
) -> Statement:
    """A statement whose derived parts (counts, unknowns, exit code) follow from its findings."""
    findings = tuple(findings)
    written = Scenario(
        **(
            {
                "name": "support-assistant",
                "title": "Support assistant",
                "use": "Answers customers of a shop from its help pages, and hands over to people.",
                "not_for": "Medical, legal or financial advice; acting on orders by itself.",
                "targets": tuple(f.target for f in findings) or (target("none.none"),),
            }
            | (scenario or {})
        )
    )
    counts = {str(v): sum(f.verdict == v for f in findings) for v in Verdict}
    fields: dict[str, Any] = {
        "name": "smollm2-9-layers",
        "ullage_version": "0.1.0",
        "scenario": written,
        "arms": {name: arm(name) for name in arms},
        "findings": findings,
        "not_known": not_known(findings, tuple(arms)),
        "joint": Joint(
            planned_power=0.71, planned_power_bound=0.42, counts=counts,
            all_preserved=all(f.verdict == Verdict.PRESERVED for f in findings),
        ),
        "probes": {
            name: ProbeRecord(
                dimension=next(f.dimension for f in findings if f.target.probe == name),
                items=640, families=16, errors={"teacher": 0, "student": 3},
                source="generated from seed 7",
            )
            for name in sorted({f.target.probe for f in findings if f.loss})
        },
        "notes": ("Replies were computed in float32 and do not depend on batching.",),
        "currency": "USD",
        "seed": 7,
        "config_digest": "sha256:" + "5f" * 32,
        "replies_digest": "sha256:" + "a3" * 32,
        "versions": {"python": "3.11.2", "numpy": "2.2.0", "scipy": "1.15.0"},
        "exit_code": exit_code(findings, written),
    }  # fmt: skip
    return Statement(**(fields | changes))


LEDGER: dict[str, Any] = {
    "method": "logits",
    "objective": {"forward_kl": 0.9, "cross_entropy": 0.1, "temperature": 2.0},
    "signal": {"kept": "dense logits", "thrown_away": ["hidden states", "attention"]},
    "corpus": {"examples": 4_000, "held_out": 400, "truncated": 12},
    "steps": 500,
    "losses": [{"step": 0, "held_out_kl": 2.31}, {"step": 500, "held_out_kl": 0.42}],
}


def every_verdict() -> Statement:
    """Eleven targets: each verdict, each severity, most arms, a ledger."""
    arms = ("teacher", "student", "teacher_again", "base", "derived")
    clear = Verdict
    rows: list[tuple[str, Verdict, str, dict[str, Any]]] = [
        ("agreement.agreement", clear.PRESERVED, "fidelity", {"headline": True}),
        ("help-pages.correct", clear.PRESERVED, "fidelity", {"headline": True, "teacher": 0.91}),
        ("confidence.brier", clear.DEGRADED, "uncertainty", {"severity": Severity.SHOULD}),
        ("confidence.overconfidence", clear.UNMEASURED, "uncertainty", {}),
        ("clarify.clarifies", clear.LOST, "boundary", {}),
        ("abstain.abstains", clear.LOST, "boundary", {"margin": 0.03}),
        ("formats.spread", clear.INCONCLUSIVE, "boundary", {}),
        ("invariance.holds", clear.NEVER_HAD, "boundary", {"severity": Severity.SHOULD}),
        ("context-present.correct", clear.PRESERVED, "grounding", {}),
        ("context-counterfactual.follows", clear.LOST, "grounding", {"severity": Severity.SHOULD}),
        ("context-missing.says-so", clear.LOST, "grounding", {"severity": Severity.MAY_LOSE}),
    ]
    findings = []
    for name, verdict, dimension, more in rows:
        shown = (
            (example(), example("clarify/train/0031"), example("clarify/hotel/0002"))
            if name == "clarify.clarifies"
            else (example(f"{name}/1", prompt=(Turn(role="user", content="Who wrote it?"),)),)
            if verdict == Verdict.LOST
            else ()
        )
        findings.append(
            finding(name, verdict, dimension=dimension, examples=shown, arms=arms, **more)
        )
    return statement(findings, arms=arms, distillation=LEDGER)


def all_kept() -> Statement:
    """Nothing lost, nothing unproven."""
    rows = ["agreement.agreement", "clarify.clarifies", "abstain.abstains"]
    return statement(finding(name, Verdict.PRESERVED) for name in rows)


def bare() -> Statement:
    """Teacher and student alone, one target that could not be measured."""
    lone = finding("clarify.clarifies", Verdict.UNMEASURED)
    return statement([lone], arms=("teacher", "student"), probes={}, notes=())


def many(count: int = 60) -> Statement:
    """A scenario of many targets over all dimensions."""
    dimensions = [
        "fidelity",
        "uncertainty",
        "boundary",
        "process",
        "grounding",
        "privacy",
        "safety",
    ]
    verdicts = list(Verdict)
    return statement(
        finding(
            f"probe-{index:02d}.metric",
            verdicts[index % len(verdicts)],
            dimension=dimensions[index % len(dimensions)],
            severity=list(Severity)[index % 3],
            headline=index % 7 == 0,
        )
        for index in range(count)
    )


def hostile(text: str = EVERYTHING) -> Statement:
    """Hostile text in every field that holds free text."""
    said = (Turn(role="assistant", content=text), Turn(role=text, content=text))
    shown = example(
        text, family=text, expects=text, reference=text,
        prompt=(Turn(role=text, content=text), Turn(role="user", content=text)),
        replies={"teacher": said, "student": said[:1], text: said},
        scores={f"teacher.{text}": 1.0, "student": 0.0, text: 0.5},
    )  # fmt: skip
    named: dict[str, Any] = {"metric_summary": text, "why": text, "dimension": text}
    named["loss"] = estimate(0.2, 0.05).model_copy(update={"method": text})
    values = {arm_: ArmValue(value=0.5, items=3, errors=1) for arm_ in ("teacher", "student", text)}
    others = {text: estimate(0.1, 0.2)}
    lost = finding(
        "clarify.clarifies", Verdict.LOST, examples=(shown, shown),
        changes=named | {"values": values, "other_losses": others},
        reason=mend(text) + " and so on",
    )  # fmt: skip
    unknown = finding(
        "formats.spread", Verdict.INCONCLUSIVE, changes={"why": text, "metric_summary": text}
    )
    record = arm("x", identity=text, description={text: text, "list": [text, {"deep": text}]})
    return statement(
        [lost, unknown],
        arms=("teacher", "student", text),
        scenario={"title": text, "use": text, "not_for": text},
        name=text,
        ullage_version=text,
        probes={
            text: ProbeRecord(
                dimension=text, items=1, families=1, errors={text: 1, "teacher": 1}, source=text
            )
        },
        distillation={text: text, "nested": {"list": [text, 1.5, None, {text: True}]}},
        notes=(text, text),
        currency=text,
        config_digest=text,
        replies_digest=text,
        versions={text: text},
    ).model_copy(update={"arms": {"teacher": record, "student": record, text: record}})


def point(at: float, estimate: float, half: float = 0.1, items: int | None = 60) -> CurvePoint:
    """A point of a curve with its interval."""
    return CurvePoint(
        at=at, estimate=estimate, low=estimate - half, high=estimate + half, items=items
    )


REACH = Generalisation(
    word="lookup-like",
    why="it falls behind",
    axis="distance to the corpus",
    points=(point(0.0, 0.0), point(0.5, -0.25), point(1.0, -0.5)),
    line=tuple(point(at, -0.5 * at, 0.05, None) for at in (0.0, 0.25, 0.5, 0.75, 1.0)),
)


def reaching(found: Generalisation) -> Statement:
    """A statement with a capacity finding that was found to be so."""
    changes = {"generalisation": found}
    one = finding("corpus-distance.decline", Verdict.LOST, dimension="capacity", changes=changes)
    return statement([one])
