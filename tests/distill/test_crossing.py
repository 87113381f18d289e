"""Two tokenizers, two templates, one conversation: what is compared, and with what loss."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.distill.test_chunked import differentiate  # noqa: E402
from tests.distill.test_layers import build  # noqa: E402
from tests.distill.tokenizers_of_kinds import (  # noqa: E402
    PLAIN,
    byte_level,
    sentencepiece,
    word_level,
)
from ullage.distill.account import counted, mass  # noqa: E402
from ullage.distill.aligned import span_divergence  # noqa: E402
from ullage.distill.chunked import chunked_loss  # noqa: E402
from ullage.distill.crossing import Crossing  # noqa: E402
from ullage.distill.divergences import forward_kl  # noqa: E402
from ullage.distill.module import DistillationModule  # noqa: E402
from ullage.distill.objectives import (  # noqa: E402
    IGNORED,
    Objective,
    cross_entropy_term,
    divergence_term,
    merged_term,
    ranked_term,
)
from ullage.distill.pairing import NOWHERE, PairedExample  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.models.types import Message  # noqa: E402

pytestmark = pytest.mark.local

TALKS = (
    (
        Message("user", "Is the bicycle ready?"),
        Message("assistant", "Yes, the bicycle there is ready on Friday."),
        Message("user", "And the other?"),
        Message("assistant", "I don't know that other part."),
    ),
    (Message("user", "caf\u00e9?"), Message("assistant", "d\u00e9j\u00e0 vu \U0001f600 45 \u20ac")),
    (Message("user", "weather"), Message("assistant", "mother")),
)
TEMPERATURE = 2.0
WEIGHTS = {"forward_kl": 0.7, "cross_entropy": 0.3, "merged_spans": 0.9, "ranked_rest": 0.4}
OBJECTIVE = Objective(
    (
        divergence_term("forward_kl", forward_kl, WEIGHTS["forward_kl"], TEMPERATURE),
        cross_entropy_term(WEIGHTS["cross_entropy"]),
        merged_term(WEIGHTS["merged_spans"]),
        ranked_term(WEIGHTS["ranked_rest"]),
    )
)
TEACHERS: dict[str, Any] = {
    "sentencepiece": sentencepiece,
    "word-level": word_level,
    "other bpe": byte_level,
}


def crossing(teacher: str, *, dtype: Any = torch.float64, padding: int = 3) -> tuple[Crossing, Any]:
    """A teacher of a kind and a student with byte-level BPE, and the student's model."""
    student, other = byte_level(340), TEACHERS[teacher](*([290] if teacher == "other bpe" else []))
    models = [
        build(
            "llama",
            num_hidden_layers=layers,
            vocab_size=len(tokenizer) + padding,
            initializer_range=0.6,
        ).to(dtype)
        for tokenizer, layers in ((other, 3), (student, 2))
    ]
    return Crossing.of((models[0], other), (models[1], student)), models[1]


def rendered(made: Crossing, **limits: Any) -> list[PairedExample]:
    rows = [made.render(talk, limits.get("max_length", 512)) for talk in TALKS]
    assert all(row is not None for row in rows)
    return [row for row in rows if row is not None]


def in_order(shares: Any) -> Any:
    """The largest first."""
    known = shares.tolist()
    return shares[sorted(range(len(known)), key=lambda at: -known[at])]


