"""One step of distillation: tokens a second and memory, beside a dense loop, TRL, distill-anything.

    python bench/distill.py [--steps 5] [--cases 49k-256 49k-1024 262k-256] [--peers PYTHON]
                            [--dtypes float32 bfloat16]
    python bench/distill.py --profile [--steps 5] [--cases ...] [--dtypes ...]

The first prints one table; the second, where the time of our own steps goes (`torch.profiler`).

TRL 1.16 and distill-anything 0.5 are asked of the interpreter that `--peers` names, so that no
environment has to suit all of them:

    python -m venv peers && peers/bin/pip install trl==1.16.0 distill-anything==0.5.0
    python bench/distill.py --peers peers/bin/python

and skipped with a line where they are not there. Every one runs in a process of its own on one
thread, from the same weights, on the same batches, with AdamW on weights in fp32; the loss is the
mean forward KL at temperature 1 over all positions but the last of a row. In bfloat16 the teacher's
weights are, and everybody's step is taken under autocast. What is timed is whole steps:
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
from itertools import product
from pathlib import Path
from types import SimpleNamespace
from typing import Any

CASES = {"49k-256": (4, 256), "49k-1024": (4, 1024), "262k-256": (4, 256), "tiny": (2, 64)}
"""Rows and tokens of a batch. The last is to see in a minute that everything runs."""
VOCABULARIES = {"262k-256": 262_144, "tiny": 4096}
"""Of random models; the other cases are SmolLM2's."""
PEERS = ("trl-gkd", "trl-distillation", "distill-anything")
NAMES = ("trunk", "dense", *PEERS, "ours", "ours-cached")
K = 64
NARROW = "ULLAGE_BENCH_DTYPE"
"""How a process of its own is told the precision."""

Step = Callable[[Any], Any]
"""From the ids of a batch, (B, T), to a loss with a gradient."""
Row = tuple[str, str, dict[str, float], dict[str, float]]
"""Case, who, what was measured of it, and the best of the others."""


def prepare(folder: Path, case: str, steps: int) -> None:
    """Put teacher, student and batches where every process finds them."""
    import torch

    rows, length = CASES[case]
    if case in VOCABULARIES:
        vocabulary = VOCABULARIES[case]
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
    """The student in fp32, which autocast narrows; the teacher as narrow as it is asked to be."""
    import torch
    from transformers import AutoModelForCausalLM

    device = "cuda" if torch.cuda.is_available() else "cpu"
    dtype = torch.bfloat16 if name == "teacher" and is_narrow() else torch.float32
    return _any(AutoModelForCausalLM).from_pretrained(folder / name, dtype=dtype).to(device)


def is_narrow() -> bool:
    """Whether this process computes in bfloat16."""
    return os.environ.get(NARROW) == "bfloat16"


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


class Ours:
    """A step of `DistillationModule`."""

    def __init__(self, student: Any, teacher: Any) -> None:
        from ullage.distill.divergences import forward_kl
        from ullage.distill.module import DistillationModule
        from ullage.distill.objectives import Objective, divergence_term

        self.teacher = teacher
        objective = Objective((divergence_term("kl", forward_kl),))
        self._module = DistillationModule(student, objective, teacher)

    def __call__(self, ids: Any) -> Any:
        """Its loss."""
        from ullage.distill.objectives import IGNORED

        self._module.suit_attention(*ids.shape)
        labels = ids.roll(-1, dims=1)
        labels[:, -1] = IGNORED
        beside = self.teacher.beside(examples(ids))
        return self._module(input_ids=ids, labels=labels, **beside)["loss"]


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
    from ullage.distill.stopping import Stop

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


def begin(name: str, folder: Path) -> tuple[Any, Any, Any, Any]:
    """Student, optimiser with its state in place, step, and batches."""
    import torch

    student = load(folder, "student").train()
    if name.startswith("ours"):
        teacher = cached(folder, student) if name == "ours-cached" else online(folder)
        step: Any = Ours(student, teacher)
    else:
        makers = (trunk, dense, trl_gkd, trl_distillation, distill_anything)
        step = makers[NAMES.index(name)](student, load(folder, "teacher").eval())
    optimiser = torch.optim.AdamW(student.parameters(), lr=0.0)
    for weight in student.parameters():
        weight.grad = torch.zeros_like(weight)
    optimiser.step()
    optimiser.param_groups[0]["lr"] = 1e-4
    return student, optimiser, step, torch.load(folder / "batches.pt").to(student.device)


