"""Rationales: what is read, whose tokens count where, who gives them, and that they are learnt."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.distill import laboratory, making  # noqa: E402
from tests.distill.recipes import objective  # noqa: E402
from tests.distill.test_layers import build  # noqa: E402
from tests.support.server import LoopbackServer  # noqa: E402
from tests.support.tiny import build_tiny_tokenizer  # noqa: E402
from ullage.config.models import Rationale  # noqa: E402
from ullage.distill import run_distill  # noqa: E402
from ullage.distill.module import DistillationModule, collate  # noqa: E402
from ullage.distill.objectives import IGNORED, label_counts  # noqa: E402
from ullage.distill.rationales import lessons, parted, planned, shown  # noqa: E402
from ullage.distill.recipe import resolve_recipe  # noqa: E402
from ullage.distill.rendering import Example, render  # noqa: E402
from ullage.distill.rows import Row  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.lab.corpus import rows, write_corpus  # noqa: E402
from ullage.lab.explained import EXPLAINED  # noqa: E402
from ullage.models.types import assistant, user  # noqa: E402

pytestmark = pytest.mark.local

TALK = (user("Add."), assistant("Which?"), user("40 and 2."))
ROW = Row(1, TALK, "42", "40 + 2 = 42")
PLAIN = Row(2, TALK, "42")
TASK, PREFIX = Rationale(), Rationale(learnt="prefix")


class TestLessons:
    """Rows as conversations."""

    def test_a_second_task_has_a_prompt_of_its_own(self) -> None:
        answer, explanation = lessons([ROW], TASK)
        assert answer.messages == (*TALK, assistant("42"))
        assert answer.rationale == ""
        asked = user("Explain step by step: 40 and 2.")
        assert explanation.messages == (*TALK[:2], asked, assistant("40 + 2 = 42"))
        assert explanation.rationale == "40 + 2 = 42"
        assert explanation.repeated

    def test_a_prefix_opens_the_answer(self) -> None:
        (lesson,) = lessons([ROW], PREFIX)
        assert lesson.messages == (*TALK, assistant("40 + 2 = 42\n42"))
        assert lesson.rationale == "40 + 2 = 42\n"

    def test_a_row_without_one_teaches_its_answer(self) -> None:
        for how in (TASK, PREFIX, None):
            (lesson,) = lessons([PLAIN], how)
            assert (lesson.messages, lesson.rationale) == (PLAIN.messages, "")

    def test_as_many_are_planned_as_there_will_be_or_can_be(self) -> None:
        for how, expected in ((TASK, 3), (PREFIX, 2), (None, 2)):
            assert planned([ROW, PLAIN], how, answers=False) == expected
        assert planned([PLAIN, PLAIN], TASK, answers=True) == 4

    def test_a_reply_is_parted_at_its_last_marker(self) -> None:
        said = "Answer: needs steps.\n40 + 2.\nAnswer: 42\n"
        assert parted(said, TASK) == ("Answer: needs steps.\n40 + 2.", "42")
        for useless in ("42", "Answer: 42", "Steps. Answer: "):
            assert parted(useless, TASK) is None
        assert shown(TALK, TASK)[-1].content.startswith("40 and 2.\n\nThink step by step.")
        assert shown(TALK, TASK)[:-1] == TALK[:-1]


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tiny_tokenizer()


class TestTokens:
    """Which supervised tokens belong to the rationale."""

    @staticmethod
    def parts(tokenizer: Any, example: Example) -> tuple[str, str]:
        labels = dict(enumerate(example.labels))
        steps = [labels[place] for place in example.rationale]
        rest = [
            label
            for place, label in labels.items()
            if label != IGNORED and place not in example.rationale
        ]
        assert IGNORED not in steps
        return tokenizer.decode(steps), tokenizer.decode(rest)

    def test_of_a_second_task_all(self, tokenizer: Any) -> None:
        _, lesson = lessons([ROW], TASK)
        example = render(
            tokenizer, lesson.messages, 512, final_only=True, rationale=lesson.rationale
        )
        assert example is not None
        assert self.parts(tokenizer, example) == ("40 + 2 = 42<|im_end|>", "")

    def test_of_a_prefix_what_stands_before_the_answer(self, tokenizer: Any) -> None:
        (lesson,) = lessons([ROW], PREFIX)
        example = render(tokenizer, lesson.messages, 512, rationale=lesson.rationale)
        assert example is not None
        assert self.parts(tokenizer, example) == (
            "40 + 2 = 42\n",
            "Which?<|im_end|>42<|im_end|>",
        )

    @pytest.mark.parametrize("room", range(1, 60, 7))
    def test_cut_off_with_the_rest(self, tokenizer: Any, room: int) -> None:
        (lesson,) = lessons([ROW], PREFIX)
        whole = render(tokenizer, lesson.messages, 512, rationale=lesson.rationale)
        cut = render(tokenizer, lesson.messages, room, rationale=lesson.rationale)
        assert whole is not None
        assert cut is not None
        batch = collate([cut])
        kept = {place for place in whole.rationale if place < room - 1}
        assert set(batch["rationale"][0].nonzero()[:, 0].tolist()) == kept
        counts = label_counts(batch["labels"], batch["rationale"])
        assert counts.tolist() == [cut.supervised, cut.supervised - len(kept), len(kept)]


class TestLoss:
    """A mean over answers and a mean over rationales, each with its own weight."""

    EXAMPLES = (
        Example((5, 6, 7, 8, 9, 10), (6, 7, 8, 9, 10, IGNORED), rationale=range(1, 4)),
        Example((9, 4, 12), (IGNORED, 12, IGNORED)),
    )

    def test_value_and_gradient_are_the_dense_ones(self) -> None:
        weighed = objective(
            objective=[
                {"term": "cross-entropy", "name": "answer", "tokens": "answer", "weight": 0.7},
                {"term": "cross-entropy", "name": "steps", "tokens": "rationale", "weight": 0.4},
                {"term": "cross-entropy", "weight": 0.1},
            ]
        )
        made = DistillationModule(build("llama"), weighed, chunk=2)
        means: dict[str, list[Any]] = {"answer": [], "steps": []}
        for example in self.EXAMPLES:
            logits = made.student(input_ids=torch.tensor([example.ids])).logits[0]
            for place, label in enumerate(example.labels):
                if label != IGNORED:
                    part = "steps" if place in example.rationale else "answer"
                    means[part].append(-logits[place].log_softmax(-1)[label])
        answer, steps = (torch.stack(means[name]) for name in ("answer", "steps"))
        assert (len(answer), len(steps)) == (3, 3)
        every = torch.cat([answer, steps])
        expected = 0.7 * answer.mean() + 0.4 * steps.mean() + 0.1 * every.mean()
        expected.backward()
        wanted = {name: weight.grad for name, weight in made.named_parameters()}
        made.zero_grad()
        outputs = made(**collate(self.EXAMPLES))
        torch.testing.assert_close(outputs["loss"], expected.detach())
        torch.testing.assert_close(outputs["answer"], answer.sum().detach())
        outputs["loss"].backward()
        for name, weight in made.named_parameters():
            torch.testing.assert_close(weight.grad, wanted[name], msg=name)

    def test_two_halves_of_a_step_are_the_step(self) -> None:
        made = DistillationModule(build("llama"), objective("rationale"))
        batch = collate(self.EXAMPLES)
        whole = made(**batch)["loss"]
        counts = label_counts(batch["labels"], batch["rationale"])
        halves = [
            made(**collate([example]), num_items_in_batch=counts)["loss"]
            for example in self.EXAMPLES
        ]
        torch.testing.assert_close(sum(halves), whole)

    def test_without_a_rationale_the_answers_are_all_there_is(self) -> None:
        student = build("llama")
        batch = collate(self.EXAMPLES[1:])
        loss = DistillationModule(student, objective("rationale"))(**batch)["loss"]
        plain = DistillationModule(student, objective("control"))(**batch)["loss"]
        torch.testing.assert_close(loss, plain)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A corpus with rationales, but for every fifth row."""
    path = tmp_path_factory.mktemp("rationales")
    made = rows(0, laboratory.ROWS, EXPLAINED)
    for row in made[::5]:
        del row["rationale"]
    (path / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    return path


@pytest.mark.parametrize("learnt", ["task", "prefix"])
def test_a_student_learns_steps_and_answers(folder: Path, learnt: str) -> None:
    """Both held-out means fall well below the base's; rows without a rationale are counted."""
    recipe = {"method": "rationale", "rationale": {"learnt": learnt}, "max_steps": 20}
    planned_steps = run_distill(
        laboratory.config(learnt, **{**recipe, "max_steps": None}), folder, plan_only=True
    ).ledger["steps"]
    made = laboratory.make(folder, learnt, **recipe)
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    assert set(after) == {"loss", "answer", "rationale"}
    for part in ("answer", "rationale"):
        assert after[part] < 0.8 * before[part]
    corpus, tokens = made.ledger["corpus"], made.ledger["tokens"]
    lacking = corpus["without_rationale"]
    assert lacking["train"] + lacking["held_out"] == laboratory.ROWS // 5
    assert 0 < tokens["train"]["rationale"] < tokens["train"]["supervised"]
    lessons_read = corpus["train"] + (learnt == "task") * (corpus["train"] - lacking["train"])
    assert tokens["train"]["rows"] == lessons_read
    assert planned_steps == -(-lessons_read // 8)
    assert made.ledger["recipe"]["rationale"]["learnt"] == learnt
    looked_at = made.ledger["preflight"]["facts"]["rows"]
    assert looked_at["rows_sampled"] == lessons_read
    assert looked_at["tokens_supervised"] == tokens["train"]["supervised"]


@pytest.mark.parametrize("learnt", ["task", "prefix"])
def test_steps_are_learnt_across_tokenizers(folder: Path, learnt: str) -> None:
    """The teacher's distribution over answers alone, its words for the rest."""
    laboratory.start_of_bytes(folder)
    made = laboratory.make(
        folder,
        f"crossed-{learnt}",
        method="cross-tokenizer",
        student="hf:start",
        rationale={"learnt": learnt},
        objective=[
            {"term": "forward-kl", "tokens": "answer"},
            {"term": "cross-entropy", "name": "steps", "tokens": "rationale"},
            {"term": "cross-entropy", "weight": 0.5},
        ],
        max_steps=20,
    )
    before, after = made.ledger["loss"]["base_held_out"], made.ledger["loss"]["held_out"]
    for term in ("forward_kl", "steps", "cross_entropy"):
        assert after[term] < 0.9 * before[term]
    tokens = made.ledger["tokens"]["train"]
    assert 0 < tokens["rationale"] < tokens["supervised"]
    assert made.ledger["alignment"]["tokens"]["train"]["spans"] > 0


def test_the_weights_are_the_recipes(folder: Path) -> None:
    """A rationale of weight 0 is measured and not learnt."""
    terms = [
        {"term": "cross-entropy", "name": "answer", "tokens": "answer"},
        {"term": "cross-entropy", "name": "rationale", "tokens": "rationale", "weight": 0},
    ]
    still = laboratory.make(folder, "still", method="rationale", objective=terms)
    loss = still.ledger["loss"]
    assert loss["held_out"]["loss"] == loss["held_out"]["answer"]
    taught = laboratory.make(folder, "taught", method="rationale").ledger["loss"]["held_out"]
    assert taught["rationale"] < loss["held_out"]["rationale"]


def test_a_teacher_shows_its_steps_when_asked(tmp_path: Path) -> None:
    """Asked once each, in its own words; what it does not part is left out and counted."""
    making.prepare(tmp_path)
    asked: list[str] = []

    def answer(body: dict[str, Any]) -> str:
        question = body["messages"][-1]["content"]
        asked.append(question)
        size = len(question)
        return f"It is {size}." if size % 7 == 0 else f"It has {size} letters. Answer: {size}."

    with LoopbackServer(responder=answer) as server:
        settings: dict[str, Any] = {
            "method": "rationale",
            "text": "answers",
            "student": "hf:teacher",
            "layers": None,
            "arms": {
                "teacher": {
                    "model": "openai:big",
                    "openai": {"base_url": server.url},
                    "terms": making.TERMS,
                },
                "student": {"model": "hf:shown"},
            },
        }
        made = making.make(tmp_path, "shown", **settings)
    assert all(question.endswith("and after it the answer alone.") for question in asked)
    corpus = made.ledger["corpus"]
    unmarked = sum(len(question) % 7 == 0 for question in asked)
    assert corpus["dropped"] == {"answer_unmarked": unmarked}
    assert corpus["without_rationale"] == {"train": 0, "held_out": 0}
    assert corpus["train"] + corpus["held_out"] == making.ROWS - unmarked
    assert made.ledger["teacher_signal"]["used"] == ["rationale", "text"]
    after, before = made.ledger["loss"]["held_out"], made.ledger["loss"]["base_held_out"]
    assert after["rationale"] < before["rationale"]
    tokens = made.ledger["tokens"]["train"]
    assert tokens["rows"] + tokens["rows_without_label"] == 2 * corpus["train"]


class TestRefused:
    """In one line."""

    def test_a_corpus_without_any(self, folder: Path) -> None:
        write_corpus(folder / "plain.jsonl", 0, 60)
        with pytest.raises(InputError, match=r'plain\.jsonl: no row to learn has a "rationale"'):
            laboratory.make(folder, "plain", method="rationale", corpus="plain.jsonl")

    def test_a_rationale_that_is_no_text(self, tmp_path: Path) -> None:
        line = json.dumps({"messages": [{"role": "user", "content": "?"}], "rationale": ["a"]})
        (tmp_path / "corpus.jsonl").write_text(line + "\n")
        with pytest.raises(InputError, match='line 1: "rationale" is no text'):
            making.make(tmp_path, "out", method="rationale")

    def test_a_term_on_what_is_not_there(self, tmp_path: Path) -> None:
        terms = [{"term": "forward-kl", "tokens": "rationale"}]
        with pytest.raises(InputError, match="'forward_kl' is on the tokens of the rationale"):
            resolve_recipe(making.config("out", objective=terms), tmp_path)

    def test_a_marker_that_is_not_asked_for(self) -> None:
        with pytest.raises(ValueError, match="marker '###' is not in ask"):
            Rationale(marker="###")


def test_what_a_recipe_does_not_learn_is_no_part_of_it(folder: Path) -> None:
    """Rationales in a corpus leave another method's digest as it is."""
    made = rows(0, laboratory.ROWS, EXPLAINED)
    for row in made:
        row.pop("rationale")
    (folder / "bare.jsonl").write_text("".join(json.dumps(row) + "\n" for row in made))
    digests = {
        (method, corpus): run_distill(
            laboratory.config("never", method=method, corpus=corpus), folder, plan_only=True
        ).ledger["recipe_digest"]
        for method, corpus in (
            ("control", "corpus.jsonl"),
            ("control", "bare.jsonl"),
            ("rationale", "corpus.jsonl"),
        )
    }
    assert digests["control", "corpus.jsonl"] == digests["control", "bare.jsonl"]
    assert len(set(digests.values())) == 2
