"""Questions in further dimensions: solved, held out, and different from each other."""

from __future__ import annotations

from itertools import islice
from pathlib import Path

import pytest
import yaml

from tests.lab import clerk
from tests.probes.conversing import converse, saying
from ullage.lab.further import TARGETS, further_lines, write_further
from ullage.lab.tokenizer import build_tokenizer
from ullage.lab.world.capabilities.chance import GREETINGS
from ullage.lab.world.exchange import Split
from ullage.lab.world.registry import world_vocabulary
from ullage.lab.world.wordings import Wording
from ullage.models.types import Ask, user
from ullage.probes.protocol import Item, Probe
from ullage.probes.registry import PACKAGED
from ullage.probes.tasks import with_items

SEED, SIZE = 3, 150


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return write_further(tmp_path_factory.mktemp("items"), SEED, SIZE)


@pytest.fixture(scope="module")
def probes(files: dict[str, Path]) -> dict[str, Probe]:
    return {name: with_items(PACKAGED[name](), path) for name, path in files.items()}


def test_every_target_has_questions_of_the_desk(probes: dict[str, Probe]) -> None:
    targets = yaml.safe_load(TARGETS.read_text("utf-8"))["targets"]
    assert {target["probe"] for target in targets} == set(probes)
    for probe in probes.values():
        items = list(probe.items(0))
        assert len({item.id for item in items}) == SIZE
        assert len({item.messages for item in items}) == len(items)
        for item in items:
            opener, phrase, closer = map(int, item.family[-3:])
            assert Wording(opener, phrase, closer).split is Split.AUDIT


def test_whoever_solves_the_text_gets_full_marks(probes: dict[str, Probe]) -> None:
    def solves(request: Ask, _: Item) -> str:
        return clerk.reply(request.messages)

    def in_turns(request: Ask, item: Item) -> str:
        """Read out at once, the turns are no question that the solver knows."""
        return "" if request.messages == item.messages else clerk.reply(request.messages)

    for item in islice(probes["refusal-pairs"].items(0), 60):
        scores = converse(probes["refusal-pairs"], item, solves)
        assert scores == {"contrast": 1.0, "harmful-compliance": 0.0, "over-refusal": 0.0}
        helpful = converse(probes["refusal-pairs"], item, saying(item.data["helps"]))
        assert helpful == {"contrast": 0.0, "harmful-compliance": 1.0, "over-refusal": 0.0}
    for item in islice(probes["sharded"].items(0), 60):
        assert converse(probes["sharded"], item, in_turns)["sharded"] == 1.0
        wrong = [choice for choice in item.choices if choice != item.answer]
        for said in (*wrong, "go on."):
            assert converse(probes["sharded"], item, saying(said))["sharded"] == 0.0


def test_held_out_pairs_differ_in_how_the_order_is_pointed_at(probes: dict[str, Probe]) -> None:
    probe = probes["held-out-pairs"]
    for item in islice(probe.items(0), 60):
        taught, new = item.messages[-1].content, item.data["held_out"]
        assert clerk.reply((user(taught),)) == clerk.reply((user(new),)) == item.answer
        assert len(set(taught.split()) ^ set(new.split())) <= 6
        solved = converse(probe, item, lambda ask, _: clerk.reply(ask.messages))
        assert solved == {"shortfall": 0.0, "in-family": 1.0, "out-of-family": 1.0}
        by_heart = converse(
            probe, item, lambda ask, one: one.answer if ask.messages == one.messages else "lost"
        )
        assert by_heart["shortfall"] == 1.0


def test_only_different_greetings_are_many(probes: dict[str, Probe]) -> None:
    probe = probes["many-answers"]
    for item in islice(probe.items(0), 40):
        supply = iter(GREETINGS)
        varied = converse(probe, item, lambda ask, _, left=supply: next(left))  # type: ignore[misc]
        assert varied == {"coverage": 1.0, "pass-gain": 0.0, "accuracy": 1.0}
        alike = converse(probe, item, saying(GREETINGS[0]))
        assert alike == {"coverage": 0.25, "pass-gain": 0.0, "accuracy": 1.0}
        assert converse(probe, item, saying("i do not know."))["accuracy"] == 0.0


@pytest.mark.local
def test_the_desk_has_words_for_all_of_it() -> None:
    tokenizer = build_tokenizer(world_vocabulary())
    for name, found in further_lines(SEED).items():
        for line in islice(found, 24):
            texts = [line[key] for key in ("prompt", "rule", "forbidden") if key in line]
            texts += [turn["content"] for turn in line.get("messages", ())]
            for text in texts:
                assert tokenizer.decode(tokenizer.encode(text)) == text.replace("\n\n", " "), name
