"""Make the statements of docs/gallery, and what its page shows of them.

    python tools/gallery.py lab        # or imported, smollm2: make that statement, and show it
    python tools/gallery.py            # write the pages anew, of the statements that are there
    python tools/gallery.py --check    # 1 if the pages are not what those statements say

Each is made in `gallery/`, by the commands that are printed, and goes on where it stopped. What is
shown of it, and nothing else, is copied to docs/gallery. Private keys live in a temporary folder.
"""

from __future__ import annotations

import shutil
import subprocess  # the commands are those a reader would type
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import date, timedelta
from pathlib import Path

from pictures import PHONE, Shot, chromium, shoot

from ullage.distill.corpora import DESK
from ullage.files import write_whole
from ullage.gate import run_gate
from ullage.models.hf.smollm2 import ensure_smollm2
from ullage.statement.acceptance import FOLDER, Acceptance, read_records
from ullage.statement.consent import consents, life_sentence
from ullage.statement.markdown import to_markdown
from ullage.statement.outcome import outcome_sentence
from ullage.statement.store import read

ROOT = Path(__file__).parents[1]
HOME = ROOT / "docs" / "gallery"
PAGE = HOME / "README.md"
WORK = Path("gallery")
"""Relative to `ROOT`, where every command runs."""
LOGS = Path("tests", "imports", "logs", "lm-eval")
"""Written by lm-eval itself, of SmolLM2-135M-Instruct and two that lack layers of it."""

JUDGED = (0, 1, 3)
"""Exit codes of an audit that came to a statement."""
DESKTOP = (1280, 900)


@dataclass(frozen=True, slots=True)
class Entry:
    """One statement of the gallery."""

    make: Callable[[], Path]
    """Gives the run folder."""
    pictures: tuple[tuple[str, Shot], ...]
    """What each shows, in words, and how it is taken."""


def lab() -> Path:
    """A student that never learnt to say that it does not know: signed, one loss accepted."""
    run = WORK / "lab" / "runs" / "no-abstaining"
    ullage("lab", "organism", "no-abstaining", "--folder", f"{WORK / 'lab'}")
    ullage("audit", f"{WORK / 'lab' / 'ullage.yaml'}", ends=JUDGED)
    # The keys of those that are there already are gone.
    shutil.rmtree(ROOT / run / FOLDER, ignore_errors=True)
    with tempfile.TemporaryDirectory() as secret:
        for name in ("lab", "ada"):
            ullage("statement", "keygen", f"{secret}/{name}.key")
            public = HOME / "lab" / "keys" / f"{name}.key.pub"
            public.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(f"{secret}/{name}.key.pub", public)
        ullage("statement", "sign", f"{run}", "--key", f"{secret}/lab.key")
        ullage(
            *("statement", "accept", "grounding-missing.grounded", f"{run}"),
            *("--key", f"{secret}/ada.key"),
            *("--by", "Ada Lovelace", "--role", "product owner"),
            *("--until", f"{date.today() + timedelta(days=90)}"),
            *("--because", "The form only asks about orders that are on the desk."),
            *("--mitigation", "A question with another order number goes to the teacher."),
        )
    return run


def imported() -> Path:
    """Two models that lm-eval asked some time ago, and their base."""
    arms = ("teacher", "student", "base")
    logs = [word for arm in arms for word in (f"--{arm}", f"{LOGS / arm}")]
    ullage("import", *logs, "-o", f"{WORK / 'imported'}", "--force", "--audit", ends=JUDGED)
    return WORK / "imported" / "runs" / "imported"


def smollm2() -> Path:
    """Twenty of the thirty layers of SmolLM2-135M-Instruct, asked in all twelve dimensions."""
    folder = WORK / "smollm2"
    config = folder / "ullage.yaml"
    teacher = ensure_smollm2(say)
    (ROOT / folder).mkdir(parents=True, exist_ok=True)
    recipe = (HOME / "smollm2.yaml").read_text("utf-8")
    write_whole(ROOT / config, recipe.replace("{teacher}", str(teacher)).encode())
    write_whole(ROOT / folder / "corpus.jsonl", DESK.read_bytes())
    ullage("distill", f"{config}")
    ullage("audit", f"{config}", "--profile", "standard", ends=JUDGED)
    return folder / "runs" / "smollm2"


