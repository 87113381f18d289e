"""The laboratory's teacher and base, and a corpus of theirs: a real distillation in seconds."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

from tests.distill.tokenizers_of_kinds import byte_level
from ullage.config.models import Config
from ullage.distill import DistillResult, run_distill
from ullage.lab.corpus import write_corpus
from ullage.lab.evaluate import TEACHER
from ullage.lab.organisms.build import BASE

ROWS = 150


def prepare(folder: Path) -> None:
    """Write the corpus."""
    write_corpus(folder / "corpus.jsonl", 0, ROWS)


def start_of_bytes(folder: Path) -> None:
    """Write ``start``: a random Llama with a tokenizer of its own, trained on the corpus."""
    lines = (folder / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    said = [message["content"] for line in lines for message in json.loads(line)["messages"]]
    tokenizer = byte_level(600, said)
    tokenizer.save_pretrained(folder / "start")
    torch.manual_seed(0)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer) + 8,
            hidden_size=64,
            intermediate_size=128,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=512,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
        )
    ).save_pretrained(folder / "start")


def config(output: str, **settings: Any) -> Config:
    """A few steps from the base, unless `settings` says otherwise."""
    start = {} if "layers" in settings or "student" in settings else {"student": f"hf:{BASE}"}
    return Config.model_validate(
        {
            "arms": {
                "teacher": {"model": f"hf:{TEACHER}"},
                "student": {"model": f"hf:{output}"},
            },
            "planning": {"items": 2, "min_items": 1},
            "distill": {
                "corpus": "corpus.jsonl",
                "output": output,
                "max_steps": 12,
                "learning_rate": 1e-3,
                "max_length": 256,
                "held_out": 0.2,
                **start,
                **settings,
            },
        }
    )


def make(folder: Path, output: str, **settings: Any) -> DistillResult:
    """Distil in this process."""
    return run_distill(config(output, **settings), folder)
