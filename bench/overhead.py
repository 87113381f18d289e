"""What the engine itself costs: items a second over recorded replies, and memory against items.

Each figure is taken in a process of its own, pinned to one core. The peer is Inspect with its mock
model over the same questions in the same run; it answers one arm, we judge two, so an "item" here
is one scored reply.

    python bench/overhead.py [--items 20000] [--quick]
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import resource
import subprocess
import sys
import tempfile
import time
from pathlib import Path

CONFIG = """
name: overhead
scenario: scenario.yaml
arms:
  teacher: {model: "recorded:teacher.jsonl"}
  student: {model: "recorded:student.jsonl"}
  teacher_again: {enabled: false}
tasks:
  - {name: sums, file: items.jsonl, rule: {kind: exact}}
planning: {items: ITEMS, max_items: ITEMS}
"""
SCENARIO = """
name: overhead
title: Overhead
use: Measuring what the engine costs.
targets:
  - probe: sums
    metric: score
    margin: 0.05
    severity: must
    reason: There is nothing here to lose but time.
"""


def write_inputs(folder: Path, items: int) -> None:
    """Questions and two recorded arms, the student wrong on every eighth."""
    with (
        (folder / "items.jsonl").open("w") as questions,
        (folder / "teacher.jsonl").open("w") as teacher,
        (folder / "student.jsonl").open("w") as student,
    ):
        for number in range(items):
            left, right = number % 997, number // 997
            messages = [{"role": "user", "content": f"How much is {left} plus {right}?"}]
            truth = str(left + right)
            row = {"id": f"q{number}", "messages": messages, "reference": truth}
            questions.write(json.dumps(row) + "\n")
            teacher.write(json.dumps({"messages": messages, "text": truth}) + "\n")
            wrong = truth if number % 8 else truth + "1"
            student.write(json.dumps({"messages": messages, "text": wrong}) + "\n")
    (folder / "ullage.yaml").write_text(CONFIG.replace("ITEMS", str(items)))
    (folder / "scenario.yaml").write_text(SCENARIO)


def ours(items: int) -> dict[str, float]:
    """A whole audit, from questions to statement, in this process."""
    import asyncio

    from ullage.audit import run_audit, set_up
    from ullage.config import load

    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        write_inputs(folder, items)
        setup = set_up(load(folder / "ullage.yaml"))
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        statement = asyncio.run(run_audit(setup))
        seconds = time.perf_counter() - start
        table = (setup.folder.path / "scores.parquet").stat().st_size
    loss = statement.findings[0].loss
    if loss is None or abs(loss.estimate - 1 / 8) > 0.01:
        raise SystemExit(f"the audit is wrong: {statement.findings[0].why}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {
        "seconds": seconds,
        "replies": 2 * items,
        "grown_kib": peak - before,
        "table_kib": table / 1024,
    }


def inspect(items: int) -> dict[str, float]:
    """The peer: the same questions through Inspect's mock model and exact match."""
    from inspect_ai import Task, eval  # noqa: A004
    from inspect_ai.dataset import MemoryDataset, Sample
    from inspect_ai.model import ModelOutput, ModelUsage, get_model
    from inspect_ai.scorer import match
    from inspect_ai.solver import generate

    samples, outputs = [], []
    for number in range(items):
        left, right = number % 997, number // 997
        question = f"How much is {left} plus {right}?"
        samples.append(Sample(input=question, target=str(left + right), id=number + 1))
        output = ModelOutput.from_content("mockllm/model", str(left + right))
        # Without a usage the mock model counts tokens with a tokenizer from the network.
        output.usage = ModelUsage(input_tokens=9, output_tokens=1, total_tokens=10)
        outputs.append(output)
    task = Task(dataset=MemoryDataset(samples), solver=generate(), scorer=match())
    with tempfile.TemporaryDirectory() as folder:
        model = get_model("mockllm/model", custom_outputs=outputs)
        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        start = time.perf_counter()
        logs = eval(task, model=model, log_dir=folder, display="none")
        seconds = time.perf_counter() - start
    if logs[0].status != "success":
        raise SystemExit(f"the peer failed: {str(logs[0].error)[:300]}")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return {"seconds": seconds, "replies": items, "grown_kib": peak - before, "table_kib": 0}


def alone(what: str, items: int) -> dict[str, float]:
    """One measurement in a process of its own on one core."""
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, __file__, "--measure", what, "--items", str(items)],
        capture_output=True,
        text=True,
        env=environment,
        check=False,
    )
    if done.returncode:
        raise SystemExit(f"{what}: {done.stderr[-2000:]}")
    result: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=20_000)
    parser.add_argument("--quick", action="store_true", help="fewer items; no memory growth")
    parser.add_argument("--measure", choices=["ours", "inspect"])
    options = parser.parse_args()
    if options.measure:
        if hasattr(os, "sched_setaffinity"):
            os.sched_setaffinity(0, {min(os.sched_getaffinity(0))})
        measured = {"ours": ours, "inspect": inspect}[options.measure](options.items)
        print(json.dumps(measured))
        return
    items = 2_000 if options.quick else options.items
    print(f"{platform.machine()} {platform.system()}, one core, Python {platform.python_version()}")
    mine, peer = alone("ours", items), alone("inspect", min(items, 2_000))
    rate, peer_rate = (m["replies"] / m["seconds"] for m in (mine, peer))
    print(f"ullage   {rate:9,.0f} scored replies/s  ({items:,} items, two arms)")
    print(f"inspect  {peer_rate:9,.0f} scored replies/s  ({peer['replies']:,.0f} items, one arm)")
    print(f"ratio    {rate / peer_rate:9.1f}")
    print(f"both arms of an item: {rate / 2:,.0f} items/s")
    if not options.quick:
        print("\n  items   grown MiB   bytes/item   score table bytes/item")
        sizes = [items // 4, items, items * 4]
        for size in sizes:
            m = alone("ours", size)
            grown = m["grown_kib"] * 1024
            print(
                f"{size:7,}   {grown / 2**20:9.1f}   {grown / size:10.0f}   "
                f"{m['table_kib'] * 1024 / size:10.1f}"
            )
    if rate / 2 < 2_000:
        raise SystemExit("under 2,000 items a second")


if __name__ == "__main__":
    main()
