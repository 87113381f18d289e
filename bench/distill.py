"""One step of distillation: tokens a second and memory, beside a dense loop, TRL, distill-anything.

    python bench/distill.py [--steps 5] [--cases 49k-256 49k-1024 262k-256] [--peers PYTHON]

TRL 1.16 and distill-anything 0.5 are asked of the interpreter that `--peers` names, so that no
environment has to suit all of them:

    python -m venv peers && peers/bin/pip install trl==1.16.0 distill-anything==0.5.0
    python bench/distill.py --peers peers/bin/python

and skipped with a line where they are not there. Every one runs in a process of its own on one
thread, from the same weights, on the same batches, with AdamW in fp32; the loss is the mean forward
KL at temperature 1 over all positions but the last of a row. What is timed is whole steps:
teacher, student, loss, gradient, optimiser; the median of the steps after the first. A peer's loss
is its own code, called as its trainer calls it; what trainers add around it is left out for all.

- dense: whole logits of both, `kl_div`.
- trl-gkd: `GKDTrainer.compute_loss` (experimental, λ = 0, β = 0).
- trl-distillation: the loss of `DistillationTrainer`, on references instead of generated text.
- distill-anything: the step of its trainer in mode `logit`, with α = 1.
- ours: `DistillationModule`; ours-cached: the same from a cache (k = 64), its filling not counted.

- trunk: both models without heads and loss, which nobody goes below.

49k: SmolLM2-135M-Instruct teaches eight of its layers, on the language reference that comes with
Python. 262k: a random teacher of two layers teaches another, on random tokens. Memory is the peak
of the resident set (Linux), or of the allocator on a GPU, above what it is with weights, gradients
and optimiser in place; `loss` is what it is above that of the trunk.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CASES = {"49k-256": (4, 256), "49k-1024": (4, 1024), "262k-256": (4, 256)}
"""Rows and tokens of a batch."""
PEERS = ("trl-gkd", "trl-distillation", "distill-anything")
NAMES = ("trunk", "dense", *PEERS, "ours", "ours-cached")
K = 64

Step = Callable[[Any], Any]
"""From the ids of a batch, (B, T), to a loss with a gradient."""


def prepare(folder: Path, case: str, steps: int) -> None:
    """Put teacher, student and batches where every process finds them."""
    import torch

    rows, length = CASES[case]
    if case.startswith("262k"):
        vocabulary = 262_144
        for name, seed in (("teacher", 0), ("student", 1)):
            random_model(vocabulary, seed).save_pretrained(folder / name)
        draw = torch.Generator().manual_seed(2)
        ids = torch.randint(vocabulary, (steps + 1, rows, length), generator=draw)
    else:
        ids = smollm2(folder, (steps + 1) * rows * length).view(steps + 1, rows, length)
    torch.save(ids, folder / "batches.pt")


def random_model(vocabulary: int, seed: int) -> Any:
    """Two small layers under a large head."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    torch.manual_seed(seed)
    return LlamaForCausalLM(
        LlamaConfig(
            vocab_size=vocabulary,
            hidden_size=256,
            intermediate_size=512,
            num_hidden_layers=2,
            num_attention_heads=4,
            tie_word_embeddings=True,
            initializer_range=0.05,
        )
    )


