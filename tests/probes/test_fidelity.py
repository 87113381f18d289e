"""Fidelity of distributions: next tokens, bits per byte, and what each is fooled by."""

from __future__ import annotations

import math
import random
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest

from tests.probes import solver
from tests.probes.conversing import converse, perfect, saying, weighing
from tests.probes.fooling import means
from ullage.models.types import Ask, Reply, TokenLogprob, Weigh, Weights
from ullage.probes.fidelity import Agreement, LikelihoodGap, NextTokens, TeacherText, TextBits
from ullage.probes.fidelity.next_tokens import MAX_KL, TOP, TOUCHSTONE
from ullage.probes.fidelity.texts import MAX_APART, MAX_BITS
from ullage.probes.protocol import Item, Probe

Weigher = Callable[[Weigh], Weights]


def seeing(*tokens: str, **shares: float) -> Weigher:
    """A model that has the same next tokens at every place of a text of these tokens."""
    top = tuple(sorted(((t, math.log(p)) for t, p in shares.items()), key=lambda pair: -pair[1]))
    places = tuple(
        TokenLogprob(token=token, logprob=dict(top).get(token, -5.0), top=top) for token in tokens
    )
    return lambda request: Weights(logprobs=(-9.0,), tokens=(len(tokens),), places=(places,))


def both(own: Weigher, teacher: Weigher) -> Weigher:
    return lambda request: (teacher if request.of == "teacher" else own)(request)


def first(probe: Probe) -> Item:
    return next(iter(probe.items(4)))


def test_kl_is_that_of_the_teacher_from_the_arm() -> None:
    probe = NextTokens()
    teacher, own = seeing("a", "b", a=0.7, b=0.3), seeing("a", "b", a=0.4, b=0.6)
    scores = converse(probe, first(probe), perfect, both(own, teacher), teacher=saying("ab"))
    assert scores["kl"] == pytest.approx(0.7 * math.log(0.7 / 0.4) + 0.3 * math.log(0.3 / 0.6))
    assert scores["same-top"] == 0
    same = converse(probe, first(probe), perfect, both(own, own), teacher=saying("ab"))
    assert same == {"kl": 0, "same-top": 1}


def test_a_token_the_arm_does_not_think_of_counts_and_a_shared_reading_does_not() -> None:
    probe = NextTokens()
    teacher = seeing("a", **{"a": 0.5, "\ufffd": 0.3, "c": 0.1})
    own = seeing("a", **{"a": 0.5, "\ufffd": 0.05, "d": 0.3})
    scores = converse(probe, first(probe), perfect, both(own, teacher), teacher=saying("a"))
    # What the teacher gives to c the arm gives 0.05 at most, and 0.45 to all that is left.
    least = 0.1 * math.log(0.1 / 0.05) + 0.4 * math.log(0.4 / 0.45)
    assert scores["kl"] == pytest.approx(least, abs=1e-6)
    far = both(seeing("a", a=1e-9, b=0.9), seeing("a", a=0.99))
    assert converse(probe, first(probe), perfect, far, teacher=saying("a"))["kl"] == MAX_KL


def test_other_vocabularies_are_not_compared() -> None:
    probe = NextTokens()
    whole, cut = seeing("ab", ab=0.9), seeing("a", "b", a=0.9)
    apart = {"other-tokens": 1.0}
    assert converse(probe, first(probe), perfect, both(cut, whole), teacher=saying("ab")) == apart

    def alike_but_for_the_touchstone(request: Weigh) -> Weights:
        hard = request.continuations == (TOUCHSTONE,)
        return (cut if hard and request.of == "self" else whole)(request)

    by_chance = alike_but_for_the_touchstone
    assert converse(probe, first(probe), perfect, by_chance, teacher=saying("ab")) == apart
    assert converse(probe, first(probe), perfect, teacher=saying("")) == {}


def test_the_touchstone_is_asked_once_and_the_teachers_text_is_shared() -> None:
    asked: list[Ask | Weigh] = []
    for probe in (NextTokens(), TeacherText()):
        for item in islice(probe.items(4), 5):

            def weigh(request: Weigh) -> Weights:
                asked.append(request)
                return seeing("a", a=0.9)(request)

            def speak(ask: Ask, item: Item) -> str:
                asked.append(ask)
                return "a"

            converse(probe, item, perfect, weigh, teacher=speak)
    asks = [one for one in asked if isinstance(one, Ask)]
    weighs = [one for one in asked if isinstance(one, Weigh) and one.of == "self"]
    assert (len(asks), len(set(asks))) == (10, 5)
    assert len({one for one in weighs if one.continuations == (TOUCHSTONE,)}) == 1
    assert {one.top for one in weighs} == {0, 1, TOP}


