"""What ``--help`` says beyond the commands' own words: an example of each."""

from __future__ import annotations

from inspect import getdoc

import typer

EXAMPLES = {
    "init": "ullage init --scenario rag-answers",
    "validate": "ullage validate -o arms.student.model=hf:models/other",
    "probes": "ullage probes --json",
    "probe": "ullage probe clarification --arm student --show 5",
    "canaries": "ullage canaries corpus.jsonl planted.jsonl --repeats 1 --repeats 8",
    "compositions": "ullage compositions corpus.jsonl composed.jsonl --lists lists",
    "distances": "ullage distances corpus.jsonl questions.jsonl --to far.jsonl",
    "requests": "ullage requests harmbench.csv xstest.csv --to refusals.jsonl",
    "plan": "ullage plan --pilot 50",
    "distill": "ullage distill --plan",
    "coverage": "ullage coverage --traffic week.jsonl",
    "audit": "ullage audit --profile quick --run first",
    "gate": "ullage gate runs/support-assistant --policy gate.yaml --junit gate.xml",
    "serve": "ullage serve runs --key ada.key --policy gate.yaml",
    "import": "ullage import --teacher logs/teacher --student logs/student --audit",
    "schema": "ullage schema policy",
    "selftest": "ullage selftest --quick --probe agreement",
    "demo": "ullage demo --folder demo",
    "statement export": "ullage statement export csv runs/support-assistant -o findings.csv",
    "statement log": "ullage statement log runs/support-assistant --to mlflow",
    "statement show": "ullage statement show runs/support-assistant --as md",
    "statement diff": "ullage statement diff runs/full runs/scrubbed",
    "statement chain": "ullage statement chain runs/student runs/pruned",
    "statement frontier": "ullage statement frontier runs/* --html frontier.html",
    "statement keygen": "ullage statement keygen ada.key",
    "statement sign": "ullage statement sign runs/support-assistant --key ci.key",
    "statement verify": "ullage statement verify runs/support-assistant --key ci.key.pub",
    "statement accept": 'ullage statement accept clarification.contrast runs/first --by "Ada '
    'Lovelace" --role "product owner" --because "The router asks." --until 2027-01-31 '
    "--key ada.key",
    "statement withdraw": "ullage statement withdraw clarification.contrast runs/first "
    '--by "Ada Lovelace" --because "Complaints doubled." --key ada.key',
    "statement list": "ullage statement list runs/support-assistant --policy gate.yaml",
    "cache stats": "ullage cache stats caches/1f0c",
    "cache verify": "ullage cache verify caches/1f0c",
    "cache prune": "ullage cache prune caches --dry-run",
    "cache list": "ullage cache list organisms",
    "cache clear": "ullage cache clear --older-than 30d --dry-run",
    "lab evaluate": "ullage lab evaluate models/student",
    "lab items": "ullage lab items items",
    "lab corpus": "ullage lab corpus scrubbed.jsonl --without clarify",
    "lab organisms": "ullage lab organisms --json",
    "lab organism": "ullage lab organism no-clarifying --folder no-clarifying",
    "trial report": "ullage trial report trial.yaml",
}
"""By the words after ``ullage``. A test parses each."""


def finish_help(app: typer.Typer, above: tuple[str, ...] = ()) -> None:
    """End every command's help with its example, and list commands by whole sentences."""
    for command in app.registered_commands:
        name = command.name or str(getattr(command.callback, "__name__", ""))
        command.short_help = (getdoc(command.callback) or "").partition("\n")[0]
        if example := EXAMPLES.get(" ".join((*above, name))):
            command.epilog = f"Example: {example}"
    for group in app.registered_groups:
        if group.typer_instance is not None and group.name is not None:
            group.short_help = group.typer_instance.info.help
            finish_help(group.typer_instance, (*above, group.name))