def smollm2(folder: Path, tokens: int) -> Any:
    """SmolLM2 and eight of its layers; returns so many ids of a text."""
    from pydoc_data.topics import topics

    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    from ullage.distill.layers import chosen_layers, student_from_layers
    from ullage.models.hf.smollm2 import ensure_smollm2

    auto, tokenizers = _any(AutoModelForCausalLM), _any(AutoTokenizer)
    model = auto.from_pretrained(ensure_smollm2(), dtype=torch.float32)
    model.save_pretrained(folder / "teacher")
    kept = chosen_layers(8, model.config.num_hidden_layers)
    student_from_layers(model, kept).save_pretrained(folder / "student")
    tokenizer = tokenizers.from_pretrained(ensure_smollm2())
    tokenizer.model_max_length = 1 << 40
    ids = tokenizer("\n\n".join(topics.values()))["input_ids"]
    return torch.tensor((ids * (tokens // len(ids) + 1))[:tokens])


def load(folder: Path, name: str) -> Any:
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    return _any(AutoModelForCausalLM).from_pretrained(folder / name, dtype=torch.float32).to(device)


def trunk(student: Any, teacher: Any) -> Step:
    import torch

    def step(ids: Any) -> Any:
        with torch.no_grad():
            teacher.base_model(ids, use_cache=False)
        return student.base_model(ids, use_cache=False).last_hidden_state.mean()

    return step


def dense(student: Any, teacher: Any) -> Step:
    import torch
    import torch.nn.functional as F  # noqa: N812

    def step(ids: Any) -> Any:
        with torch.no_grad():
            p = teacher(ids).logits[:, :-1].log_softmax(-1)
        q = student(ids).logits[:, :-1].log_softmax(-1)
        return F.kl_div(q, p, reduction="sum", log_target=True) / p[..., 0].numel()

    return step


def trl_gkd(student: Any, teacher: Any) -> Step:
    import torch

    gkd: Any = import_module("trl.experimental.gkd").GKDTrainer
    itself = SimpleNamespace(
        teacher_model=teacher, beta=0.0, generalized_jsd_loss=gkd.generalized_jsd_loss
    )

    def step(ids: Any) -> Any:
        inputs = {"input_ids": ids, "attention_mask": torch.ones_like(ids), "labels": ids}
        return gkd.compute_loss(itself, student, inputs)

    return step


def trl_distillation(student: Any, teacher: Any) -> Step:
    import torch

    loss = import_module("trl.trainer.distillation_trainer")._chunked_divergence_loss

    def step(ids: Any) -> Any:
        mask = torch.ones_like(ids)
        said = student.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state
        with torch.no_grad():
            asked = teacher.base_model(ids, attention_mask=mask, use_cache=False).last_hidden_state
        heads = [model.get_output_embeddings().weight for model in (student, teacher)]
        return loss(said[:, :-1], asked[:, :-1], *heads, mask[:, 1:], 0.0)[0]

    return step


def distill_anything(student: Any, teacher: Any) -> Step:
    import torch

    kd_loss = import_module("distillanything.losses.kd").kd_loss

    def step(ids: Any) -> Any:
        mask = torch.ones_like(ids)
        said = student(input_ids=ids, attention_mask=mask, labels=ids)
        with torch.no_grad():
            asked = teacher(input_ids=ids, attention_mask=mask)
        loss = kd_loss(said.logits, asked.logits.float(), ids, kind="forward_kl", temperature=1.0)
        return 1.0 * loss + 0.0 * said.loss

    return step


def ours(student: Any, teacher: Any) -> Step:
    from ullage.distill.divergences import forward_kl
    from ullage.distill.module import DistillationModule
    from ullage.distill.objectives import IGNORED, Objective, divergence_term

    module = DistillationModule(student, Objective((divergence_term("kl", forward_kl),)), teacher)

    def step(ids: Any) -> Any:
        module.suit_attention(*ids.shape)
        labels = ids.roll(-1, dims=1)
        labels[:, -1] = IGNORED
        beside = teacher.beside(examples(ids))
        return module(input_ids=ids, labels=labels, **beside)["loss"]

    return step


def examples(ids: Any) -> list[Any]:
    """The rows of a batch as corpora have them."""
    from ullage.distill.objectives import IGNORED
    from ullage.distill.rendering import Example

    return [Example(tuple(row), (*row[1:], IGNORED)) for row in ids.tolist()]


def online(folder: Path) -> Any:
    """The teacher as our objective asks it."""
    from ullage.distill.module import LogitsTeacher
    from ullage.distill.vocabulary import align_vocabularies

    model = load(folder, "teacher").eval()
    rows = model.config.vocab_size
    tokens = {str(index): index for index in range(rows)}
    return LogitsTeacher(model, align_vocabularies(tokens, rows, tokens, rows))


def about(folder: Path) -> Any:
    from ullage.distill.cache import About, Compressor

    config = json.loads((folder / "teacher" / "config.json").read_text())
    return About(
        teacher="bench",
        tokenizer="bench",
        template="bench",
        corpus="bench",
        vocabulary=config["vocab_size"],
        compressor=Compressor(k=K),
    )


def fill(folder: Path) -> dict[str, float]:
    """Ask the teacher for the cache."""
    import torch

    from ullage.distill.cache import stats
    from ullage.distill.cached import fill as fill_cache
    from ullage.distill.engine import Stop

    batches = torch.load(folder / "batches.pt")
    teacher, rows = online(folder), [row for ids in batches for row in examples(ids)]
    begin = time.perf_counter()
    fill_cache(folder / "cache", about(folder), teacher, rows, len(batches[0]), stop=Stop())
    seconds = time.perf_counter() - begin
    size = stats(folder / "cache").bytes_per_position
    assert size is not None
    return {"tokens": batches.numel() / seconds, "bytes": size}


def cached(folder: Path, student: Any) -> Any:
    import torch

    from ullage.distill.cached import CachedTeacher

    device, rows = student.device, student.config.vocab_size
    teacher = CachedTeacher(folder / "cache", about(folder), rows, device)
    teacher.expect([row for ids in torch.load(folder / "batches.pt") for row in examples(ids)])
    return teacher


def measure(name: str, folder: Path) -> dict[str, float]:
    """Tokens a second, peak memory in MiB and the first loss, in this process."""
    import torch

    student = load(folder, "student").train()
    if name.startswith("ours"):
        teacher = cached(folder, student) if name == "ours-cached" else online(folder)
        step = ours(student, teacher)
    else:
        makers = (trunk, dense, trl_gkd, trl_distillation, distill_anything)
        step = makers[NAMES.index(name)](student, load(folder, "teacher").eval())
    optimiser = torch.optim.AdamW(student.parameters(), lr=0.0)
    for weight in student.parameters():
        weight.grad = torch.zeros_like(weight)
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 1e-4
    batches = torch.load(folder / "batches.pt").to(student.device)
    before, seconds, losses = resident(reset=True), [], []
    for ids in batches:
        begin = time.perf_counter()
        optimiser.zero_grad(set_to_none=False)
        loss = step(ids)
        loss.backward()
        optimiser.step()
        losses.append(float(loss.detach()))
        seconds.append(time.perf_counter() - begin)
    tokens = batches[0].numel() / statistics.median(seconds[1:])
    return {"tokens": tokens, "memory": resident() - before, "loss": losses[0]}


def resident(*, reset: bool = False) -> float:
    """Peak memory since the last reset, MiB."""
    import torch

    if torch.cuda.is_available():
        torch.cuda.synchronize()
        if reset:
            torch.cuda.reset_peak_memory_stats()
        return torch.cuda.max_memory_allocated() / 2**20
    if reset:
        Path("/proc/self/clear_refs").write_text("5")
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line for line in lines if line.startswith("VmHWM")).split()[1]) / 1024


def child(python: str, name: str, folder: Path) -> dict[str, float] | str:
    """`measure` or `fill` in a process of its own; a line says why there is no result."""
    path = os.pathsep.join(part for part in sys.path if part)
    found = subprocess.run(
        [python, __file__, "--child", name, "--folder", str(folder)],
        capture_output=True,
        text=True,
        env={
            **os.environ,
            "OMP_NUM_THREADS": "1",
            # Peers have packages of their own.
            **({} if name in PEERS else {"PYTHONPATH": path}),
        },
        check=False,
    )
    if found.returncode:
        return (found.stderr.strip().splitlines() or ["killed"])[-1][:120]
    result: dict[str, float] = json.loads(found.stdout.splitlines()[-1])
    return result


def report(case: str, folder: Path, steps: int, peers: str) -> None:
    """Measure and print one case."""
    prepare(folder, case, steps)
    rows, length = CASES[case]
    print(f"\n{case}: {rows} x {length} tokens, {steps} steps")
    filled = child(sys.executable, "fill", folder)
    if isinstance(filled, dict):
        print(f"cache: {filled['tokens']:,.0f} tokens/s to fill, {filled['bytes']:.1f} B/token")
    print(f"{'':18} tokens/s   MiB   loss's MiB    loss")
    found: dict[str, dict[str, float]] = {}
    for name in NAMES:
        one = child(peers if name in PEERS else sys.executable, name, folder)
        if isinstance(one, str):
            print(f"{name:18} skipped ({one}); the head of this file says how to install it")
            continue
        found[name] = one
        one["above"] = one["memory"] - found["trunk"]["memory"]
        print(
            f"{name:18} {one['tokens']:8,.0f} {one['memory']:6,.0f} {one['above']:8,.0f}"
            + (f"     {one['loss']:8.4f}" if name != "trunk" else "")
        )
    others = [one for name, one in found.items() if name in ("dense", *PEERS)]
    fastest = max(one["tokens"] for one in others)
    least, least_above = (min(one[key] for one in others) for key in ("memory", "above"))
    for name in ("ours", "ours-cached"):
        if name in found:
            one = found[name]
            print(
                f"{name} / best other: {one['tokens'] / fastest:.2f} of the tokens/s, "
                f"{one['memory'] / least:.2f} of the memory"
                # The trunk has a teacher's in it, which a cached step does without.
                + (f", {one['above'] / least_above:.2f} of the loss's" if name == "ours" else "")
            )


def _any(value: Any) -> Any:
    """What transformers leaves untyped."""
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES))
    parser.add_argument("--peers", default=sys.executable, help="an interpreter that has them")
    parser.add_argument("--child", choices=(*NAMES, "fill"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        import torch

        torch.set_num_threads(1)
        made = (
            fill(options.folder)
            if options.child == "fill"
            else measure(options.child, options.folder)
        )
        print(json.dumps(made))
        return
    print(
        f"{platform.machine()} {platform.system()}, one thread, Python {platform.python_version()}"
    )
    for case in options.cases:
        with tempfile.TemporaryDirectory() as name:
            report(case, Path(name), options.steps, options.peers)


if __name__ == "__main__":
    main()
