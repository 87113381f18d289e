"""``python -m ullage.lab.training teacher|base --folder DIR``."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

import torch

from ullage.errors import UllageError
from ullage.lab.training.export import export
from ullage.lab.training.plans import PLANS
from ullage.lab.training.trainer import train


def main() -> int:
    """Train, or go on training, and export at the end."""
    parser = argparse.ArgumentParser(prog="python -m ullage.lab.training")
    parser.add_argument("plan", choices=sorted(PLANS))
    parser.add_argument("--folder", type=Path, required=True, help="of checkpoint and log")
    parser.add_argument("--out", type=Path, help="folder the finished model is written to")
    parser.add_argument("--date", default="", help="written into the card")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--tokens", type=int, help="of the last stage")
    parser.add_argument("--minutes", type=float, help="end, decayed, after about so long")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--float32", action="store_true", help="no bfloat16 autocast")
    chosen = parser.parse_args()
    torch.set_num_threads(chosen.threads)
    given = {name: getattr(chosen, name) for name in ("seed", "tokens")}
    plan = PLANS[chosen.plan](**{name: value for name, value in given.items() if value is not None})
    try:
        train(
            plan,
            chosen.folder,
            autocast=not chosen.float32,
            minutes=chosen.minutes,
            report=_print,
        )
        if chosen.out is not None:
            export(plan, chosen.folder, chosen.out, date=chosen.date)
    except UllageError as error:
        sys.stderr.write(f"{error}\n")
        return error.exit_code
    return 0


def _print(line: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(line) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    raise SystemExit(main())