def take(step: Step, optimiser: Any, ids: Any) -> float:
    """One whole step; returns its loss."""
    import torch
    from torch.profiler import record_function

    optimiser.zero_grad(set_to_none=False)
    with torch.autocast(ids.device.type, dtype=torch.bfloat16, enabled=is_narrow()):
        loss = step(ids)
    with record_function("backward"):
        loss.backward()
    with record_function("optimiser"):
        optimiser.step()
    return float(loss.detach())


def measure(name: str, folder: Path) -> dict[str, float]:
    """Tokens a second, peak memory in MiB and the first loss, in this process."""
    _, optimiser, step, batches = begin(name, folder)
    before, seconds, losses = resident(reset=True), [], []
    for ids in batches:
        began = time.perf_counter()
        losses.append(take(step, optimiser, ids))
        seconds.append(time.perf_counter() - began)
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


def child(python: str, name: str, folder: Path, *more: str) -> dict[str, float] | str:
    """What `answer` says in a process of its own; a line says why it says nothing."""
    path = os.pathsep.join(part for part in sys.path if part)
    found = subprocess.run(
        [python, __file__, "--child", name, "--folder", str(folder), *more],
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
    result: dict[str, float] | str = json.loads(found.stdout.splitlines()[-1])
    return result


def report(case: str, folder: Path, steps: int, peers: str) -> list[Row]:
    """Measure one case, and say on the way how far it is."""
    prepare(folder, case, steps)
    rows, length = CASES[case]
    case = f"{case} {os.environ[NARROW]}"
    say(f"{case}: {rows} x {length} tokens, {steps} steps")
    filled = child(sys.executable, "fill", folder)
    if isinstance(filled, dict):
        say(f"cache: {filled['tokens']:,.0f} tokens/s to fill, {filled['bytes']:.1f} B/token")
    found: dict[str, dict[str, float]] = {}
    for name in NAMES:
        one = child(peers if name in PEERS else sys.executable, name, folder)
        if isinstance(one, str):
            say(f"{name}: skipped ({one}); the head of this file says how to install it")
            continue
        found[name] = one
        one["above"] = one["memory"] - found["trunk"]["memory"]
        say(f"{name}: {one['tokens']:,.0f} tokens/s, {one['memory']:,.0f} MiB")
    others = [one for name, one in found.items() if name in ("dense", *PEERS)]
    best = {
        "tokens": max(one["tokens"] for one in others),
        "memory": min(one["memory"] for one in others),
        "above": min(one["above"] for one in others),
    }
    return [(case, name, one, best) for name, one in found.items()]


def table(rows: list[Row]) -> str:
    """All that was measured; ratios are to the best of dense and peers, each by itself."""
    lines = [
        "| case | | tokens/s | of the fastest other | MiB | of the least other | loss's MiB | "
        "of the least other | first loss |",
        "|---|---|---|---|---|---|---|---|---|",
    ]
    for case, name, one, best in rows:
        cells = [case, name, f"{one['tokens']:,.0f}", f"{one['tokens'] / best['tokens']:.2f}"]
        cells += [f"{one['memory']:,.0f}", f"{one['memory'] / best['memory']:.2f}"]
        # The trunk has a teacher's in it, which a cached step does without.
        loss = name not in ("trunk", "ours-cached")
        cells += (
            [f"{one['above']:,.0f}", f"{one['above'] / best['above']:.2f}"] if loss else ["", ""]
        )
        cells += [f"{one['loss']:.4f}" if name != "trunk" else ""]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def say(line: str) -> None:
    """How far it is, beside the table."""
    print(line, file=sys.stderr, flush=True)


def profile(name: str, folder: Path) -> str:
    """Where the time of our step goes, by part and by operation, in this process."""
    import torch
    from torch.profiler import ProfilerActivity, record_function
    from torch.profiler import profile as profiler

    student, optimiser, step, batches = begin(name, folder)
    asked = type(step.teacher)
    asked.says = record_function("teacher")(asked.says)
    base = student.base_model
    base.forward = record_function("student's trunk")(base.forward)
    activities = [ProfilerActivity.CPU]
    if torch.cuda.is_available():
        activities.append(ProfilerActivity.CUDA)
    take(step, optimiser, batches[0])
    with profiler(activities=activities) as seen:
        for ids in batches[1:]:
            with record_function("step"):
                take(step, optimiser, ids)
    return broken_down(name, seen.key_averages(), len(batches) - 1)


def broken_down(name: str, events: Any, steps: int) -> str:
    """What a profiler saw, as shares of a step."""
    import torch

    clock = "device_time_total" if torch.cuda.is_available() else "cpu_time_total"
    spent = {event.key: getattr(event, clock) / steps / 1000 for event in events}
    whole = spent["step"]
    parts = {
        "teacher: its trunk, or what the cache says": spent["teacher"],
        "student's trunk, forward": spent["student's trunk"],
        "heads and loss, with their gradient": spent["_ChunkedHead"],
        "backward through the trunk": spent["backward"],
        "optimiser": spent["optimiser"],
    }
    parts["rest"] = whole - sum(parts.values())
    own = f"self_{clock}"
    named = {"step", "teacher", "student's trunk", "backward", "optimiser"}
    dearest = sorted(
        (event for event in events if event.key not in named), key=lambda one: -getattr(one, own)
    )[:8]
    lines = [f"{name}: {whole:,.0f} ms a step", "| part | ms | share |", "|---|---|---|"]
    lines += [f"| {part} | {ms:,.1f} | {ms / whole:.1%} |" for part, ms in parts.items()]
    lines += ["", "| operation | ms | share | calls |", "|---|---|---|---|"]
    for event in dearest:
        ms = getattr(event, own) / steps / 1000
        lines.append(f"| {event.key} | {ms:,.1f} | {ms / whole:.1%} | {event.count // steps} |")
    return "\n".join(lines)


def _any(value: Any) -> Any:
    """What transformers leaves untyped."""
    return value


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--steps", type=int, default=5)
    parser.add_argument("--cases", nargs="+", choices=CASES, default=list(CASES)[:-1])
    parser.add_argument(
        "--dtypes",
        nargs="+",
        choices=("float32", "bfloat16"),
        default=("float32", "bfloat16"),
    )
    parser.add_argument("--peers", default=sys.executable, help="an interpreter that has them")
    parser.add_argument(
        "--profile", action="store_true", help="say instead where the time of our steps goes"
    )
    parser.add_argument("--child", choices=(*NAMES, "fill"), help=argparse.SUPPRESS)
    parser.add_argument("--folder", type=Path, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        answer(options.child, options.folder, profiled=options.profile)
        return
    say(f"{platform.machine()} {platform.system()}, one thread, Python {platform.python_version()}")
    rows: list[Row] = []
    for case, os.environ[NARROW] in product(options.cases, options.dtypes):
        with tempfile.TemporaryDirectory() as name:
            if options.profile:
                print(profiles(case, Path(name), options.steps))
            else:
                rows += report(case, Path(name), options.steps, options.peers)
    if rows:
        print(table(rows))


def answer(name: str, folder: Path, *, profiled: bool) -> None:
    """What a process of its own is for."""
    import torch

    torch.set_num_threads(1)
    if profiled and name != "fill":
        print(json.dumps(profile(name, folder)))
    else:
        print(json.dumps(fill(folder) if name == "fill" else measure(name, folder)))


def profiles(case: str, folder: Path, steps: int) -> str:
    """Where the time of our steps goes, online and from a cache."""
    prepare(folder, case, steps)
    filled = child(sys.executable, "fill", folder)
    assert isinstance(filled, dict), filled
    found = [child(sys.executable, name, folder, "--profile") for name in ("ours", "ours-cached")]
    return "\n\n".join([f"## {case} {os.environ[NARROW]}, {steps} steps", *map(str, found)])


if __name__ == "__main__":
    main()
