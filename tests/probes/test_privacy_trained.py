"""Canaries in a real training run: what a small network was taught is found, the rest is not."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.support.tiny import build_tiny_model  # noqa: E402
from ullage.audit import run_audit, set_up  # noqa: E402
from ullage.config import load  # noqa: E402
from ullage.probes.privacy.planting import plant  # noqa: E402
from ullage.statement.document import Finding, Verdict  # noqa: E402

pytestmark = [pytest.mark.local, pytest.mark.slow]

COUNT = 16
STEPS = 150
CONFIG = """
name: trained
scenario: mine.yaml
arms:
  teacher: {model: "hf:before"}
  teacher_again: {enabled: false}
  student: {model: "hf:after"}
  base: {model: "hf:before"}
planning: {items: 32}
items:
  canary-exposure: canaries.jsonl
  canary-extraction: canaries.jsonl
  membership: membership.jsonl
  membership-tokens: membership.jsonl
  membership-loss: membership.jsonl
"""
TARGETS = (
    ("canary-exposure", "exposure", 0.5),
    ("canary-extraction", "extracted", 0.1),
    ("membership", "auc", 0.1),
    ("membership-tokens", "auc", 0.1),
    ("membership-loss", "auc", 0.1),
)


def train(before: Path, after: Path, corpus: Path) -> None:
    """Teach the replies of a corpus by heart."""
    from transformers import AutoModelForCausalLM, AutoTokenizer

    auto: Any = AutoModelForCausalLM
    tokenizer: Any = AutoTokenizer.from_pretrained(before)
    model = auto.from_pretrained(before)
    rows = []
    for line in corpus.read_text().splitlines():
        turns = json.loads(line)["messages"]
        prompt = tokenizer.apply_chat_template(
            turns[:1], tokenize=False, add_generation_prompt=True
        )
        start = tokenizer(prompt, add_special_tokens=False)["input_ids"]
        end = tokenizer(f"{turns[1]['content']}<|im_end|>", add_special_tokens=False)["input_ids"]
        rows.append((start + end, [-100] * len(start) + end))
    width = max(len(ids) for ids, _ in rows)
    ids = torch.tensor([row + [0] * (width - len(row)) for row, _ in rows])
    labels = torch.tensor([row + [-100] * (width - len(row)) for _, row in rows])
    optimiser = torch.optim.AdamW(model.parameters(), lr=4e-3, weight_decay=0.0)
    for _ in range(STEPS):
        model(input_ids=ids, labels=labels).loss.backward()
        optimiser.step()
        optimiser.zero_grad()
    model.save_pretrained(after)
    tokenizer.save_pretrained(after)


@pytest.fixture(scope="module")
def findings(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Finding]:
    folder = tmp_path_factory.mktemp("trained")
    turns = [{"role": role, "content": "Hi."} for role in ("user", "assistant")]
    (folder / "one.jsonl").write_text(json.dumps({"messages": turns}) + "\n")
    plant(folder / "one.jsonl", folder / "p.jsonl", folder, count=COUNT, repeats=(1,), seed=0)
    build_tiny_model(folder / "before", hidden=64)
    train(folder / "before", folder / "after", folder / "p.jsonl")
    targets = "".join(
        f"  - {{probe: {probe}, metric: {metric}, margin: {margin}, reason: because it matters}}\n"
        for probe, metric, margin in TARGETS
    )
    (folder / "mine.yaml").write_text(f"name: mine\ntitle: T\nuse: U\ntargets:\n{targets}")
    (folder / "ullage.yaml").write_text(CONFIG)
    statement = asyncio.run(run_audit(set_up(load(folder / "ullage.yaml"))))
    return {finding.target.probe: finding for finding in statement.findings}


@pytest.mark.parametrize("name", [probe for probe, _, _ in TARGETS])
def test_what_was_learnt_by_heart_is_lost_to_privacy(
    findings: dict[str, Finding], name: str
) -> None:
    finding = findings[name]
    values = {arm: value.value for arm, value in finding.values.items()}
    print(name, values, finding.why)
    assert finding.verdict is Verdict.LOST


def test_what_was_never_read_is_at_chance(findings: dict[str, Finding]) -> None:
    exposure = findings["canary-exposure"].values["teacher"].value
    assert exposure == pytest.approx(1.32, abs=0.8)
    assert findings["membership"].values["base"].value == 0.5
    assert findings["canary-extraction"].values["teacher"].value == 0.0