def dense_terms(made: Crossing, student: Any, rows: list[PairedExample]) -> dict[str, Any]:
    """Every position and every span by itself, with all logits and no padding between rows."""
    sums: dict[str, Any] = dict.fromkeys(WEIGHTS, torch.zeros((), dtype=torch.float64))
    outcomes = made.pairing.outcomes
    our_of, their_of = outcomes.student.outcome_V, outcomes.teacher.outcome_V
    count = int(our_of.max()) + 1
    # One column for each outcome, the last for what has no counterpart.
    membership_ours, membership_theirs = (
        torch.nn.functional.one_hot(of.clamp_min(-1) % (count + 1), count + 1).double()
        for of in (our_of, their_of)
    )
    for row in rows:
        z = student(input_ids=torch.tensor([row.ids]), use_cache=False).logits[0]
        with torch.no_grad():
            t = made.teacher.model(input_ids=torch.tensor([row.teacher_ids]), use_cache=False)
            t = t.logits[0].clone()
            t[:, their_of == -2] = -math.inf
        q, p = z.log_softmax(-1), t.log_softmax(-1)
        for at, label in enumerate(row.labels):
            if label == IGNORED:
                continue
            sums["cross_entropy"] = sums["cross_entropy"] - q[at, label]
            if row.begins[at] == NOWHERE:
                continue
            soft_q = (z[at] / TEMPERATURE).softmax(-1)
            soft_p = (t[row.begins[at]] / TEMPERATURE).softmax(-1)
            ours, theirs = soft_q @ membership_ours, soft_p @ membership_theirs
            kl = torch.where(theirs > 0, theirs * (theirs.clamp_min(1e-300) / ours).log(), 0.0)
            sums["forward_kl"] = sums["forward_kl"] + TEMPERATURE**2 * kl.sum()
            rest_q = in_order(q[at].exp()[our_of < 0])
            rest_p = in_order(p[row.begins[at]].exp()[their_of == -1])
            shorter = min(len(rest_q), len(rest_p))
            ranked = (rest_q[:shorter] - rest_p[:shorter]).abs().sum()
            ranked = ranked + rest_q[shorter:].sum() + rest_p[shorter:].sum()
            sums["ranked_rest"] = sums["ranked_rest"] + ranked
        for number in range(max(row.span) + 1):
            ours = sum(q[at, row.ids[at + 1]] for at, one in enumerate(row.span) if one == number)
            theirs = sum(
                p[at, row.teacher_ids[at + 1]]
                for at, one in enumerate(row.teacher_span)
                if one == number
            )
            p_span, q_span = theirs.exp(), ours.exp()
            goes_on = p_span * (p_span / q_span).log()
            coin = goes_on + (1 - p_span) * ((1 - p_span) / (1 - q_span)).log()
            sums["merged_spans"] = sums["merged_spans"] + coin
    return sums


