"""Groups of tokens that mean the same in two vocabularies."""

from __future__ import annotations

from typing import Any

import pytest

torch = pytest.importorskip("torch")

from tests.distill.tokenizers_of_kinds import byte_level, sentencepiece, word_level  # noqa: E402
from ullage.distill.outcomes import APART, PADDING, Outcomes, match_outcomes  # noqa: E402
from ullage.distill.token_bytes import TokenBytes  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

STUDENT = TokenBytes.read(byte_level(), "student")
TEACHERS = {
    "sentencepiece": TokenBytes.read(sentencepiece(), "teacher"),
    "word-level": TokenBytes.read(word_level(), "teacher"),
    "byte-level": TokenBytes.read(byte_level(280), "teacher"),
}
PADDED = 5


def matched(teacher: str) -> Outcomes:
    rows = (len(STUDENT.of) + PADDED, len(TEACHERS[teacher].of) + PADDED)
    return match_outcomes(STUDENT, TEACHERS[teacher], rows)


def test_bytes_of_three_families() -> None:
    assert {b" bicycle", b"The", "é".encode(), b"\xf0\x9f"} <= STUDENT.ids.keys()
    assert {b" there", b"\xf0", b"\xa9"} <= TEACHERS["sentencepiece"].ids.keys()
    words = TEACHERS["word-level"]
    assert {b" there", b" bicycle", b",", b"z", b" z"} <= words.ids.keys()
    special = words.tokenizer.convert_tokens_to_ids(["<user>", "<end>", "<unk>"])
    assert [words.of[id_] for id_ in special] == [None] * 3


@pytest.mark.parametrize("teacher", TEACHERS)
def test_equal_bytes_are_one_outcome_and_each_token_is_with_how_it_would_begin(
    teacher: str,
) -> None:
    made, theirs = matched(teacher), TEACHERS[teacher]
    ours = made.student.outcome_V.tolist()
    for said, id_ in theirs.ids.items():
        outcome = int(made.teacher.outcome_V[id_])
        if said in STUDENT.ids:
            assert outcome == ours[STUDENT.ids[said]] >= 0
        else:
            begins = STUDENT.first_tokens([said])[0]
            assert outcome == (APART if begins is None else ours[begins])
    assert made.same_bytes == len(STUDENT.ids.keys() & theirs.ids.keys())


def test_a_word_only_the_teacher_has_counts_for_how_the_student_begins_it() -> None:
    """The failure that comparing by equal bytes alone has: the student would unlearn ' bi'."""
    made, words = matched("word-level"), TEACHERS["word-level"]
    assert b" weather" not in STUDENT.ids
    begins = STUDENT.first_tokens([b" weather"])[0]
    assert begins is not None
    assert STUDENT.of[begins] in (b" we", b" w")
    outcome = made.student.outcome_V[begins]
    assert made.teacher.outcome_V[words.ids[b" weather"]] == outcome


def test_what_cannot_be_said_is_apart_and_padding_is_nothing() -> None:
    made = matched("word-level")
    assert made.student.outcome_V[STUDENT.ids[b"\n"]] == APART
    assert (made.student.outcome_V[-PADDED:] == PADDING).all()
    # the student's padding gets mass from its softmax, and must be seen; the teacher's must not
    assert set(range(len(STUDENT.of), len(STUDENT.of) + PADDED)) <= set(
        made.student.apart_A.tolist()
    )
    assert not set(made.teacher.apart_A.tolist()) & set(
        (made.teacher.outcome_V == PADDING).nonzero()[:, 0].tolist()
    )
    spoken = made.spoken(torch.zeros(2, len(made.teacher.outcome_V)))
    assert spoken[:, -PADDED:].isneginf().all()
    assert spoken[:, :-PADDED].isfinite().all()


@pytest.mark.parametrize("teacher", TEACHERS)
@pytest.mark.parametrize("temperature", [1.0, 2.5])
def test_probabilities_of_outcomes_are_sums_over_their_tokens(
    teacher: str, temperature: float
) -> None:
    made = matched(teacher)
    draw = torch.Generator().manual_seed(0)
    # far apart, so that what is not the highest must not be lost
    student = 30 * torch.randn(3, len(made.student.outcome_V), generator=draw)
    raw = 30 * torch.randn(3, len(made.teacher.outcome_V), generator=draw)
    ours, theirs = made.compared(student.double(), made.spoken(raw.double()), temperature)
    for logits, side, compared in (
        (student, made.student, ours),
        (raw, made.teacher, theirs),
    ):
        outcome_of = side.outcome_V.tolist()
        for row in range(3):
            terms: dict[int, list[float]] = {}
            for outcome, logit in zip(outcome_of, logits[row].tolist(), strict=True):
                if outcome == PADDING and side is made.teacher:
                    continue
                terms.setdefault(max(outcome, APART), []).append(logit / temperature)
            whole = torch.tensor([x for part in terms.values() for x in part]).double().logsumexp(0)
            for outcome, part in terms.items():
                wanted = torch.tensor(part).double().logsumexp(0) - whole
                at = compared.shape[1] - 1 if outcome == APART else outcome
                found = (compared[row] / temperature).log_softmax(0)[at]
                assert float(found) == pytest.approx(float(wanted), rel=1e-6, abs=1e-5)


def test_the_ends_of_turns_are_told_to_be_the_same() -> None:
    words = TEACHERS["word-level"]
    ends = STUDENT.tokenizer.eos_token_id, words.tokenizer.eos_token_id
    made = match_outcomes(STUDENT, words, (len(STUDENT.of), len(words.of)), [ends])
    assert made.student.outcome_V[ends[0]] == made.teacher.outcome_V[ends[1]] >= 0
    assert matched("word-level").student.outcome_V[ends[0]] == APART


def test_a_slow_tokenizer_is_refused() -> None:
    class Slow:
        is_fast = False

    with pytest.raises(InputError, match=r"distill.teacher: Slow cannot say where.*tokenizer.json"):
        TokenBytes.read(Slow(), "teacher")


def test_numbers_for_the_ledger() -> None:
    said: dict[str, Any] = matched("word-level").described()
    assert said["student_tokens"] == len(STUDENT.of)
    assert said["teacher_tokens"] == len(TEACHERS["word-level"].of)
    assert 0 < said["tokens_with_the_same_bytes"] <= said["outcomes"]
