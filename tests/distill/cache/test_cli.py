"""`ullage cache`, as a person meets it."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path

import pytest

pytest.importorskip("torch")

from tests.distill.cache import teaching
from ullage.cli import main
from ullage.distill.cache import CacheReader, prune, stats
from ullage.distill.ledger import digest
from ullage.errors import InputError

pytestmark = pytest.mark.local


class Command:
    """`ullage cache ...` in this process."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self._monkeypatch, self._capsys = monkeypatch, capsys

    def __call__(self, *words: object) -> tuple[int, str, str]:
        self._monkeypatch.setattr(sys, "argv", ["ullage", "cache", *map(str, words)])
        with pytest.raises(SystemExit) as left:
            main()
        said = self._capsys.readouterr()
        return int(left.value.code or 0), said.out, said.err


@pytest.fixture
def command(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Command:
    return Command(monkeypatch, capsys)


@pytest.fixture
def caches(tmp_path: Path) -> tuple[Path, Path]:
    """Two caches, of two teachers, in folders named by their identities."""
    one, other = teaching.about(), replace(teaching.about(), teacher="sha256:other")
    for what in (one, other):
        teaching.write(what.folder(tmp_path), what)
    return one.folder(tmp_path), other.folder(tmp_path)


def test_stats_and_verify_say_what_is_there(command: Command, caches: tuple[Path, Path]) -> None:
    found = stats(caches[0])
    code, said, _ = command("stats", caches[0])
    assert code == 0
    for part in (
        found.identity,
        "sha256:teacher",
        "16 likeliest tokens",
        "vocabulary of 300",
        "60 sequences, 1,530 positions",
        f"{found.bytes:,} in {found.shards} shards",
        f"{found.bytes_per_position:.1f} a position",
        "complete",
    ):
        assert part in said
    assert found.reconstruction is not None
    for name in ("tail_mass", "kept", "rebuilt"):
        assert f"mean {found.reconstruction[name]['mean']:.4f}" in said
    code, verified, _ = command("verify", caches[0])
    assert code == 0
    assert verified == said + f"{caches[0]}: whole\n"
    assert sum(path.stat().st_size for path in caches[0].iterdir()) == found.bytes


def test_json_is_for_programs(command: Command, caches: tuple[Path, Path]) -> None:
    _, said, _ = command("stats", caches[0], "--json")
    found = json.loads(said)
    assert found["positions"] == 1530
    assert found["about"]["compressor"] == {"signal": "top", "k": 16, "step": 0.07}
    assert command("verify", caches[0], "--json")[1] == said


def test_nothing_there_is_one_line(command: Command, tmp_path: Path) -> None:
    for verb in ("stats", "verify"):
        code, said, error = command(verb, tmp_path / "nowhere")
        assert (code, said) == (2, "")
        assert error == (
            f"ullage: {tmp_path}/nowhere: no such folder; name the folder of a teacher cache\n"
        )
        code, said, error = command(verb, tmp_path)
        assert (code, said, error.count("\n")) == (2, "", 1)
        assert "holds no teacher cache" in error
    code, _, error = command("prune", tmp_path / "nowhere")
    assert code == 2
    assert "no such folder" in error


def test_a_torn_shard_is_one_line(command: Command, caches: tuple[Path, Path]) -> None:
    shard = sorted(caches[0].glob("shard-*"))[-1]
    whole = shard.read_bytes()
    shard.write_bytes(whole[: len(whole) // 3])
    code, said, error = command("stats", caches[0])
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert str(shard) in error
    assert "damaged" in error


def test_another_format_is_one_line(command: Command, caches: tuple[Path, Path]) -> None:
    path = caches[0] / "manifest.json"
    data = json.loads(path.read_bytes())
    del data["digest"]
    data["format"] = 2
    data["digest"] = digest(data)
    path.write_text(json.dumps(data, indent=2, ensure_ascii=False) + "\n")
    code, said, error = command("verify", caches[0])
    assert (code, said, error.count("\n")) == (2, "", 1)
    assert "is of format 2, and this version reads 1" in error
    with pytest.raises(InputError, match="format 2"):
        CacheReader(caches[0])


def test_an_edited_manifest_is_refused(command: Command, caches: tuple[Path, Path]) -> None:
    path = caches[0] / "manifest.json"
    whole = path.read_text()
    path.write_text(whole.replace("sha256:corpus", "sha256:corpse"))
    assert "changed by hand" in command("verify", caches[0])[2]
    path.write_text(whole.replace("\n", "\r\n"))
    assert "changed by hand" in command("verify", caches[0])[2]


def test_pruning_keeps_what_is_wanted(command: Command, caches: tuple[Path, Path]) -> None:
    root, (one, other) = caches[0].parent, caches
    (root / "notes").mkdir()
    (root / "notes" / "manifest.txt").write_text("mine")
    assert prune(root) == []
    identity = stats(one).identity
    code, said, _ = command("prune", root, "--keep", identity[:20], "--dry-run")
    assert (code, said) == (0, f"would remove {other}\n")
    assert other.is_dir()
    code, said, _ = command("prune", root, "--keep", identity[:20], "--json")
    assert json.loads(said) == {"removed": [str(other)]}
    assert not other.exists()
    assert stats(one).complete
    assert (root / "notes" / "manifest.txt").read_text() == "mine"
    assert command("prune", root)[1] == f"{root}: nothing to remove\n"
    assert command("prune", root, "--keep", "")[0] == 2
    assert command("prune", one)[0] == 2


def test_pruning_takes_what_cannot_be_read(command: Command, caches: tuple[Path, Path]) -> None:
    shard = sorted(caches[1].glob("shard-*"))[0]
    shard.write_bytes(shard.read_bytes()[:100])
    code, said, _ = command("prune", caches[0].parent)
    assert (code, said) == (0, f"removed {caches[1]}\n")
    assert not caches[1].exists()
    assert stats(caches[0]).complete
