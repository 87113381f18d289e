"""Vocabularies that are padded, permuted or different."""

from __future__ import annotations

import math
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from ullage.distill.divergences import forward_kl  # noqa: E402
from ullage.distill.vocabulary import align_vocabularies  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

VOCAB = {f"t{index}": index for index in range(10)}


def logits(rows: int, seed: int = 0) -> Any:
    return torch.randn((3, rows), generator=torch.Generator().manual_seed(seed))


def test_equal_vocabularies_pass_logits_through() -> None:
    both = align_vocabularies(VOCAB, 10, VOCAB, 10)
    given = logits(10)
    assert both.logits(given) is given


@pytest.mark.parametrize(("teacher_rows", "student_rows"), [(16, 12), (12, 16), (10, 14), (14, 10)])
def test_padding_rows_have_probability_zero(teacher_rows: int, student_rows: int) -> None:
    """The trap of 151,936 rows against 152,064: one tokenizer, two paddings."""
    both = align_vocabularies(VOCAB, teacher_rows, VOCAB, student_rows)
    given = logits(teacher_rows)
    mapped = both.logits(given)
    assert mapped.shape == (3, student_rows)
    assert torch.equal(mapped[:, :10], given[:, :10])
    assert (mapped[:, 10:] == -math.inf).all()
    # The teacher's padding takes no probability from its tokens.
    torch.testing.assert_close(mapped.softmax(-1)[:, :10], given[:, :10].softmax(-1))
    assert torch.isfinite(forward_kl(logits(student_rows, 1), mapped)).all()


def test_equal_size_is_not_equal_vocabulary() -> None:
    other = {**VOCAB}
    del other["t9"]
    other["new"] = 9
    with pytest.raises(InputError, match=r"differ beyond padding \(1 tokens.*'t9'.*black-box"):
        align_vocabularies(VOCAB, 10, other, 10)


def test_tokens_are_matched_by_what_they_say() -> None:
    turned = {token: 9 - index for token, index in VOCAB.items()}
    both = align_vocabularies(turned, 12, VOCAB, 11)
    given = logits(12)
    mapped = both.logits(given)
    for token, index in VOCAB.items():
        assert torch.equal(mapped[:, index], given[:, turned[token]])
    assert (mapped[:, 10] == -math.inf).all()
    ids = torch.tensor([[0, 3, 9]])
    assert both.inputs(ids).tolist() == [[9, 6, 0]]


def test_unused_ids_between_tokens_have_probability_zero() -> None:
    gappy = {token: 2 * index for token, index in VOCAB.items()}
    mapped = align_vocabularies(gappy, 20, gappy, 20).logits(logits(20))
    assert (mapped[:, 1::2] == -math.inf).all()
    assert torch.isfinite(mapped[:, ::2]).all()


def test_a_tokenizer_larger_than_its_head_is_refused() -> None:
    with pytest.raises(
        InputError, match=r"distill.student: its tokenizer has ids up to 9 .* 8 rows"
    ):
        align_vocabularies(VOCAB, 10, VOCAB, 8)
