"""The commented `ullage.yaml` that `ullage init` writes."""

from __future__ import annotations

from ullage.config.models import Scenario
from ullage.config.scenario import names, packaged

SCHEMA_FILE = "ullage.schema.json"
"""What the file's first line tells editors to look for; `ullage init` writes it beside."""

DEFAULT = "support-assistant"

_TEXT = """\
# yaml-language-server: $schema={schema}
# What to compare, on what, and within which limits. Paths are relative to this file.
#
#   ullage validate    checks this file, the models and the data, and asks nothing
#   ullage plan        how many questions, calls and tokens it takes
#   ullage audit       asks, judges, and writes the Distillation Loss Statement
#
# Any value can be set for one run:  ullage audit -o arms.student.model=hf:models/other

name: {name}  # the run folder is runs/{name}

# What the student is for. Its targets, written down before anything is asked, are below.
#
# Packaged scenarios:
{scenarios}
#
# Or the path of your own file: `ullage schema scenario` gives its form.
scenario: {name}

# Every model of the audit, by role:
#   hf:PATH-OR-ID   a folder or .gguf file here, or an id on the hub (needs the `local` extra)
#   openai:NAME     any OpenAI-compatible endpoint
#   recorded:FILE   outputs you already have, as JSONL or Parquet
#   simulated:NAME  a made-up model, to try things out
arms:
  teacher:
    model: hf:models/teacher
  student:
    model: hf:models/student

  # The student before distillation. Without it, "lost" cannot be told from "never had".
  # base:
  #   model: hf:models/base

  # The student after quantisation, pruning or merging: its loss is told apart.
  # derived:
  #   model: hf:models/student  # or a .gguf of it
  #   hf: {{quantise: dynamic-int8}}  # or rounded-int4

  # An endpoint instead. The key is read from the environment and never written anywhere.
  # teacher:
  #   model: openai:my-large-model
  #   openai:
  #     base_url: http://127.0.0.1:8000/v1
  #     api_key_env: MY_API_KEY
  #     logprobs: true
  #   price:  # per million tokens
  #     input_per_million: 3.0
  #     output_per_million: 15.0
  #   terms:  # before `ullage distill` lets an endpoint teach
  #     may_train: true
  #     document: https://provider.example/terms, section 3
  #     read_on: 2026-01-31

# Targets of {name}: a loss below the margin is kept.
#
{targets}
#
# Change one (same probe and metric) or add your own:
# targets:
#   - probe: {probe}
#     metric: {metric}
#     margin: {margin:g}
#     severity: {severity}  # must | should | may_lose
#     reason: Say what breaks, and for whom, if more than this is lost.

# Your own questions, one {{"messages": [...], "reference": "..."}} a line. A target on the task's
# name counts it.
# tasks:
#   - name: my-questions
#     file: questions.jsonl
#     rule:
#       kind: exact  # exact | contains | numeric | regex | choice | f1

# What decides how many questions are asked. `ullage plan --pilot 50` replaces the guess.
planning:
  profile: standard  # quick | standard | thorough: with how much power, and within which limits
  flip_rate: 0.2  # guessed share of items on which teacher and student differ
  # power: 0.8  # chance of showing a target preserved if nothing was lost
  # max_items: 2000  # per probe

# What may be spent. Reaching a limit stops cleanly; nothing answered is asked again.
budget:
  errors: 0.02  # share of a target's items that may fail before it is inconclusive
  # requests: 100000
  # tokens: 20000000
  # money: 25.0

# To make the student as well (`ullage distill`):
# distill:
#   method: logits  # or black-box, for a teacher that only answers; docs/methods/ has them all
#   corpus: prompts.jsonl
#   layers: 10
#   output: models/student

seed: 0
"""


def init_text(scenario: str | None = None) -> str:
    """A commented `ullage.yaml` for a packaged scenario; it loads as it is.

    Raises:
        InputError: if there is no scenario of that name.
    """
    chosen = packaged(scenario or DEFAULT)
    width = max(len(name) for name in names())
    headline = next((t for t in chosen.targets if t.headline), chosen.targets[0])
    return _TEXT.format(
        schema=SCHEMA_FILE,
        name=chosen.name,
        scenarios="\n".join(f"#   {name:<{width}}  {packaged(name).title}" for name in names()),
        targets=_targets(chosen),
        probe=headline.probe,
        metric=headline.metric,
        margin=headline.margin,
        severity=headline.severity,
    )


def _targets(scenario: Scenario) -> str:
    width = max(len(target.id) for target in scenario.targets)
    return "\n".join(
        f"#   {target.id:<{width}}  {target.margin:<5g}  {target.severity}"
        for target in scenario.targets
    )
