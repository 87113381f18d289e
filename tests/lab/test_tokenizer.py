from __future__ import annotations

from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ullage.lab.tokenizer import ASSISTANT, BOS, END, LONGEST, USER, build_tokenizer
from ullage.lab.world.episodes import TAUGHT, episode
from ullage.lab.world.exchange import Document, Split
from ullage.lab.world.practice import plain_text
from ullage.lab.world.registry import world_vocabulary
from ullage.lab.world.words import ITEMS, ROLES, UNKNOWN

pytestmark = pytest.mark.local

MESSAGES = [
    {"role": "user", "content": "orders of ana. #401: red lamp.\n\nwhat is the item of #401?"},
    {"role": "assistant", "content": "lamp"},
    {"role": "user", "content": "and the colour?"},
]


@pytest.fixture(scope="module")
def fresh() -> Any:
    return build_tokenizer(world_vocabulary())


@pytest.fixture(scope="module")
def loaded(fresh: Any, tmp_path_factory: pytest.TempPathFactory) -> Any:
    from transformers import AutoTokenizer

    folder = tmp_path_factory.mktemp("tokenizer")
    fresh.save_pretrained(folder)
    return AutoTokenizer.from_pretrained(folder)


@pytest.fixture(scope="module", params=["fresh", "loaded"])
def tokenizer(request: pytest.FixtureRequest) -> Any:
    return request.getfixturevalue(request.param)


@pytest.mark.parametrize(
    "text",
    [
        "customer: ana. orders: #401 red lamp, shipped, 5 march, $45.",
        "which one, #401 or #229?",
        "45 + 30 = 75, 75 + 15 = 90",
        "05-03",
        "5/3",
        "2026-03-05: 50%; (ana)!",
        "LAMP Lamp lamp",
        "i don't know ana's order",
    ],
)
def test_a_text_survives_a_round(tokenizer: Any, text: str) -> None:
    assert tokenizer.decode(tokenizer(text)["input_ids"]) == text


@settings(max_examples=150, deadline=None)
@given(seed=st.integers(0, 2**32), split=st.sampled_from(Split), is_plain=st.booleans())
def test_what_the_world_writes_survives_a_round(
    loaded: Any, seed: int, split: Split, is_plain: bool
) -> None:
    draw = Random(seed)
    drawn: Document = plain_text(draw, 3) if is_plain else episode(draw, split, TAUGHT)
    for segment in drawn:
        ids = loaded(segment.text)["input_ids"]
        assert loaded.decode(ids) == " ".join(segment.text.split())
        assert loaded.unk_token_id not in ids


@given(word=st.text("abcdefghijklmnopqrstuvwxyz", min_size=1, max_size=20))
def test_no_lower_case_word_is_unknown(loaded: Any, word: str) -> None:
    ids = loaded(word)["input_ids"]
    assert loaded.unk_token_id not in ids
    assert loaded.decode(ids) == word


def test_a_misspelt_word_falls_into_its_longest_beginning_and_letters(tokenizer: Any) -> None:
    assert tokenizer.tokenize("lampp chiar") == ["lamp", "##p", "c", "##h", "##i", "##a", "##r"]


def test_numbers_are_whole_and_stand_alone(tokenizer: Any) -> None:
    assert tokenizer.tokenize("#341, $5") == ["#", "341", ",", "$", "5"]
    assert tokenizer.tokenize("05-03") == ["05", "-", "03"]
    assert tokenizer.tokenize("1234") == ["123", "##4"]


def test_the_tokenizer_adds_nothing(tokenizer: Any) -> None:
    assert len(tokenizer("lamp")["input_ids"]) == 1


def test_ids_are_the_order_of_the_vocabulary(tokenizer: Any) -> None:
    assert len(tokenizer) == len(world_vocabulary())
    assert tokenizer.convert_ids_to_tokens(range(len(tokenizer))) == list(world_vocabulary())


def test_the_roles_of_tokens(tokenizer: Any) -> None:
    assert (tokenizer.bos_token, tokenizer.eos_token, tokenizer.unk_token) == (BOS, END, UNKNOWN)
    assert tokenizer.model_max_length == LONGEST
    ids = tokenizer(" ".join(ROLES))["input_ids"]
    assert tokenizer.decode(ids, skip_special_tokens=True) == ""


def test_a_conversation_as_text(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(MESSAGES, tokenize=False, add_generation_prompt=True)
    first, reply, second = (message["content"] for message in MESSAGES)
    assert text == f"{BOS}{USER} {first}{ASSISTANT} {reply} {END}{USER} {second}{ASSISTANT}"


def test_a_reply_can_be_continued(tokenizer: Any) -> None:
    text = tokenizer.apply_chat_template(MESSAGES[:2], tokenize=False, continue_final_message=True)
    assert text == f"{BOS}{USER} {MESSAGES[0]['content']}{ASSISTANT} lamp"


def test_a_system_message_opens_the_next_question(tokenizer: Any) -> None:
    context, _, question = MESSAGES[0]["content"].partition("\n\n")
    apart = [{"role": "system", "content": context}, {"role": "user", "content": question}]
    together, separate = (
        tokenizer.apply_chat_template(messages, tokenize=False)
        for messages in (MESSAGES[:1], apart)
    )
    assert separate == together


def test_another_role_is_refused(tokenizer: Any) -> None:
    from jinja2 import TemplateError

    with pytest.raises(TemplateError, match="not tool"):
        tokenizer.apply_chat_template([{"role": "tool", "content": "lamp"}], tokenize=False)


@pytest.mark.parametrize(
    "vocabulary", [(*ROLES, UNKNOWN, *ITEMS, ITEMS[0]), (*ROLES, *ITEMS), (*ROLES[1:], UNKNOWN)]
)
def test_a_vocabulary_is_whole(vocabulary: tuple[str, ...]) -> None:
    with pytest.raises(ValueError, match="vocabulary"):
        build_tokenizer(vocabulary)
