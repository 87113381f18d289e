"""Tokens per second of `HfModel`, beside `transformers`' own generate in the same run.

    python bench/hf_speed.py [--model FOLDER] [--requests 48] [--max-tokens 48] [--batch 16]

Generating: the same prompts, greedy, in float32; the peer gets left-padded batches of `--batch`
rows sorted by length. Replies of different length are the point: the peer waits for a batch's
longest. Weighing: four one-word choices after each prompt; the peer runs one padded forward pass
over all (prompt, choice) rows of a batch. Both sides load the model before the clock starts.
"""

from __future__ import annotations

import argparse
import asyncio
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from ullage.config.models import HfOptions
from ullage.models.hf import HfModel, ensure_smollm2
from ullage.models.types import Ask, Failure, Message, Reply, Request, Weigh, Weights, user

TOPICS = ("France", "a bicycle", "photosynthesis", "the number 12", "rain", "a violin", "tea")
FORMS = (
    "What is {}?",
    "Name three facts about {}.",
    "Answer with yes or no: is {} found in a kitchen?",
    "Read this carefully. " * 6 + "Now write one short sentence about {}.",
    "Explain {} to a child of six, in a few sentences, and give an example from daily life.",
)
CHOICES = (" yes", " no", " maybe", " never")


def prompts(count: int) -> list[tuple[Message, ...]]:
    pairs = [(form, topic) for topic in TOPICS for form in FORMS]
    return [
        (user(pairs[n % len(pairs)][0].format(pairs[n % len(pairs)][1]) + " " * (n // len(pairs))),)
        for n in range(count)
    ]


def batches(items: Sequence[Any], size: int) -> Iterator[Sequence[Any]]:
    for begin in range(0, len(items), size):
        yield items[begin : begin + size]


async def ours(folder: Path, requests: Sequence[Request]) -> tuple[float, list[Any]]:
    """Seconds, and the answers in order."""
    async with HfModel(str(folder), HfOptions(device="cpu"), Path()) as model:
        _ = [answer async for answer in model.answer(requests[:1])]
        begin = time.perf_counter()
        answers = {index: answer async for index, answer in model.answer(requests)}
        seconds = time.perf_counter() - begin
    assert not any(isinstance(answer, Failure) for answer in answers.values())
    return seconds, [answers[index] for index in range(len(requests))]


class Peer:
    """`transformers` as its documentation uses it."""

    def __init__(self, folder: Path) -> None:
        from transformers import AutoModelForCausalLM, AutoTokenizer

        auto: Any = AutoModelForCausalLM
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder, padding_side="left")
        self.model = auto.from_pretrained(folder).eval()

    def texts(self, asks: Sequence[Request]) -> list[str]:
        """Every conversation, rendered."""
        return [
            self.tokenizer.apply_chat_template(
                [{"role": m.role, "content": m.content} for m in ask.messages],
                tokenize=False,
                add_generation_prompt=True,
            )
            for ask in asks
        ]

    def encode(self, texts: Sequence[str]) -> Any:
        """Padded tensors."""
        return self.tokenizer(
            list(texts), return_tensors="pt", padding=True, add_special_tokens=False
        )

    def generate(self, asks: Sequence[Ask], size: int) -> tuple[float, list[str]]:
        """Seconds, and the texts, sorted by prompt length as they were run."""
        texts = sorted(self.texts(asks), key=len)
        out: list[str] = []
        begin = time.perf_counter()
        for batch in batches(texts, size):
            inputs = self.encode(batch)
            ids = self.model.generate(**inputs, max_new_tokens=asks[0].max_tokens, do_sample=False)
            out += self.tokenizer.batch_decode(
                ids[:, inputs["input_ids"].shape[1] :], skip_special_tokens=True
            )
        return time.perf_counter() - begin, out

    def weigh(self, weighs: Sequence[Weigh], size: int) -> float:
        """Seconds."""
        import torch

        rows = sorted(
            (text + choice)
            for text, weigh in zip(self.texts(weighs), weighs, strict=True)
            for choice in weigh.continuations
        )
        begin = time.perf_counter()
        with torch.inference_mode():
            for batch in batches(rows, size):
                torch.log_softmax(self.model(**self.encode(batch)).logits[:, -3:], -1)
        return time.perf_counter() - begin


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path)
    parser.add_argument("--requests", type=int, default=48)
    parser.add_argument("--max-tokens", type=int, default=48)
    parser.add_argument("--batch", type=int, default=16)
    args = parser.parse_args()
    folder = args.model or ensure_smollm2(print)

    import torch

    asks = [Ask(messages=m, max_tokens=args.max_tokens) for m in prompts(args.requests)]
    weighs = [Weigh(messages=m, continuations=CHOICES) for m in prompts(args.requests)]
    print(f"{folder.name}, float32, {torch.get_num_threads()} threads, {args.requests} requests")

    seconds, answers = asyncio.run(ours(folder, asks))
    replies = [answer for answer in answers if isinstance(answer, Reply)]
    tokens = sum(reply.usage.completion_tokens for reply in replies)
    peer = Peer(folder)
    peer_seconds, texts = peer.generate(asks, args.batch)
    same = sum(a == b for a, b in zip(sorted(r.text for r in replies), sorted(texts), strict=True))
    print(f"generate  ullage        {tokens / seconds:8.1f} tokens/s  {seconds:6.1f} s")
    print(f"generate  transformers  {tokens / peer_seconds:8.1f} tokens/s  {peer_seconds:6.1f} s")
    print(f"generate  ratio {peer_seconds / seconds:.2f}; {same} of {len(texts)} texts the same")

    seconds, answers = asyncio.run(ours(folder, weighs))
    assert all(isinstance(answer, Weights) for answer in answers)
    peer_seconds = peer.weigh(weighs, args.batch)
    for name, taken in (("ullage", seconds), ("transformers", peer_seconds)):
        print(f"weigh     {name:12}  {len(weighs) / taken:8.1f} questions/s  {taken:6.1f} s")
    print(f"weigh     ratio {peer_seconds / seconds:.2f}")


if __name__ == "__main__":
    main()
