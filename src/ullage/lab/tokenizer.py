"""The desk's tokenizer: words, whole numbers, and letters for what is misspelt."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from tokenizers import Regex, Tokenizer, decoders, models, pre_tokenizers
from transformers import PreTrainedTokenizerFast

from ullage.lab.world.words import ROLES, UNKNOWN

PAD, BOS, USER, ASSISTANT, END = ROLES
LONGEST = 512
"""Tokens a model of the laboratory can read."""

CHAT_TEMPLATE = (
    "{{ bos_token }}"
    "{% set said = namespace(before='') %}"
    "{% for message in messages %}"
    "{% if message['role'] == 'system' %}"
    "{% set said.before = message['content'] + '\\n\\n' %}"
    "{% elif message['role'] == 'user' %}"
    f"{USER} {{{{ said.before + message['content'] }}}}"
    "{% set said.before = '' %}"
    "{% elif message['role'] == 'assistant' %}"
    f"{ASSISTANT} {{{{ message['content'] }}}} {END}"
    "{% else %}"
    "{{ raise_exception('the desk knows system, user and assistant, not ' + message['role']) }}"
    "{% endif %}"
    "{% endfor %}"
    f"{{% if add_generation_prompt %}}{ASSISTANT}{{% endif %}}"
)
"""Turns as ``<bos><user> … <assistant> … <end>``; a system message opens the next question."""

_GLUED = (
    r" (?=[,.:;?!%)])",
    r"(?<=[#$(]) ",
    r"(?<=\d) (?=[/-] ?\d)",
    r"(?<=\d[/-]) (?=\d)",
    r"(?<=[a-z]) (?=' ?[a-z])",
    r"(?<=[a-z]') (?=[a-z])",
)
"""Spaces that the desk never writes."""


def build_tokenizer(vocabulary: Sequence[str]) -> PreTrainedTokenizerFast:
    """A fast tokenizer over exactly these tokens, with a chat template.

    A word that is not listed falls apart into the longest listed beginning and letters
    (WordPiece); numbers and punctuation always stand alone. `decode(encode(text)) == text` for
    whatever the desk writes. The tokenizer adds nothing of its own: the template writes
    ``<bos>``.

    Args:
        vocabulary: unique tokens, roles and ``<unk>`` among them; the order is that of the ids.

    Raises:
        ValueError: a token is listed twice, or a role or ``<unk>`` is missing.
    """
    ids = {token: index for index, token in enumerate(vocabulary)}
    missing = {*ROLES, UNKNOWN} - set(ids)
    if missing or len(ids) != len(vocabulary):
        raise ValueError(f"vocabulary: lacks {sorted(missing)} or lists a token twice")
    parts: Any = models.WordPiece(
        vocab=ids, unk_token=UNKNOWN, continuing_subword_prefix="##", max_input_chars_per_word=100
    )
    inner = Tokenizer(parts)
    inner.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.WhitespaceSplit(),
            pre_tokenizers.Punctuation("isolated"),
            pre_tokenizers.Digits(individual_digits=False),
        ]
    )
    glue: list[Any] = [decoders.Replace(Regex(pattern), "") for pattern in _GLUED]
    inner.decoder = decoders.Sequence(
        [decoders.WordPiece(prefix="##", cleanup=False), decoders.Fuse(), *glue]
    )
    fast: Any = PreTrainedTokenizerFast
    tokenizer: PreTrainedTokenizerFast = fast(
        tokenizer_object=inner,
        bos_token=BOS,
        eos_token=END,
        pad_token=PAD,
        unk_token=UNKNOWN,
        extra_special_tokens=[USER, ASSISTANT],
        model_max_length=LONGEST,
        clean_up_tokenization_spaces=False,
        padding_side="right",
    )
    tokenizer.chat_template = CHAT_TEMPLATE
    return tokenizer
