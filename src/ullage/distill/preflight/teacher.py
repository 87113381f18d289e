"""What only the teacher's weights can say: does it find the corpus likely, and repeat itself."""

# ruff: noqa: N803, N806 - tensors carry their shape as a suffix

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch

from ullage.distill.module import trunk
from ullage.distill.preflight.findings import Checked, Finding, warning
from ullage.distill.preflight.sides import Side
from ullage.distill.rows import Row
from ullage.models.hf.prompt import Prompter, PromptError

MOST_ANSWERS = 8
"""Answers weighed: their mean is compared within rows, where templates differ by far more than
chance."""

_CLEARLY = 2.0
"""Standard errors by which one rendering must be likelier than another to be worth a warning."""


def check_likelihood(
    model: Any,
    readings: Mapping[str, Side],
    rows: Sequence[Row],
    max_length: int,
    tell: Callable[[int], None] = lambda _: None,
) -> Checked:
    """How likely the teacher finds the references under each reading of the conversations.

    A wrong template shows here: under the one a model was tuned to, its answers are likelier than
    under a plain ``User: ... Assistant:``. Compared are the same answers' tokens alone, without
    what ends a turn, in nats per token of the reading ``used``.

    Args:
        model: the teacher, in eval mode.
        readings: ``used`` (how it is read while training) first, then ``plain``, and ``own`` where
            the configuration replaces the template that the checkpoint brings.
        rows: with references.
        max_length: tokens of one conversation; longer ones are passed over.
        tell: told how many answers are weighed.
    """
    prompters = {name: Prompter(side.tokenizer) for name, side in readings.items()}
    weighed: list[dict[str, tuple[float, int]]] = []
    for row in rows:
        if len(weighed) == MOST_ANSWERS:
            break
        found = {name: _weigh(model, one, row, max_length) for name, one in prompters.items()}
        if all(entry is not None for entry in found.values()):
            weighed.append({name: entry for name, entry in found.items() if entry is not None})
            tell(len(weighed))
    if not weighed:
        return Checked((), {"answers_weighed": 0})
    tokens_N = np.array([one["used"][1] for one in weighed])
    nats_N = {name: np.array([one[name][0] for one in weighed]) for name in readings}
    means = {name: float(nats.sum() / tokens_N.sum()) for name, nats in nats_N.items()}
    guess = math.log(readings["used"].rows)
    facts = {
        "answers_weighed": len(weighed),
        "tokens_weighed": int(tokens_N.sum()),
        **{f"nats_per_token_{name}": round(mean, 4) for name, mean in means.items()},
        "nats_per_token_guessing": round(guess, 4),
    }
    findings = _worse_than_guessing(readings["used"], means["used"], guess)
    findings += [
        _likelier_otherwise(readings["used"], name, means)
        for name in readings
        if name != "used" and _is_likelier(nats_N[name] / tokens_N, nats_N["used"] / tokens_N)
    ]
    return Checked(tuple(findings), facts)


def check_determinism(model: Any, side: Side, rows: Sequence[Row], max_length: int) -> Checked:
    """The same batch twice through the teacher: a resumed run relies on equal answers."""
    ids = [_prompt(Prompter(side.tokenizer), row) for row in rows]
    batch = [one[:max_length] for one in ids if one][:4]
    if not batch:
        return Checked((), {})
    ids_BT = torch.zeros((len(batch), max(map(len, batch))), dtype=torch.long)
    for index, one in enumerate(batch):
        ids_BT[index, : len(one)] = torch.tensor(one)
    with torch.no_grad():
        first, second = (trunk(model, ids_BT.to(model.device)).float() for _ in range(2))
    largest = float((first - second).abs().max())
    if torch.equal(first, second):
        return Checked((), {"repeats_itself": True})
    found = warning(
        "determinism",
        f"{side.key}: the teacher's hidden states of one batch differ by up to {largest:.3g} from "
        "one pass to the next",
        "use deterministic kernels (torch.use_deterministic_algorithms), or do not expect a "
        "resumed run to equal an uninterrupted one",
    )
    return Checked((found,), {"repeats_itself": False})


@torch.no_grad()
def _weigh(model: Any, prompter: Prompter, row: Row, max_length: int) -> tuple[float, int] | None:
    """Nats of a row's reference and its tokens; None where it cannot be weighed."""
    prompt = _prompt(prompter, row)
    if not prompt or row.reference is None:
        return None
    answer = prompter.continuation(row.prompt, row.reference)
    if not answer or len(prompt) + len(answer) > max_length:
        return None
    ids_1T = torch.tensor([[*prompt, *answer]], device=model.device)
    logits_NV = model(input_ids=ids_1T[:, :-1], logits_to_keep=len(answer)).logits[0].float()
    picked_N = logits_NV.log_softmax(-1).gather(1, ids_1T[0, -len(answer) :, None])
    return -float(picked_N.sum()), len(answer)


def _prompt(prompter: Prompter, row: Row) -> list[int]:
    try:
        return prompter.prompt(row.prompt)
    except PromptError:
        return []


def _is_likelier(other_N: np.ndarray[Any, Any], used_N: np.ndarray[Any, Any]) -> bool:
    """Whether other nats are clearly below those used, within rows."""
    gain_N = used_N - other_N
    if len(gain_N) < 2:
        return False
    error = float(gain_N.std(ddof=1)) / math.sqrt(len(gain_N))
    return float(gain_N.mean()) > _CLEARLY * error


def _likelier_otherwise(used: Side, name: str, means: Mapping[str, float]) -> Finding:
    other = {
        "plain": "a plain `User: ... Assistant:` rendering",
        "own": "the template its checkpoint brings",
    }[name]
    return warning(
        "teacher-nll",
        f"{used.key}: the teacher finds the references less likely as they are rendered for it "
        f"({means['used']:.2f} nats per token) than under {other} ({means[name]:.2f})",
        "check its chat template (arms.teacher.hf.chat_template): it was hardly tuned to this one",
    )


def _worse_than_guessing(used: Side, mean: float, guess: float) -> list[Finding]:
    if mean < guess:
        return []
    return [
        warning(
            "teacher-nll",
            f"{used.key}: the references cost the teacher {mean:.2f} nats per token, as much as "
            f"guessing among all tokens ({guess:.2f}) or more",
            "check that weights and tokenizer belong together, and that it can do what the corpus "
            "asks",
        )
    ]
