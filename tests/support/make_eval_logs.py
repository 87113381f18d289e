"""Make the logs in ``tests/imports/logs``: real runs of lm-eval and Inspect with SmolLM2-135M.

Needs ``lm_eval==0.4.13`` and ``inspect_ai==0.3.285`` beside torch and transformers, which the tests
do not::

    python tests/support/make_eval_logs.py MODEL-FOLDER WORK-FOLDER

Teacher is the model as it is, student the model without four of its thirty layers, base without
ten. Everything runs offline, on the questions that this file writes.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

HERE = Path(__file__).resolve().parent
TASKS = HERE.parent / "imports" / "tasks"
LOGS = HERE.parent / "imports" / "logs"

WITHOUT = {"teacher": (), "student": (12, 15, 18, 21), "base": tuple(range(10, 20))}
"""Layers that each arm lacks."""

CAPITALS = (
    "France:Paris Italy:Rome Spain:Madrid Germany:Berlin Austria:Vienna Poland:Warsaw "
    "Portugal:Lisbon Greece:Athens Norway:Oslo Japan:Tokyo"
)
LISTS = {
    "opposites": "hot:cold big:small old:young fast:slow up:down early:late wet:dry rich:poor "
    "open:closed happy:sad",
    "plurals": "mouse:mice child:children foot:feet tooth:teeth man:men goose:geese leaf:leaves "
    "city:cities box:boxes wolf:wolves",
    "past": "go:went see:saw eat:ate run:ran take:took give:gave buy:bought think:thought "
    "write:wrote swim:swam",
    "young": "dog:puppy cat:kitten cow:calf sheep:lamb horse:foal pig:piglet hen:chick "
    "goat:kid bear:cub frog:tadpole",
    "colours": "grass:green snow:white coal:black blood:red banana:yellow sky:blue orange:orange "
    "milk:white cherry:red leaf:green",
    "homes": "bird:nest bee:hive spider:web bear:den dog:kennel horse:stable king:palace "
    "rabbit:burrow ant:hill pig:sty",
}
ASKS = {
    "capitals": "The capital of {} is",
    "opposites": "The opposite of '{}' is",
    "plurals": "The plural of '{}' is",
    "past": "The past tense of '{}' is",
    "young": "A young {} is called a",
    "colours": "The colour of {} is",
    "homes": "The home of a {} is called a",
}


def choice_docs(name: str, pairs: str) -> list[dict[str, object]]:
    """Questions with four options, of which the right one stands at another place each time."""
    known = [pair.replace("-", " ").split(":") for pair in pairs.split()]
    docs = []
    for place, (subject, answer) in enumerate(known):
        others = [other for _, other in known if other != answer]
        start = (place * 3) % len(others)
        wrong = list(dict.fromkeys((others + others)[start:]))[:3]
        gold = place % 4
        docs.append(
            {
                "id": f"{name}-{place}",
                "question": ASKS[name].format(subject),
                "choices": [*wrong[:gold], answer, *wrong[gold:]],
                "gold": gold,
                "topic": name,
            }
        )
    return docs


def sum_docs() -> list[dict[str, object]]:
    """Sums of one-digit numbers, told in four ways."""
    ways = ("What is {} + {}?", "Add {} and {}.", "{} plus {} is?", "Compute {} + {}.")
    return [
        {
            "id": f"sum-{n}",
            "question": ways[n % 4].format(1 + n % 7, 1 + n * 5 % 9),
            "answer": str(2 + n % 7 + n * 5 % 9),
            "way": f"way-{n % 4}",
        }
        for n in range(24)
    ]


def text_docs() -> Sequence[Mapping[str, object]]:
    """Sentences whose likelihood is asked."""
    first = ("The dog sleeps by the fire", "Rain falls on the old roof", "She reads a letter aloud")
    then = ("and nobody speaks.", "while the kettle boils.", "until the clock strikes six.")
    where = ("In winter", "At night", "By the sea")
    return [
        {"text": f"{place}, {a[0].lower()}{a[1:]} {b}"}
        for place in where
        for a in first
        for b in then
    ][:12]


def write_docs() -> None:
    """The questions, as the JSONL files that the tasks of both tools read."""
    sets: dict[str, Sequence[Mapping[str, object]]]
    sets = {name: choice_docs(name, pairs)[:6] for name, pairs in LISTS.items()}
    sets |= {"capitals": choice_docs("capitals", CAPITALS), "sums": sum_docs()}
    sets["sentences"] = text_docs()
    for name, docs in sets.items():
        text = "".join(json.dumps(doc) + "\n" for doc in docs)
        (TASKS / f"{name}.jsonl").write_text(text, "utf-8")


def make_models(source: Path, work: Path) -> None:
    """The three arms, each as a folder."""
    for arm, without in WITHOUT.items():
        made = work / f"smollm2-{arm}"
        if made.exists():
            continue
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
        kept = [layer for n, layer in enumerate(model.model.layers) if n not in without]
        for place, layer in enumerate(kept):
            layer.self_attn.layer_idx = place
        model.model.layers = torch.nn.ModuleList(kept)
        model.config.num_hidden_layers = len(kept)
        if hasattr(model.config, "layer_types") and model.config.layer_types:
            model.config.layer_types = model.config.layer_types[: len(kept)]
        model.save_pretrained(made)
        AutoTokenizer.from_pretrained(source).save_pretrained(made)


def run(command: list[str], work: Path) -> None:
    """One of the tools, offline, in the folder of tasks: its logs keep relative paths."""
    offline = {"HF_HUB_OFFLINE": "1", "HF_DATASETS_OFFLINE": "1", "INSPECT_DISPLAY": "plain"}
    subprocess.run(command, check=True, cwd=work / "tasks", env=os.environ | offline)


def lm_eval(arm: str, work: Path) -> None:
    """All tasks of the folder in one run, as ``--log_samples`` leaves it."""
    command = [sys.executable, "-m", "lm_eval", "run", "--model", "hf"]
    command += ["--model_args", f"pretrained=../smollm2-{arm},dtype=float32"]
    command += ["--tasks", "small_words,small_sums,small_sentences", "--include_path", "."]
    command += ["--device", "cpu", "--batch_size", "16", "--log_samples"]
    run([*command, "--output_path", f"../lm-eval/{arm}"], work)


def inspect(arm: str, work: Path) -> None:
    """Every task of `inspect_tasks.py`, each with a log of its own; one of them in JSON."""
    for form, task in (
        ("eval", "sums"),
        ("eval", "capitals"),
        ("eval", "words"),
        ("json", "homes"),
    ):
        command = [str(Path(sys.executable).with_name("inspect")), "eval"]
        command += [f"inspect_tasks.py@{task}", "--log-format", form, "--seed", "3"]
        command += ["--model", f"hf/smollm2-{arm}", "-M", f"model_path=../smollm2-{arm}"]
        command += ["-M", "device=cpu", "--log-dir", f"../inspect/{arm}", "--max-connections", "16"]
        run([*command, "--temperature", "0.7", "--max-tokens", "12"], work)


def keep(work: Path) -> None:
    """Copy the logs, without what tells of the machine that made them."""
    shutil.rmtree(LOGS, ignore_errors=True)
    for path in sorted((work / "lm-eval").rglob("*.json*")) + sorted((work / "inspect").rglob("*")):
        if path.is_file():
            tool, arm = path.relative_to(work).parts[:2]
            to = LOGS / tool / arm / path.name
            to.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, to)
            if path.name.startswith("results_"):
                to.write_text(scrubbed(json.loads(path.read_text("utf-8"))), "utf-8")


def scrubbed(results: dict[str, object]) -> str:
    """lm-eval's results without the environment it prints, and with no absolute path."""
    del results["pretty_env_info"]
    return re.sub(r'"config_source": "[^"]*/', '"config_source": "', json.dumps(results))


def main(source: Path, work: Path) -> None:
    """Questions, models, runs, copies."""
    write_docs()
    shutil.copytree(TASKS, work / "tasks", dirs_exist_ok=True)
    make_models(source, work)
    for arm in WITHOUT:
        lm_eval(arm, work)
        if arm != "base":
            inspect(arm, work)
    keep(work)


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), Path(sys.argv[2]).resolve())