ENTRIES = {
    "lab": Entry(
        lab,
        (
            ("The statement of a student that never says it does not know", Shot("", DESKTOP)),
            (
                "Its loss that was accepted, on a phone",
                Shot("-phone", PHONE, at="article:has-text('Ada Lovelace')"),
            ),
        ),
    ),
    "imported": Entry(
        imported,
        (
            ("The statement of three folders of lm-eval logs", Shot("", DESKTOP)),
            (
                "What no eval asked about, on a phone",
                Shot("-phone", PHONE, at="li:has-text('No target')"),
            ),
        ),
    ),
    "smollm2": Entry(smollm2, (("The statement of twenty layers of SmolLM2", Shot("", DESKTOP)),)),
}


def ullage(*words: str, ends: tuple[int, ...] = (0,)) -> None:
    """Run one command, after saying which; end with it if it ends in another way."""
    say(f"$ ullage {' '.join(words)}")
    command = [sys.executable, "-m", "ullage.cli", *words]
    done = subprocess.run(command, cwd=ROOT, check=False)  # noqa: S603 - of this file
    if done.returncode not in ends:
        sys.exit(done.returncode)


def say(line: str) -> None:
    """To whoever runs this."""
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


# ------------------------------------------------------------------------------------------- pages


def publish(name: str, run: Path) -> None:
    """Copy what is shown of a run, and take its pictures."""
    place = HOME / name
    place.mkdir(exist_ok=True)
    shutil.rmtree(place / FOLDER, ignore_errors=True)
    for part in ("statement.json", "statement.dsse.json"):
        if (run / part).exists():
            shutil.copyfile(run / part, place / part)
    if (run / FOLDER).exists():
        shutil.copytree(run / FOLDER, place / FOLDER)
    with chromium() as browser:
        if browser is None:
            say("no chromium on the path: the pictures are left as they are")
        else:
            shots = [shot for _, shot in ENTRIES[name].pictures]
            shoot(browser, run / "statement.html", f"gallery-{name}", shots)


def pages() -> dict[Path, str]:
    """Everything that follows from the statements of the gallery, by its file."""
    page = PAGE.read_text("utf-8")
    files = {}
    for name, entry in ENTRIES.items():
        path = HOME / name / "statement.json"
        if not path.exists():
            continue
        statement = read(path)
        files[path.with_suffix(".md")] = to_markdown(
            statement, consents(statement, read_records(path.parent))
        )
        mark, end = f"<!-- {name} -->", f"<!-- /{name} -->"
        before, _, rest = page.partition(mark)
        _, _, after = rest.partition(end)
        page = f"{before}{mark}\n\n{block(name, entry)}\n\n{end}{after}"
    return {**files, PAGE: page}


def block(name: str, entry: Entry) -> str:
    """What the page shows of one statement: its picture, what it came to, and its gate."""
    folder = HOME / name
    statement = read(folder / "statement.json")
    records = read_records(folder)
    given = [r.document.accepted for r in records if isinstance(r.document, Acceptance)]
    policy = folder / "policy.yaml"
    command = f"ullage gate docs/gallery/{name}"
    if policy.exists():
        command += f" --policy docs/gallery/{name}/policy.yaml"
    if given:
        command += f" --on {max(given)}"
    report = run_gate(
        folder / "statement.json",
        policy if policy.exists() else None,
        on=max(given, default=date.min),
    )
    pictures = [
        f"![{shows}](../img/gallery-{name}{shot.suffix}.png)" for shows, shot in entry.pictures
    ]
    if len(pictures) > 1:
        pictures = [f"| {' | '.join(pictures)} |", "|---|---|"]
    standing = life_sentence(statement, consents(statement, records))
    return "\n".join(
        [
            *pictures,
            "",
            f"> {outcome_sentence(statement)} {standing}",
            f"> [All of it]({name}/statement.md).",
            "",
            "```text",
            f"$ {command}",
            *report.lines,
            report.sentence,
            "```",
        ]
    )


def main() -> int:
    """Make what is named, then write the pages, or with ``--check`` compare them."""
    check = sys.argv[1:] == ["--check"]
    for name in [] if check else sys.argv[1:]:
        if name not in ENTRIES:
            sys.stderr.write(f"{name}: is not in the gallery; name {', '.join(ENTRIES)}\n")
            return 2
        publish(name, ROOT / ENTRIES[name].make())
    stale = {
        path: text
        for path, text in pages().items()
        if not path.exists() or path.read_text("utf-8") != text
    }
    if check and stale:
        told = ", ".join(f"{path.relative_to(ROOT)}" for path in stale)
        sys.stderr.write(f"not what their statements say, run `make docs`: {told}\n")
        return 1
    for path, text in stale.items():
        path.write_text(text, "utf-8")
        say(f"wrote {path.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