def test_spans_that_are_cut_off_are_counted_while_training(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Where one side is as good as certain of a whole span; here that is not yet much."""
    monkeypatch.setattr("ullage.distill.aligned._SURE", -7.0)
    made, student = crossing("sentencepiece")
    rows = rendered(made)
    cut = spans = 0
    for row in rows:
        p, q = (
            model(input_ids=torch.tensor([ids])).logits[0].detach()
            for model, ids in ((made.teacher.model, row.teacher_ids), (student, row.ids))
        )
        p = made.pairing.outcomes.spoken(p)
        for number in range(max(row.span) + 1):
            sums = [
                sum(
                    float(logits[at].log_softmax(-1)[ids[at + 1]])
                    for at, one in enumerate(of)
                    if one == number
                )
                for logits, ids, of in (
                    (p, row.teacher_ids, row.teacher_span),
                    (q, row.ids, row.span),
                )
            ]
            spans += 1
            cut += max(sums) > -7.0
    assert 0 < cut < spans
    module = DistillationModule(student, OBJECTIVE, made.teacher)
    module.eval()(**module.collate(rows))
    assert not module.clamped
    module.train()(**module.collate(rows))
    assert module.clamped == {"spans": cut}


@pytest.mark.parametrize("chunk", [1, 7, None])
@pytest.mark.parametrize("teacher", TEACHERS)
def test_loss_and_gradient_are_the_dense_ones(teacher: str, chunk: int | None) -> None:
    made, student = crossing(teacher)
    rows = rendered(made)
    labels = sum(row.supervised for row in rows)
    terms = dense_terms(made, student, rows)
    assert all(float(value.detach()) > 0 for value in terms.values())
    expected = sum(WEIGHTS[name] * value for name, value in terms.items()) / labels
    expected.backward()
    wanted = {name: weight.grad for name, weight in student.named_parameters()}
    student.zero_grad()

    module = DistillationModule(student, OBJECTIVE, replace(made.teacher, chunk=chunk), chunk=chunk)
    outputs = module(**module.collate(rows))
    outputs["loss"].backward()

    for name, value in terms.items():
        torch.testing.assert_close(outputs[name].double(), value.detach(), rtol=1e-6, atol=1e-8)
    torch.testing.assert_close(outputs["loss"].double(), expected.detach(), rtol=1e-6, atol=1e-8)
    for name, weight in student.named_parameters():
        torch.testing.assert_close(weight.grad, wanted[name], rtol=1e-5, atol=1e-8, msg=name)


@pytest.mark.parametrize("teacher", TEACHERS)
def test_fp32_is_within_a_hundred_thousandth_of_fp64(teacher: str) -> None:
    exact, exact_student = crossing(teacher)
    made, student = crossing(teacher, dtype=torch.float32)
    grads = []
    for one, model in ((exact, exact_student), (made, student)):
        module = DistillationModule(model, OBJECTIVE, one.teacher)
        outputs = module(**module.collate(rendered(one)))
        outputs["loss"].backward()
        flat = torch.cat([weight.grad.double().flatten() for weight in model.parameters()])
        grads.append((outputs["loss"].double().detach(), flat))
    (loss, gradient), (narrow_loss, narrow_gradient) = grads
    assert float((narrow_loss - loss).abs() / loss) < 1e-5
    assert float((narrow_gradient - gradient).norm() / gradient.norm()) < 1e-5


def test_a_tokenizer_crossed_with_itself_gives_the_plain_loss() -> None:
    """Every token its own outcome, every span one to one: forward KL as without alignment."""
    tokenizer = byte_level(340)
    teacher, student = (
        build("llama", num_hidden_layers=n, vocab_size=len(tokenizer)).double() for n in (3, 2)
    )
    made = Crossing.of((teacher, tokenizer), (student, byte_level(340)))
    rows = rendered(made)
    assert counted(rows)["one_to_one"] == sum(row.supervised for row in rows)
    module = DistillationModule(student, OBJECTIVE, made.teacher)
    outputs = module(**module.collate(rows))
    plain = 0.0
    for row in rows:
        ids = torch.tensor([row.ids])
        with torch.no_grad():
            q, p = (model(input_ids=ids).logits[0] / TEMPERATURE for model in (student, teacher))
        # Special tokens other than the end of a turn are one outcome: the student's rest.
        apart = made.pairing.outcomes.student.apart_A
        for at, label in enumerate(row.labels):
            if label != IGNORED:
                ours, theirs = q[at].softmax(0), p[at].softmax(0)
                alone = [one for one in range(len(ours)) if one not in apart.tolist()]
                ours = torch.cat([ours[alone], ours[apart].sum()[None]])
                theirs = torch.cat([theirs[alone], theirs[apart].sum()[None]])
                plain += float(4 * (theirs * (theirs.log() - ours.log())).sum())
    assert float(outputs["forward_kl"]) == pytest.approx(plain, rel=1e-6)
    assert float(outputs["merged_spans"]) == 0


class TestSpans:
    """What is paired with what."""

    def test_words_are_compared_and_templates_are_not(self) -> None:
        made, _ = crossing("word-level")
        row = rendered(made)[0]
        our, their = made.pairing.student.tokenizer, made.pairing.teacher.tokenizer
        pairs = [
            (our.decode([row.ids[at + 1]]), their.decode([row.teacher_ids[begins + 1]]))
            for at, begins in enumerate(row.begins)
            if begins != NOWHERE
        ]
        assert (" bicycle", "bicycle") in pairs
        assert (",", ",") in pairs
        assert pairs.count(("<|im_end|>", "<end>")) == 2, "the ends of both turns"
        assert not any("user" in one or "\n" in one for pair in pairs for one in pair)

    def test_a_bos_on_one_side_moves_nothing(self) -> None:
        """It put a whole conversation into one group elsewhere (TRL #4392, #4393)."""
        with_bos, _ = crossing("other bpe")
        tokenizer = byte_level(290)
        tokenizer.chat_template = "{{ bos_token }}" + PLAIN
        without = counted(rendered(with_bos))
        model = with_bos.teacher.model
        again = Crossing.of((model, tokenizer), (crossing("other bpe")[1], byte_level(340)))
        rows = rendered(again)
        assert rows[0].teacher_ids[0] == tokenizer.bos_token_id
        assert counted(rows) == without
        assert without["unaligned"] == 0

    def test_all_supervised_bytes_are_in_a_span(self) -> None:
        for teacher in TEACHERS:
            made, _ = crossing(teacher)
            for row, talk in zip(rendered(made), TALKS, strict=True):
                said = b"".join(
                    made.pairing.student.of[row.ids[at + 1]] or b""
                    for at in range(len(row.ids))
                    if row.begins[at] != NOWHERE or row.span[at] != NOWHERE
                )
                spoken = "".join(one.content for one in talk if one.role == "assistant")
                assert said == spoken.encode()

    def test_counts_by_hand(self) -> None:
        """a word of two student tokens, one of one, one the two begin unlike, and the end."""
        made, _ = crossing("word-level")
        talk = (Message("user", "a"), Message("assistant", "mother bicycle weather"))
        row = made.render(talk, 512)
        assert row is not None
        our = made.pairing.student.tokenizer
        pieces = [our.decode([label]) for label in row.labels if label != IGNORED]
        assert pieces == [
            *our.tokenize("mother"),
            " bicycle",
            *(piece.replace("\u0120", " ") for piece in our.tokenize(" weather")),
            "<|im_end|>",
        ]
        mother, weather = len(our.tokenize("mother")), len(our.tokenize(" weather"))
        assert mother > 1
        assert weather > 1
        said = counted([row])
        assert said == {
            "one_to_one": 2,
            "merged": mother + weather,
            "unaligned": 0,
            "spans": 4,
            # at the beginning of a turn the word-level tokenizer's "mother" has no space before it
            "spans_contradicted": 1,
            "teacher_tokens": 4,
            "teacher_distributions_compared": 3,
        }
        assert row.kinds == {"one_to_one": 2, "merged": mother + weather, "unaligned": 0}

    def test_truncation_leaves_whole_spans(self) -> None:
        made, _ = crossing("word-level")
        whole = rendered(made)[0]
        for length in range(4, len(whole.ids)):
            row = made.render(TALKS[0], length)
            assert row is not None
            assert len(row.ids) == len(row.begins) == len(row.span) == length
            assert row.span == tuple(
                number if number in row.span else NOWHERE for number in whole.span[:length]
            )
            for number in set(row.span) - {NOWHERE}:
                assert row.span.count(number) == whole.span.count(number)
                assert row.teacher_span.count(number) == whole.teacher_span.count(number)
            assert sum(row.kinds.values()) == row.supervised
            batch = made.teacher.beside([row])
            assert batch["teacher_ids"].shape == batch["teacher_span"].shape

    def test_a_teacher_that_reads_less_is_compared_less(self) -> None:
        made, student = crossing("word-level")
        made.teacher.model.config.max_position_embeddings = 12
        row = made.render(TALKS[0], 512)
        assert row is not None
        assert len(row.teacher_ids) <= 12
        assert row.kinds["unaligned"] > 0
        module = DistillationModule(student, OBJECTIVE, made.teacher)
        outputs = module(**module.collate([row]))
        assert outputs["loss"].isfinite()

    def test_nothing_in_common_is_a_zero_and_no_nan(self) -> None:
        made, student = crossing("word-level")
        made.teacher.model.config.max_position_embeddings = 1
        row = made.render(TALKS[2], 512)
        assert row is not None
        assert row.kinds["unaligned"] == row.supervised
        module = DistillationModule(student, OBJECTIVE, made.teacher)
        outputs = module(**module.collate([row]))
        outputs["loss"].backward()
        assert all(outputs[name] == 0 for name in ("forward_kl", "merged_spans", "ranked_rest"))
        assert all(weight.grad.isfinite().all() for weight in student.parameters())

    def test_a_template_that_rewrites_what_was_said_gives_no_example(self) -> None:
        made, _ = crossing("word-level")
        made.pairing.teacher.tokenizer.chat_template = made.pairing.teacher.tokenizer.chat_template
        student = made.pairing.student.tokenizer
        student.chat_template = PLAIN.replace("message['content']", "message['content'] | upper")
        assert made.render(TALKS[0], 512) is None


def test_a_teacher_without_a_template_is_refused() -> None:
    made, student = crossing("word-level")
    tokenizer = made.pairing.teacher.tokenizer
    tokenizer.chat_template = None
    with pytest.raises(InputError, match=r"distill.teacher: .* no chat template.*hf.chat_template"):
        Crossing.of((made.teacher.model, tokenizer), (student, byte_level(340)))


def test_sure_spans_are_finite_and_cost_nothing_when_both_are() -> None:
    log_p = torch.tensor([0.0, 0.0, -200.0, -200.0, -1e-8])
    log_q = torch.tensor([0.0, -200.0, 0.0, -200.0, -1e-9]).requires_grad_()
    value = span_divergence(log_p, log_q)
    differentiate(value.sum())
    assert value.isfinite().all()
    assert log_q.grad is not None
    assert log_q.grad.isfinite().all()
    assert value[[0, 3, 4]].abs().max() < 1e-6
    assert float(value[1].detach()) == pytest.approx(200, rel=1e-3)


def test_mass_is_what_a_loop_finds() -> None:
    made, _ = crossing("word-level")
    rows = rendered(made)
    found = mass(made.teacher, rows, batch_size=2)
    sums = {"one_to_one": 0.0, "merged": 0.0, "ranked": 0.0}
    our_of = made.pairing.outcomes.student.outcome_V.tolist()
    their_of = made.pairing.outcomes.teacher.outcome_V.tolist()
    positions = 0
    for row in rows:
        ids = torch.tensor([row.teacher_ids])
        p = made.teacher.model(input_ids=ids).logits[0]
        p[:, [outcome == -2 for outcome in their_of]] = -math.inf
        for at in (begins for begins in row.begins if begins != NOWHERE):
            positions += 1
            for outcome, share in zip(their_of, p[at].softmax(0).tolist(), strict=True):
                alone = their_of.count(outcome) == our_of.count(outcome) == 1
                kind = "ranked" if outcome < 0 else "one_to_one" if alone else "merged"
                sums[kind] += share
    assert found["positions"] == positions
    for kind, total in sums.items():
        assert found[kind] == pytest.approx(total / positions, rel=1e-6)
    assert sum(found[kind] for kind in sums) == pytest.approx(1)
    assert 0 < found["entropy_over_outcomes"] <= found["entropy"]


def test_no_more_than_a_chunk_of_logits_is_held() -> None:
    made, student = crossing("word-level")
    rows = rendered(made)
    seen: list[int] = []
    for model in (made.teacher.model, student):
        model.get_output_embeddings().register_forward_hook(
            lambda _module, _inputs, output: seen.append(output.shape[0])
        )
    module = DistillationModule(student, OBJECTIVE, replace(made.teacher, chunk=4), chunk=4)
    module(**module.collate(rows))
    assert seen
    assert max(seen) <= 4


def test_spans_need_a_teacher_of_bytes() -> None:
    hidden, head = torch.zeros(1, 4), torch.zeros(6, 4)
    with pytest.raises(ValueError, match="aligned on bytes"):
        chunked_loss(
            hidden,
            head,
            None,
            torch.tensor([1]),
            Objective((merged_term(1.0),)),
            lambda here: torch.zeros(1, 6)[here],
        )
