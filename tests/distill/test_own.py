"""On-policy distillation: the student's own words, who scores them, and their repetition."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from safetensors.torch import load_file  # noqa: E402

from tests.distill import laboratory, making  # noqa: E402
from tests.distill.test_inner import module  # noqa: E402
from tests.distill.test_layers import build  # noqa: E402
from ullage.config.models import OnPolicy  # noqa: E402
from ullage.distill import run_distill  # noqa: E402
from ullage.distill.divergences import generalised_jsd  # noqa: E402
from ullage.distill.module import collate  # noqa: E402
from ullage.distill.objectives import IGNORED, OWN  # noqa: E402
from ullage.distill.own import OwnWords, Writer, own_example, prompt_of, turn_ends  # noqa: E402
from ullage.distill.recipe import resolve_recipe  # noqa: E402
from ullage.distill.rendering import Example  # noqa: E402
from ullage.distill.result import Progress, Stopped  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

TALK = Example((5, 6, 7, 8, 9, 10, 11), (IGNORED, 7, 8, IGNORED, 10, 11, IGNORED))
"""Two turns are supervised: 7 8, and 10 11."""


def writer(**changes: Any) -> Writer:
    settings = OnPolicy.model_validate({"max_tokens": 6, "refresh": 4, **changes})
    return Writer(settings, frozenset({3}), max_length=16, batch_size=2, seed=0)


def test_the_last_turn_is_the_one_answered() -> None:
    assert prompt_of(TALK) == (5, 6, 7, 8, 9)
    own = own_example((5, 6, 7), [20, 3])
    assert own.ids == (5, 6, 7, 20, 3)
    assert own.labels == (IGNORED, IGNORED, OWN, OWN, IGNORED)
    assert own.supervised == 2
    assert turn_ends([TALK, own], frozenset({8, 11, 3})) == {11}


def test_answers_are_what_the_student_would_say() -> None:
    """Greedy, against one token at a time without a cache or a batch."""
    student = build("llama")
    examples = [TALK, Example((9, 4, 12), (IGNORED, 12, IGNORED)), TALK]
    for example, own in zip(
        examples, writer(temperature=0.0).answered(student, examples, "x"), strict=True
    ):
        ids = list(prompt_of(example))
        while len(ids) < len(prompt_of(example)) + 6:
            with torch.no_grad():
                ids.append(int(student(input_ids=torch.tensor([ids])).logits[0, -1].argmax()))
            if ids[-1] == 3:
                break
        assert own.ids == tuple(ids)


def test_answers_depend_on_seed_and_occasion_alone() -> None:
    student = build("llama")
    first = writer().answered(student, [TALK] * 3, "window 1")
    torch.rand(7)
    state = torch.get_rng_state()
    assert writer().answered(student, [TALK] * 3, "window 1") == first
    assert torch.equal(torch.get_rng_state(), state), "training draws from the same generator"
    assert writer().answered(student, [TALK] * 3, "window 2") != first
    assert len(set(first)) > 1


def test_a_prompt_without_room_keeps_its_text() -> None:
    long = Example(tuple(range(20, 36)), (*[IGNORED] * 14, 35, IGNORED))
    (same,) = writer().answered(build("llama"), [long, TALK], "x")[:1]
    assert len(prompt_of(long)) == 15
    assert len(same.ids) == 16
    longer = Example(tuple(range(20, 37)), (*[IGNORED] * 15, 36, IGNORED))
    assert writer().answered(build("llama"), [longer], "x") == [longer]


def test_a_share_of_the_rows_is_own_and_changes_with_the_window() -> None:
    student, examples = build("llama"), [TALK] * 200
    words = OwnWords(writer(share=0.3, max_tokens=1, refresh=2), examples)

    def rows_of(step: int) -> range:
        return range(100 * step % 200, 100 * step % 200 + 100)

    words.refresh(0, rows_of, student)
    first = dict(words.answers)
    assert 40 <= len(first) <= 80
    assert words.written == {"answers": len(first), "tokens": len(first)}
    words.refresh(1, rows_of, student)
    assert words.answers == first, "both steps of a window read the same answers"
    words.refresh(2, rows_of, student)
    assert set(words.answers) != set(first)
    assert words.read(min(words.answers)).labels.count(OWN) == 1
    assert words.read(min(set(range(200)) - set(words.answers))) == TALK


def test_the_teacher_scores_own_words_and_no_label_does() -> None:
    made = module(
        {"term": "generalised-jsd", "beta": 0.3, "temperature": 1.0},
        {"term": "cross-entropy", "weight": 0.5},
    )
    own = own_example((5, 6, 7), [20, 11, 3])
    outputs = made(**collate([own, TALK]))
    (teacher,) = made._teacher
    assert teacher is not None
    jsd, nll = torch.zeros(()), torch.zeros(())
    for row in (own, TALK):
        ids = torch.tensor([row.ids])
        s = made.student(input_ids=ids).logits[0]
        with torch.no_grad():
            t = teacher.model(input_ids=ids).logits[0]
        for at, label in enumerate(row.labels):
            if label != IGNORED:
                jsd = jsd + generalised_jsd(s[at : at + 1], t[at : at + 1], beta=0.3).sum()
                nll = nll - (0 if label == OWN else s[at].log_softmax(-1)[label])
    expected = (jsd + 0.5 * nll) / 7
    torch.testing.assert_close(outputs["loss"], expected.detach(), rtol=1e-5, atol=1e-7)
    expected.backward()
    wanted = [weight.grad.clone() for weight in made.student.parameters()]
    made.zero_grad()
    outputs["loss"].backward()
    for weight, gradient in zip(made.student.parameters(), wanted, strict=True):
        largest = float(gradient.abs().max())
        torch.testing.assert_close(weight.grad, gradient, rtol=1e-4, atol=1e-5 * largest)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("own")
    laboratory.prepare(path)
    return path


RECIPE: dict[str, Any] = {
    "method": "on-policy",
    "on_policy": {"share": 0.5, "refresh": 4, "max_tokens": 8},
    "gradient_accumulation": 2,
    "max_steps": 10,
    "save_steps": 3,
}
"""Ten steps are more than an epoch; checkpoint 6 is in the middle of the second window."""


def test_a_run_that_broke_off_ends_with_the_same_weights(folder: Path) -> None:
    whole = laboratory.make(folder, "whole", **RECIPE)
    weights = load_file(whole.output / "model.safetensors")

    def stop(progress: Progress) -> None:
        if progress.stage == "train" and progress.done == 7:
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        run_distill(laboratory.config("cut", **RECIPE), folder, progress=stop)
    again = laboratory.make(folder, "cut", **RECIPE)
    assert again.ledger["timing"]["resumed_from_step"] == 6
    resumed = load_file(again.output / "model.safetensors")
    assert all(torch.equal(tensor, resumed[name]) for name, tensor in weights.items())
    assert again.ledger["own_words"] == whole.ledger["own_words"]
    assert 0 < whole.ledger["own_words"]["answers"] < 160
    loss = whole.ledger["loss"]
    assert again.ledger["loss"] == loss
    assert loss["own_words"]["loss"] < loss["base_own_words"]["loss"]


def test_own_words_without_a_teacher_to_score_them(tmp_path: Path) -> None:
    for change in ({"method": "control"}, {"objective": [{"term": "cross-entropy"}]}):
        recipe = making.config("out", on_policy={}, **change)
        with pytest.raises(InputError, match="no right answer to learn"):
            resolve_recipe(recipe, tmp_path)
