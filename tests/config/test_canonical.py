"""What a run folder keeps loads back equal, and the digest follows what matters."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ullage.config import digest, dump, load
from ullage.config.models import Arm, Arms, Config, OpenAIOptions, Scenario, Target, Task
from ullage.config.problems import validate
from ullage.config.scenario import packaged
from ullage.config.source import parse

SCENARIO = packaged("support-assistant")

texts = st.text(
    st.characters(
        exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\ufeff\ufffe\uffff"
    )
    | st.sampled_from("\n\t"),
    max_size=30,
) | st.sampled_from(["no", "1e3", "0o7", "1_0", "12:30", "~", "null", "=", "<<", ".5", "0x1", "-"])
scalars = (
    texts | st.integers(-(10**12), 10**12) | st.floats(allow_nan=False, allow_infinity=False)
) | st.booleans()  # fmt: skip
bodies = st.dictionaries(texts, scalars | st.none() | st.lists(scalars, max_size=3), max_size=4)


def config(**changes: Any) -> Config:
    arms = Arms(teacher=Arm(model="hf:a"), student=Arm(model="openai:b"))
    return Config(arms=arms).model_copy(update=changes)


@given(
    body=bodies.filter(lambda body: "<<" not in body),
    reason=texts.map(lambda text: text + "0123456789"),
    margin=st.floats(1e-9, 1e9),
    seed=st.integers(0, 2**53 - 1),
    items=st.dictionaries(st.from_regex(r"\A[a-z0-9][a-z0-9_-]{0,8}\Z"), texts, max_size=3),
)
def test_a_dump_loads_back_equal(
    body: dict[str, Any], reason: str, margin: float, seed: int, items: dict[str, str]
) -> None:
    try:
        options = OpenAIOptions(extra_body=body)
    except ValueError:  # a key that looks like a secret
        options = OpenAIOptions()
    before = Config(
        arms=Arms(teacher=Arm(model="hf:a"), student=Arm(model="openai:b", openai=options)),
        targets=(Target(probe="a", metric="b", margin=margin, reason=reason),),
        tasks=(Task(name="no", file="1e3"),),
        items=items,
        seed=seed,
    )
    text = dump(before)
    after = validate(Config, parse(text, "dump"))
    assert after == before
    assert dump(after) == text


def test_the_dump_of_a_file_is_a_file(tmp_path: Path) -> None:
    path, copy = tmp_path / "a.yaml", tmp_path / "b.yaml"
    path.write_text("arms: {teacher: {model: 'hf:a'}, student: {model: 'recorded:b'}}\nname: no\n")
    loaded = load(path)
    copy.write_text(dump(loaded.config))
    again = load(copy)
    assert again.config == loaded.config
    assert again.scenario == loaded.scenario
    assert digest(again.config, again.scenario) == digest(loaded.config, loaded.scenario)


def test_a_scenario_dumps_too() -> None:
    assert validate(Scenario, parse(dump(SCENARIO), "dump")) == SCENARIO


@pytest.mark.parametrize(
    ("changed", "same"),
    [
        (config(runs="elsewhere"), True),
        (config(budget=config().budget.model_copy(update={"requests": 5, "money": 3.0})), True),
        (config(budget=config().budget.model_copy(update={"errors": 0.5})), False),
        (config(seed=1), False),
        (config(name="other"), False),
        (config(arms=Arms(teacher=Arm(model="hf:x"), student=Arm(model="openai:b"))), False),
    ],
)
def test_the_digest_follows_what_is_asked_and_judged(changed: Config, same: bool) -> None:
    assert (digest(changed, SCENARIO) == digest(config(), SCENARIO)) is same


def test_the_digest_follows_the_scenario() -> None:
    assert digest(config(), SCENARIO) != digest(config(), packaged("moderation"))
    assert digest(config(), SCENARIO).startswith("sha256:")
