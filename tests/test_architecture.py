"""Imports point one way (DESIGN §7), and heavy libraries stay where they are needed."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parents[1] / "src" / "ullage"

ENGINE = "engine"
"""The top-level modules (plan, judge, audit, …): the steps of a run."""

_ROOMS = {"models", "collect", "probes", "statement", "distill", "config", "stats"}
_BASE = {"errors", "files"}
MAY_IMPORT = {
    "errors": set[str](),
    "files": {"errors"},
    "stats": set[str](),
    "config": {"errors"},
    "models": {"config"} | _BASE,
    # Collecting steps probes' conversations: it knows their protocol, and no probe.
    "collect": {"models", "config", "probes.protocol"} | _BASE,
    "probes": {"models", "config", "stats"} | _BASE,
    "statement": {"config", "stats"} | _BASE,
    "distill": {"models", "collect", "probes", "config"} | _BASE,
    # It writes configurations, and the items and recordings that they name.
    "imports": {"probes", "config", "stats", "statement.bounds", "statement.sanitise"} | _BASE,
    ENGINE: _ROOMS | _BASE | {"lab"},
    "lab": (_ROOMS - {"statement"}) | _BASE,
    # It tries the engine on students of the laboratory.
    "selftest": _ROOMS | _BASE | {ENGINE, "lab"},
    # People talk to the arms; nothing of the audit but its configuration is known to it.
    "trial": {"models", "config", "stats", "collect.lock", "probes.jsonl"}
    | {"statement.sanitise", "statement.store", "statement.words", "cli_common"}
    | _BASE,
    # Of distillation it reads what a training says of itself.
    "serve": (_ROOMS - {"distill", "stats"}) | _BASE | {ENGINE, "trial", "distill.history"},
    "__main__": {"cli"},
    "cli": _ROOMS | _BASE | {ENGINE, "lab", "selftest", "imports", "serve", "trial"},
}

HEAVY = {"torch", "transformers", "accelerate", "safetensors", "gguf"}
MAY_BE_HEAVY = ("models.hf", "distill", "lab")


def room_of(module: str) -> str | None:
    """The part of the house a dotted module lives in; None for the package itself."""
    parts = module.split(".")
    if len(parts) < 2:
        return None
    return parts[1] if parts[1] in MAY_IMPORT else ENGINE


def imports(tree: ast.Module, module: str, is_package: bool) -> Iterator[tuple[int, str]]:
    """Every (line, dotted module) imported anywhere in a file, in functions too."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = node.module or ""
            if node.level:
                above = module.split(".")[: None if is_package else -1]
                above = above[: len(above) - node.level + 1]
                base = ".".join([*above, *([base] if base else [])])
            # `from ullage import stats` imports a room, `from ullage.probes import protocol` a
            # module of one.
            for alias in node.names:
                ours = base.partition(".")[0] == "ullage" and not alias.name.startswith("__")
                yield node.lineno, f"{base}.{alias.name}" if ours else base
        elif (
            isinstance(node, ast.Call)
            and ast.unparse(node.func).split(".")[-1] in ("import_module", "__import__")
            and node.args
            and isinstance(node.args[0], ast.Constant)
        ):
            yield node.lineno, str(node.args[0].value)


def is_allowed(module: str, allowed: set[str]) -> bool:
    """Whether a module of ours is in one of the rooms (or, with a dot, is one of the modules)."""
    room = room_of(module)
    inside = module.removeprefix("ullage.")
    return room is None or room in allowed or any(inside.startswith(f"{one}.") for one in allowed)


def violations(package: Path) -> list[str]:
    """What goes against the arrows, as ``file:line: …``."""
    found: list[str] = []
    for path in sorted(package.rglob("*.py")):
        relative = path.relative_to(package)
        parts = ["ullage", *relative.with_suffix("").parts]
        is_package = parts[-1] == "__init__"
        module = ".".join(parts[:-1] if is_package else parts)
        room = room_of(module)
        allowed = MAY_IMPORT[room] | {room} if room else set()
        tree = ast.parse(path.read_text(encoding="utf-8"), filename=str(path))
        for line, name in sorted(set(imports(tree, module, is_package))):
            top = name.partition(".")[0]
            if top == "ullage" and not is_allowed(name, allowed):
                found.append(f"{relative}:{line}: {room or 'ullage'} imports {name}")
            inside = module.removeprefix("ullage.")
            if top in HEAVY and not inside.startswith(MAY_BE_HEAVY):
                found.append(f"{relative}:{line}: {inside} imports {top}")
    return found


def test_imports_go_one_way() -> None:
    assert violations(PACKAGE) == []


def test_every_room_is_known() -> None:
    folders = {path.name for path in PACKAGE.iterdir() if (path / "__init__.py").is_file()}
    assert folders <= set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("file", "code", "expected"),
    [
        ("stats/a.py", "import ullage.errors", "stats/a.py:1: stats imports ullage.errors"),
        ("config/a.py", "from ullage.stats import x", "config imports ullage.stats"),
        ("config/a.py", "from ullage import cli", "config imports ullage.cli"),
        ("models/hf/a.py", "from ...probes import x", "imports ullage.probes"),
        ("models/hf/__init__.py", "from .. import x\nfrom ...cli import y", ":2: models imports"),
        ("statement/a.py", "def f():\n    import ullage.models.types", "a.py:2: statement"),
        ("audit.py", "from ullage.cli import main", "audit.py:1: engine imports ullage.cli"),
        ("collect/a.py", "from ullage.probes import registry", "imports ullage.probes.registry"),
        ("collect/a.py", "from ullage.judge import x", "collect imports ullage.judge"),
        ("__init__.py", "from ullage.config import load", "__init__.py:1: ullage imports"),
        ("probes/a.py", "def f():\n    import torch.nn", "probes/a.py:2: probes.a imports torch"),
        ("audit.py", "from transformers import X", "audit.py:1: audit imports transformers"),
        ("models/a.py", "import importlib as i\ni.import_module('gguf')", ":2: models.a"),
    ],
)  # fmt: skip
def test_a_planted_violation_is_found(tmp_path: Path, file: str, code: str, expected: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    found = violations(tmp_path)
    assert len(found) == 1
    assert expected in found[0]


@pytest.mark.parametrize(
    ("file", "code"),
    [
        ("collect/a.py", "from ullage.probes.protocol import Item\nfrom ullage import __version__"),
        ("models/hf/a.py", "import torch\nfrom ullage.config import load\nfrom . import b"),
        ("distill/a.py", "from safetensors.torch import save\nfrom ullage.collect import x"),
        ("cli.py", "from ullage.audit import run\nimport ullage.stats, ullage.distill"),
        ("judge.py", "from ullage import errors\nfrom ullage.stats import x\nimport numpy"),
    ],
)
def test_what_is_allowed_passes(tmp_path: Path, file: str, code: str) -> None:
    path = tmp_path / file
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(code)
    assert violations(tmp_path) == []


@pytest.mark.parametrize("module", ["ullage", "ullage.cli"])
def test_starting_loads_nothing_heavy(module: str) -> None:
    code = f"import sys, {module}; print(*{{name.partition('.')[0] for name in sys.modules}})"
    result = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True
    )
    loaded = set(result.stdout.split())
    assert "ullage" in loaded
    assert loaded.isdisjoint(HEAVY | {"scipy", "pyarrow"})
