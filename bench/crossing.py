"""A teacher and a student of different tokenizers: what alignment on bytes gives and drops.

    python bench/crossing.py [--teacher lab|smollm2] [--steps 150] [--rows 600] [--seeds 2]

A random two-layer Llama, with a byte-level BPE tokenizer trained on the corpus, learns from

* `control`: the references alone; the other terms are measured, at weight 0;
* `crossed`: `method: cross-tokenizer` as it is;

in as many steps from the same weights over the same rows. `lab` is the laboratory's teacher, which
reads words, on the laboratory's corpus; `smollm2` is SmolLM2-135M-Instruct, fetched if it is not
there, on the corpus of `make demo-real`. Printed: each term on held-out rows, per supervised token
of the student, as a mean over seeds; then the ledger's account of the teacher.
"""

from __future__ import annotations

import argparse
import json
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

from ullage.config.models import Config
from ullage.distill import run_distill
from ullage.distill.corpora import DESK
from ullage.lab.corpus import write_corpus
from ullage.lab.evaluate import TEACHER
from ullage.models.hf.smollm2 import ensure_smollm2

TEMPLATE = (
    "{% for message in messages %}<|{{ message['role'] }}|>{{ ' ' + message['content'] }}<|end|>"
    "{% endfor %}{% if add_generation_prompt %}<|assistant|>{% endif %}"
)
MEASURED = ("forward-kl", "merged-spans", "ranked-rest")
WAYS: dict[str, dict[str, Any]] = {
    "control": {
        "objective": [
            {"term": "cross-entropy"},
            *({"term": term, "weight": 0.0} for term in MEASURED),
        ]
    },
    "crossed": {},
}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--teacher", choices=("lab", "smollm2"), default="lab")
    parser.add_argument("--steps", type=int, default=150)
    parser.add_argument("--rows", type=int, default=600)
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        teacher = TEACHER if options.teacher == "lab" else ensure_smollm2(print)
        write_rows(folder / "corpus.jsonl", options)
        ledgers: dict[str, list[Mapping[str, Any]]] = {way: [] for way in WAYS}
        for seed in range(options.seeds):
            start(folder / f"start-{seed}", folder / "corpus.jsonl", seed)
            for way in WAYS:
                ledgers[way].append(make(folder, way, teacher, options.steps, seed))
        print(f"{options.teacher}, {options.steps} steps, {options.seeds} seeds")
        table(ledgers)
        print(json.dumps(ledgers["crossed"][0]["alignment"], indent=1))


def write_rows(path: Path, options: argparse.Namespace) -> None:
    if options.teacher == "lab":
        write_corpus(path, seed=0, size=options.rows)
        return
    lines = DESK.read_text(encoding="utf-8").splitlines(keepends=True)[: options.rows]
    path.write_text("".join(lines), encoding="utf-8")


def start(folder: Path, corpus: Path, seed: int) -> None:
    """A student before it has learnt anything."""
    said = [
        message["content"]
        for line in corpus.read_text(encoding="utf-8").splitlines()
        for message in json.loads(line)["messages"]
    ]
    tokenizer = trained(said)
    tokenizer.save_pretrained(folder)
    torch.manual_seed(seed)
    LlamaForCausalLM(
        LlamaConfig(
            vocab_size=len(tokenizer),
            hidden_size=96,
            intermediate_size=256,
            num_hidden_layers=2,
            num_attention_heads=4,
            max_position_embeddings=1024,
            tie_word_embeddings=True,
            eos_token_id=tokenizer.eos_token_id,
        )
    ).save_pretrained(folder)


def trained(texts: Sequence[str]) -> Any:
    special = ["<|system|>", "<|user|>", "<|assistant|>", "<|end|>"]
    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    bpe.decoder = decoders.ByteLevel()
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=800, special_tokens=special, initial_alphabet=alphabet, show_progress=False
    )
    bpe.train_from_iterator(texts, trainer)
    make_fast: Any = PreTrainedTokenizerFast
    tokenizer = make_fast(tokenizer_object=bpe, eos_token="<|end|>", chat_template=TEMPLATE)
    tokenizer.add_special_tokens({"additional_special_tokens": special[:3]})
    return tokenizer


def make(folder: Path, way: str, teacher: Path, steps: int, seed: int) -> Mapping[str, Any]:
    """A student, and its ledger."""
    output = f"{way}-{seed}"
    config = Config.model_validate(
        {
            "arms": {
                "teacher": {"model": f"hf:{teacher}"},
                "student": {"model": f"hf:{output}"},
            },
            "planning": {"items": 20},
            "seed": seed,
            "distill": {
                "method": "cross-tokenizer",
                "student": f"hf:start-{seed}",
                "corpus": "corpus.jsonl",
                "output": output,
                "max_steps": steps,
                "learning_rate": 4e-3,
                "max_length": 384,
                **WAYS[way],
            },
        }
    )
    return run_distill(config, folder).ledger


def table(ledgers: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    columns = {"base": [one["loss"]["base_held_out"] for one in ledgers["crossed"]]}
    columns |= {way: [one["loss"]["held_out"] for one in made] for way, made in ledgers.items()}
    print(f"{'held out':<16}" + "".join(f"{name:>10}" for name in columns))
    for term in ("cross_entropy", "forward_kl", "merged_spans", "ranked_rest"):
        means = (sum(part[term] for part in parts) / len(parts) for parts in columns.values())
        print(f"{term:<16}" + "".join(f"{mean:>10.3f}" for mean in means))


if __name__ == "__main__":
    main()
