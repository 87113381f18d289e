"""`ullage cache list` and `clear`: what Ullage keeps for itself, and nothing else, is removed."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest
from filelock import FileLock
from typer.testing import CliRunner

from ullage.cache_cli import Kind
from ullage.cache_folder import KINDS, Kept, holdings, in_use, remove
from ullage.cli import app
from ullage.errors import InputError
from ullage.files import cache_home

_DAY = 86_400


def put(path: Path, size: int = 10, days: float = 3.0) -> Path:
    """A file of so many bytes that changed so long ago, and its folders with it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"x" * size)
    age(path, days)
    return path


def age(path: Path, days: float) -> None:
    then = time.time() - days * _DAY
    for one in (path, *path.parents):
        if one.name == "ullage":
            break
        os.utime(one, (then, then), follow_symlinks=False)


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A cache folder with something of every kind, and something beside it that must stay."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    home = cache_home()
    put(home / "selftest" / "ab.json", 100, days=40)
    put(home / "selftest" / "cd.json", 200, days=1)
    put(home / "organisms" / "clean-01" / "runs" / "clean" / "lock", 0)
    put(home / "organisms" / "clean-01" / "student" / "weights", 3_000)
    put(home / "models" / "small" / "weights", 5_000, days=90)
    put(home / "models" / "small.lock", 0, days=90)
    put(home / "pages" / "ef.sqlite", 70)
    put(home / "of-another-version" / "file")
    put(tmp_path / "outside" / "precious")
    return home


def run(*words: str, code: int = 0) -> str:
    result = CliRunner().invoke(app, ["cache", *words])
    if code == 0:
        assert result.exception is None, result.exception
    assert result.exit_code == code
    return result.stdout


def names(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def by_name(home: Path) -> dict[str, Kept]:
    return {kept.path.name: kept for kept in holdings(home)}


def test_the_commands_know_the_kinds_that_there_are() -> None:
    assert [kind.value for kind in Kind] == list(KINDS)


def test_what_is_there_is_told_with_size_and_age(home: Path) -> None:
    lines = {line.split()[0]: line.split() for line in run("list").splitlines()[2:]}
    assert list(lines) == list(KINDS)
    assert lines["selftest"][1:8] == ["2", "0.0", "MB", "24", "h", "40", "d"]
    assert lines["models"][1:8] == ["1", "0.0", "MB", "90", "d", "90", "d"]
    told = json.loads(run("list", "--json"))
    assert told["folder"] == str(home)
    sizes = {Path(kept["path"]).name: kept["bytes"] for kept in told["kept"]}
    assert sizes == {
        "ab.json": 100, "cd.json": 200, "clean-01": 3_000, "small": 5_000, "ef.sqlite": 70
    }  # fmt: skip
    assert [line.split()[-1] for line in run("list", "selftest").splitlines()[1:]] == [
        "ab.json",
        "cd.json",
    ]


def test_an_empty_cache_is_no_error(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "nothing"))
    assert json.loads(run("list", "--json"))["kept"] == []
    assert run("clear") == "removed 0 things (0.0 MB)\n"
    assert not (tmp_path / "nothing").exists()


def test_kinds_and_ages_choose_what_goes(home: Path) -> None:
    assert json.loads(run("clear", "selftest", "--older-than", "30d", "--yes", "--json"))[
        "removed"
    ][0]["path"].endswith("ab.json")
    assert {kept.path.name for kept in holdings(home)} == {
        "cd.json", "clean-01", "small", "ef.sqlite"
    }  # fmt: skip
    assert "2 things" in run("clear", "models", "pages", "--yes")
    assert {kept.path.name for kept in holdings(home)} == {"cd.json", "clean-01"}
    run("clear", "--older-than", "36h", "--yes")
    assert {kept.path.name for kept in holdings(home)} == {"cd.json"}


def test_all_goes_but_what_is_not_ours(home: Path, tmp_path: Path) -> None:
    run("clear", "--yes")
    assert names(tmp_path) == {
        "cache/ullage/models/small.lock",
        "cache/ullage/of-another-version/file",
        "outside/precious",
    }


def test_looking_removes_nothing(home: Path) -> None:
    before = names(home)
    said = run("clear", "--dry-run")
    assert said.count("would remove") == 5 + 1
    assert names(home) == before


def test_nothing_goes_unless_somebody_agrees(home: Path) -> None:
    before = names(home)
    result = CliRunner().invoke(app, ["cache", "clear"])
    assert isinstance(result.exception, InputError)
    assert "--yes" in str(result.exception)
    for answer in ("n\n", "\n"):
        result = CliRunner().invoke(app, ["cache", "clear"], input=answer)
        assert "remove 5 things" in result.stderr
        assert names(home) == before
    CliRunner().invoke(app, ["cache", "clear", "selftest"], input="y\n")
    assert {"ab.json", "cd.json"}.isdisjoint(by_name(home))


@pytest.mark.parametrize("text", ["", "30", "d", "-1d", "1.5d", "3w", "٣d", "9999999d"])
def test_an_age_is_hours_or_days(home: Path, text: str) -> None:
    result = CliRunner().invoke(app, ["cache", "clear", "--older-than", text])
    assert isinstance(result.exception, InputError)
    assert "30d" in str(result.exception)


def test_links_are_not_followed(home: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    put(outside / "lock")
    inside = home / "organisms" / "clean-01" / "linked"
    inside.symlink_to(outside)
    (home / "selftest" / "linked.json").symlink_to(outside / "precious")
    age(inside, 3)
    (home / "pages" / "ef.sqlite").unlink()
    (home / "pages").rmdir()
    (home / "pages").symlink_to(outside)
    found = by_name(home)
    assert found["clean-01"].bytes == 3_000
    assert all(outside not in lock.parents for kept in found.values() for lock in kept.locks)
    assert "precious" not in found
    run("clear", "--yes")
    assert names(outside) == {"precious", "lock"}
    assert (home / "pages").is_symlink()
    assert by_name(home) == {}


@pytest.mark.parametrize(
    ("lock", "holds"),
    [("organisms/clean-01/runs/clean/lock", "clean-01"), ("models/small.lock", "small")],
)
def test_what_a_process_holds_stays(home: Path, lock: str, holds: str) -> None:
    with FileLock(home / lock):
        age(home / lock, 3)
        told = json.loads(run("clear", "--yes", "--json"))
        assert {Path(path).name: why for path, why in told["in_use"].items()} == {
            holds: "another ullage is at work in it"
        }
    assert set(by_name(home)) == {holds}
    age(home / lock, 3)
    run("clear", "--yes")
    assert by_name(home) == {}


def test_what_may_be_in_the_making_stays(home: Path) -> None:
    put(home / "organisms" / "clean-01" / "student" / "step-50", days=0)
    put(home / "selftest" / ".gh.json.part", days=0)
    put(home / "selftest" / "gh.json", days=0)
    said = run("clear", "--yes")
    assert said.count("may be in the making") == 2
    assert set(by_name(home)) == {"clean-01", ".gh.json.part"}
    later = time.time() + 16 * 60
    assert [in_use(kept, later) for kept in holdings(home)] == ["", ""]


def test_what_was_half_removed_goes_at_once(home: Path) -> None:
    left = home / "models" / ".removing-small"
    (home / "models" / "small").rename(left)
    os.utime(left)
    run("clear", "models", "--yes")
    assert by_name(home).keys() == {"ab.json", "cd.json", "clean-01", "ef.sqlite"}


def test_what_is_gone_meanwhile_is_no_error(home: Path) -> None:
    for kept in holdings(home):
        remove(kept)
        remove(kept)
    assert holdings(home) == []
