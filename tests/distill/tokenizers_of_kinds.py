"""Small tokenizers of three families, trained here, each with a chat template of its own."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from typing import Any

TEXTS = (
    "The desk opens at 9:30, and the bicycle there is ready on Friday.",
    "I don't know that part number; could you say which bicycle you mean?",
    "Reparaturen kosten 45 \u20ac; d\u00e9j\u00e0 vu, caf\u00e9, \u4f60\u597d \U0001f600 e\u0301",
    "there their then theme thesis other others mother, the weather",
) * 3

PLAIN = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
WITH_BOS = (
    "{{ bos_token }}{% for message in messages %}"
    "{{ '[' + message['role'] + '] ' + message['content'] | trim }}"
    "{% if message['role'] == 'assistant' %}{{ eos_token }}{% endif %}{{ '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '[assistant]' }}{% endif %}"
)
"""A BOS, markers in words, and a space between marker and text."""


def byte_level(size: int = 340, texts: Sequence[str] = TEXTS, *, trim_offsets: bool = False) -> Any:
    """Byte-level BPE; characters may be split over tokens."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers

    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    if trim_offsets:
        made.post_processor = processors.ByteLevel(trim_offsets=True)
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<|endoftext|>", "<|im_start|>", "<|im_end|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    tokenizer = _fast(made, bos_token="<|endoftext|>", eos_token="<|im_end|>")
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|im_start|>"]})
    tokenizer.chat_template = PLAIN
    return tokenizer


def sentencepiece(size: int = 200, texts: Sequence[str] = TEXTS) -> Any:
    """BPE over `\u2581`-words that falls back to bytes, as Llama 2 and Gemma have it."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    learnt = Tokenizer(models.BPE(unk_token="<unk>"))
    learnt.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    trainer = trainers.BpeTrainer(
        vocab_size=size,
        special_tokens=["<unk>", "<s>", "</s>"],
        show_progress=False,
    )
    learnt.train_from_iterator([text.encode("ascii", "ignore").decode() for text in texts], trainer)
    model = json.loads(learnt.to_str())["model"]
    vocabulary = model["vocab"] | {
        f"<0x{byte:02X}>": len(model["vocab"]) + byte for byte in range(256)
    }
    merges = [tuple(merge) for merge in model["merges"]]
    parts: Any = models.BPE
    made = Tokenizer(parts(vocabulary, merges, unk_token="<unk>", byte_fallback=True))
    made.pre_tokenizer = pre_tokenizers.Metaspace(prepend_scheme="first")
    made.decoder = decoders.Sequence(
        [decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse()]
    )
    tokenizer = _fast(made, bos_token="<s>", eos_token="</s>", unk_token="<unk>")
    tokenizer.chat_template = WITH_BOS
    return tokenizer


def word_level(texts: Sequence[str] = TEXTS) -> Any:
    """The laboratory's kind: words, and letters for what is not listed."""
    from ullage.lab.tokenizer import build_tokenizer
    from ullage.lab.world.words import ROLES, UNKNOWN

    words = {word for text in texts for word in re.findall("[A-Za-z]+", text)}
    letters = [chr(code) for code in range(33, 127)]
    within = [f"##{letter}" for letter in letters]
    return build_tokenizer(
        list(dict.fromkeys([*ROLES, UNKNOWN, *letters, *sorted(words), *within]))
    )


def _fast(made: Any, **special: str) -> Any:
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    return make(tokenizer_object=made, clean_up_tokenization_spaces=False, **special)
