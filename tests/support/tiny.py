"""A real model small enough to build in a test: a few-layer Llama with its own BPE tokenizer."""

from __future__ import annotations

from pathlib import Path
from typing import Any

SENTENCES = (
    "The capital of France is Paris, and the capital of Spain is Madrid.",
    "User: what is two plus two? Assistant: two plus two is four.",
    "I do not know the answer to that question; could you say which year you mean?",
    "Yes. No. A B C D 0 1 2 3 4 5 6 7 8 9 \u00e9\u00e8\u00fc \u4f60\u597d \U0001f600",
    "system user assistant You are a helpful assistant.\n\n",
)
CHAT_TEMPLATE = (
    "{% for message in messages %}"
    "{{ '<|im_start|>' + message['role'] + '\\n' + message['content'] + '<|im_end|>' + '\\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"
)
END = "<|im_end|>"


def build_tiny_model(
    folder: Path,
    *,
    seed: int = 0,
    layers: int = 2,
    hidden: int = 32,
    vocabulary: int = 384,
    context: int = 1024,
    chat_template: str | None = CHAT_TEMPLATE,
) -> Path:
    """Write a seeded random Llama and its tokenizer to `folder`, and return the folder.

    The weights are drawn wide enough (std 0.3) that replies vary with the prompt and some of them
    end by themselves. Grouped-query attention: 4 heads over 2 key heads. Byte-level BPE, so that
    every text can be tokenised and characters may be split over tokens.
    """
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    tokenizer = build_tiny_tokenizer(vocabulary, chat_template)
    config = LlamaConfig(
        vocab_size=len(tokenizer),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        num_key_value_heads=2,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        initializer_range=0.3,
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=tokenizer.eos_token_id,
        pad_token_id=tokenizer.pad_token_id,
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def build_tiny_tokenizer(vocabulary: int = 384, chat_template: str | None = CHAT_TEMPLATE) -> Any:
    """A byte-level BPE tokenizer trained on `SENTENCES`."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    make: Any = PreTrainedTokenizerFast
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary,
        special_tokens=["<|endoftext|>", "<|im_start|>", END],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(SENTENCES, trainer)
    return make(
        tokenizer_object=bpe,
        bos_token="<|im_start|>",
        eos_token=END,
        pad_token=END,
        unk_token="<|endoftext|>",
        chat_template=chat_template,
    )