@pytest.mark.local
def test_kl_of_real_models_is_at_most_that_of_their_whole_distributions(tmp_path: Path) -> None:
    pytest.importorskip("torch")
    from tests.models.test_hf_generate import Naive, answers
    from tests.support.tiny import build_tiny_model

    folders = [tmp_path / name for name in ("teacher", "arm", "other")]
    build_tiny_model(folders[0])
    build_tiny_model(folders[1], seed=5)
    build_tiny_model(folders[2], vocabulary=320)
    item = first(NextTokens())

    def score(arm: Path) -> tuple[dict[str, float], str]:
        conversation = NextTokens().converse(item)
        request, said = next(conversation), ""
        while True:
            folder = folders[0] if getattr(request, "of", "") == "teacher" else arm
            (answer,) = answers(folder, [request])  # type: ignore[list-item]
            if isinstance(answer, Reply):
                said = answer.text
            try:
                request = conversation.send(answer)  # type: ignore[arg-type]
            except StopIteration as stop:
                return dict(stop.value), said

    scores, said = score(folders[1])
    assert score(folders[0])[0] == {"kl": 0.0, "same-top": 1.0}
    assert score(folders[2])[0] == {"other-tokens": 1.0}
    teacher, arm = Naive(folders[0]), Naive(folders[1])
    before = teacher.prompt(Ask(messages=item.messages))
    tokens = list(teacher.tokenizer(said, add_special_tokens=False)["input_ids"])
    rows = [model.logprobs(before + tokens)[len(before) - 1 : -1] for model in (teacher, arm)]
    whole = float((rows[0].exp() * (rows[0] - rows[1])).sum(-1).mean())
    likeliest = [
        [model.tokenizer.decode([int(token)]) for token in row.argmax(-1)]
        for model, row in zip((teacher, arm), rows, strict=True)
    ]
    alike = [one == other for one, other in zip(*likeliest, strict=True)]
    assert 0.1 * whole < scores["kl"] <= min(whole, MAX_KL) + 1e-3
    assert scores["same-top"] == pytest.approx(sum(alike) / len(alike))


# ---------------------------------------------------------------------------------- bits per byte


def test_bits_are_counted_per_byte_of_the_reply() -> None:
    probe = TextBits()
    item = first(probe)
    size = len(item.answer.encode())

    def costing(own: float, teacher: float) -> Weigher:
        def weigh(request: Weigh) -> Weights:
            assert request.continuations == (item.answer,)
            bits = teacher if request.of == "teacher" else own
            return Weights(logprobs=(-bits * size * math.log(2),), tokens=(9,))

        return weigh

    for own, teacher in ((0.5, 0.8), (0.8, 0.5)):
        scores = converse(probe, item, perfect, costing(own, teacher))
        assert scores["bits-per-byte"] == pytest.approx(own)
        assert scores["difference"] == pytest.approx(0.3)
    clipped = converse(probe, item, perfect, costing(99.0, 0.5))
    assert clipped == {"bits-per-byte": MAX_BITS, "difference": MAX_APART}


def test_the_sentences_say_what_the_notes_say() -> None:
    for item in islice(TextBits().items(3), 5_000):
        noted = solver.read_context(item.messages[0].content)
        told = solver.read_context(item.answer)
        ((entity, facts),) = told.items()
        assert noted[entity] == facts
        assert len(facts) == 3


# ---------------------------------------------------------------------------------------- fooling


@pytest.mark.parametrize("said", ["The text does not say.", "Which one do you mean?", "", "Monday"])
def test_saying_one_thing_loses_agreement(said: str) -> None:
    scores = means("agreement", saying(said))
    assert scores["agreement"] < 0.1
    assert scores["lost-answers"] > 0.9


def guess(ask: Ask, item: Item) -> str:
    return random.Random(ask.messages[-1].content).choice(item.choices)


def test_answering_at_random_flips_both_ways() -> None:
    """Against a teacher as weak as a guess, accuracy is equal, and flips see it all the same."""

    def weak(ask: Ask, item: Item) -> str:
        return random.Random("teacher" + ask.messages[-1].content).choice(item.choices)

    scores = means("agreement", guess, teacher=weak)
    assert scores["agreement"] < 0.4
    assert scores["flips"] == pytest.approx(scores["lost-answers"] + scores["gained-answers"])
    assert scores["lost-answers"] > 0.1
    assert scores["gained-answers"] > 0.1


def test_a_gain_is_a_flip_and_no_loss() -> None:
    probe = Agreement()
    item = first(probe)
    scores = converse(probe, item, perfect, teacher=saying(item.wrong))
    assert (scores["gained-answers"], scores["lost-answers"], scores["flips"]) == (1, 0, 1)


def test_weighing_well_and_writing_badly_is_a_gap() -> None:
    probe = LikelihoodGap()
    item = first(probe)
    logprobs = [-1.0 if choice == item.answer else -2.0 for choice in item.choices]
    scores = converse(probe, item, saying(item.wrong), weighing(*logprobs))
    assert scores == {"generated": 0, "weighed": 1, "gap": 1}


def test_the_same_shares_at_every_place_are_far_from_a_teacher_that_knows() -> None:
    """Right words beside a flat distribution: `same-top` is fooled, `kl` is not."""
    probe = NextTokens()
    flat = both(seeing("a", a=0.26, b=0.25, c=0.25, d=0.24), seeing("a", a=0.97, b=0.01))
    scores = converse(probe, first(probe), perfect, flat, teacher=saying("a"))
    assert scores["same-top"] == 1
    assert scores["kl"] > 1
