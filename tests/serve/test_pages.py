"""What the pages say, over a real server and real audits."""

from __future__ import annotations

import re
import threading
from datetime import UTC, datetime
from html import unescape
from pathlib import Path

import pytest

from tests.support import statements
from tests.support.pages import LOST, Answer, Served, serving
from tests.support.signed import write_statement
from ullage.gate import run_gate
from ullage.plan import Plan
from ullage.run_folder import read_part
from ullage.scores import read_scores
from ullage.serve.live import Watch
from ullage.serve.site import Differences
from ullage.statement.acceptance import Acceptance, Withdrawal, read_records
from ullage.statement.store import read
from ullage.statement.words import LOSSES


def finished(served: Served, place: str) -> Answer:
    """A page, once what it shows is made."""
    while (answer := served.ask(place)).status == 202:
        assert answer.headers["refresh"] == "2"
    return answer


def items_of(served: Served, **query: str) -> str:
    told = "&".join(f"{name}={value}" for name, value in query.items())
    answer = finished(served, f"{served.run('scrubbed')}/items?{told}")
    assert answer.status == 200, answer.text
    return unescape(answer.text)


def test_all_runs_are_listed_with_what_they_came_to(served: Served) -> None:
    page = served.ask("/").text
    assert page.count('<li class="run">') == 8
    assert "No statement yet. 2" in page and "replies" in page
    assert page.count(">Training</p>") == 2 and "Made in 60 steps." in page
    assert page.count("The gate fails") >= 2


def test_a_statement_says_first_what_was_lost_and_who_agreed(served: Served) -> None:
    page = served.ask(served.run("scrubbed")).text
    order = [
        page.index(f'<h2 id="{name}">') for name in ("what", "lost", "unknown", "kept", "agreed")
    ]
    assert order == sorted(order)
    assert "Nobody has put a name to this loss." in page
    assert f"items?target={LOST}" in page


@pytest.mark.parametrize("name", ["every", "hostile"])
def test_a_statement_alone_can_be_read(served: Served, name: str) -> None:
    run = served.run(name)
    assert served.ask(run).status == served.ask(f"{run}/statement").status == 200
    answer = served.ask(f"{run}/items")
    assert answer.status == 422 and "config.yaml is not here" in answer.text


def test_the_losses_are_those_of_the_scores(served: Served, world: Path) -> None:
    probes = read_scores(world / "runs" / "scrubbed" / "scores.parquet").probes
    values = probes["clarification"].values
    teacher, student = (values[arm, "recovers"] for arm in ("teacher", "student"))
    lost, total = int((teacher > student).sum()), len(teacher)
    page = items_of(served, target="clarification.recovers", show="lost")
    assert f"teacher right, student wrong ({lost})" in page
    assert page.count('<li class="item">') == min(lost, 50) > 0
    every = items_of(served, target="clarification.recovers", show="every", page="2")
    assert f"51–{min(total, 100)} of {total}" in every


def test_items_are_filtered_by_family_and_by_words(served: Served) -> None:
    page = items_of(served, target=LOST, show="every")
    family = re.findall(r'<option value="([^"]+)">', page.split('id="family"')[1])[0]
    total = int(re.findall(r"all items \((\d+)\)", page)[0])
    of_family = items_of(served, target=LOST, show="every", family=family)
    shown = re.findall(r"family</span> <code>([^<]*)</code>", of_family)
    assert set(shown) == {family} and 0 < len(shown) < total
    assert "No item is like that." in items_of(served, target=LOST, show="every", q="zzzunsaid")


def test_an_item_shows_every_arm_and_what_lies_beside_it(served: Served) -> None:
    page = items_of(served, target=LOST, show="lost")
    first, second = re.findall(r'<p class="asked"><a href="([^"]+)"', page)[:2]
    item = unescape(served.ask(first).text)
    for arm in ("teacher", "student", "base", "teacher_again"):
        assert f"<strong>{arm}</strong>" in item
    assert "<mark>" in item or "Which one" in item
    assert second in item and 'rel="prev"' not in item
    assert first in unescape(served.ask(second).text)


def test_an_unknown_place_is_said_to_be_none(served: Served) -> None:
    run = served.run("scrubbed")
    for path in ("/no", "/runs/no", f"{run}/items/999999", f"{run}/items?target=no.such",
                 f"{run}/dimension?name=no", f"{run}/accept?target=no.such", f"{run}/items/-1",
                 f"{run}/items/99999999999999999999999", "/diff"):  # fmt: skip
        assert served.ask(path).status == 404, path
    assert served.ask(f"{run}/items?page=99999999&at=x&show=nonsense").status == 200


def test_accepting_writes_what_the_command_writes(own: tuple[Served, Path]) -> None:
    served, folder = own
    run, place = folder / "runs" / "scrubbed", served.run("scrubbed")
    today = datetime.now(UTC).date()
    gate = folder / "gate.yaml"
    before = served.ask(place).text
    losses = [f.id for f in read(run / "statement.json").findings if f.verdict in LOSSES]
    assert run_gate(run / "statement.json", gate, on=today).exit_code == 1
    assert "The gate fails" in before and "A draft" in before
    for target in losses:
        form = served.acceptance(target=target)
        answer = served.ask(f"{place}/accept", form=form)
        assert answer.status == 303
        assert answer.headers["location"] == f"{place}?accepted={target}"
    records = [record.document for record in read_records(run)]
    assert {one.target for one in records if isinstance(one, Acceptance)} == set(losses)
    assert all(one.accepted == today for one in records if isinstance(one, Acceptance))
    assert run_gate(run / "statement.json", gate, on=today).exit_code == 0
    after = served.ask(place).text
    assert "The gate passes" in after and "Accepted: each of" in after
    assert "Accepted</strong> by Ada Lovelace" in (run / "statement.html").read_text()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"by": " "}, "by: is blank"),
        ({"because": ""}, "because: is blank"),
        ({"until": "2001-01-01"}, "is past"),
        ({"until": "tomorrow"}, "is no day"),
        ({"until": ""}, "is no day"),
        ({"target": "agreement.accuracy"}, "nothing to accept"),
    ],
)
def test_a_bad_form_is_said_and_kept(
    own: tuple[Served, Path], changes: dict[str, str], said: str
) -> None:
    served, folder = own
    answer = served.ask(
        f"{served.run('scrubbed')}/accept", form=served.acceptance(role='"><b>x', **changes)
    )
    assert answer.status == 422
    assert said in unescape(answer.text) or "nothing here that would" in answer.text
    assert '"><b>x' not in answer.text
    assert not (folder / "runs" / "scrubbed" / "acceptances").exists()


def test_without_a_key_pages_only_read(world: Path, cache: Path) -> None:
    with serving(world, cache, key=False) as served:
        place = f"{served.run('scrubbed')}/accept"
        page = served.ask(f"{place}?target={LOST}").text
        assert "no key is here" in page and "<form" not in page
        assert served.ask(place, form=served.acceptance()).status == 422
        place = f"{served.run('scrubbed')}/withdraw"
        assert served.ask(place, form=served.acceptance()).status == 422
    assert not (world / "runs" / "scrubbed" / "acceptances").exists()


def test_an_acceptance_is_taken_back_by_name_and_with_a_reason(own: tuple[Served, Path]) -> None:
    served, folder = own
    run, place = folder / "runs" / "scrubbed", served.run("scrubbed")
    form = {"csrf": served.site.access.csrf, "target": LOST, "by": "Grace", "because": "It grew."}
    page = served.ask(f"{place}/withdraw?target={LOST}").text
    assert "Nobody has accepted this" in page and "<form" not in page
    refused = served.ask(f"{place}/withdraw", form=form)
    assert refused.status == 422 and "nobody has accepted it" not in served.ask(place).text
    assert served.ask(f"{place}/accept", form=served.acceptance()).status == 303
    assert f"{place}/withdraw?target={LOST}" in unescape(served.ask(place).text)
    for bad, said in (({"by": " "}, "by: is blank"), ({"because": ""}, "because: is blank")):
        answer = served.ask(f"{place}/withdraw", form=form | bad)
        assert answer.status == 422 and said in unescape(answer.text)
    assert len(read_records(run)) == 1
    answer = served.ask(f"{place}/withdraw", form=form)
    assert answer.headers["location"] == f"{place}?withdrawn={LOST}"
    taken = [one.document for one in read_records(run) if isinstance(one.document, Withdrawal)]
    assert [(one.target, one.by, one.because) for one in taken] == [(LOST, "Grace", "It grew.")]
    after = served.ask(place).text
    assert "Grace took it back: It grew." in after and "Withdrawn: for" in after
    assert "Grace took it back" in (run / "statement.html").read_text()
    assert f"withdraw?target={LOST}" not in unescape(after)


def test_a_dimension_has_its_curves_and_the_students_beside_this_one(served: Served) -> None:
    reach = served.ask(f"{served.run('reach')}/dimension?name=capacity").text
    assert 'class="reach-band"' in reach and "<strong>lookup-like</strong>" in reach
    page = served.ask(f"{served.run('scrubbed')}/dimension?name=boundary").text
    drawn = page.split("Against the usual eval")[1]
    assert (
        "Performance against capability kept" in drawn and "Capability kept against cost" in drawn
    )
    assert f"{served.run('whole')}/dimension?name=boundary" in drawn
    assert served.run("every") not in drawn  # of another teacher
    shares = re.findall(r'<span class="num">([\d.]+) %</span></td>\n</tr>', drawn)
    # The teacher keeps all; the student that was not taught to ask back less than the other.
    assert len(shares) == 3 and max(map(float, shares)) == 100 and min(map(float, shares)) < 90
    alone = served.ask(f"{served.run('scrubbed')}/dimension?name=uncertainty").text
    assert "reach-band" not in alone


def test_what_moved_has_intervals_of_the_difference(served: Served) -> None:
    names = [run.removeprefix("/runs/") for run in (served.run("scrubbed"), served.run("whole"))]
    answer = finished(served, f"/diff?first={names[0]}&second={names[1]}")
    assert answer.status == 200
    assert "repaired" in answer.text and "shown better, same replies" in answer.text
    other = served.run("every").removeprefix("/runs/")
    refused = finished(served, f"/diff?first={names[0]}&second={other}")
    assert refused.status == 422 and "cannot be compared" in refused.text
    assert served.ask(f"/diff?first={names[0]}&second={other}&force=1").status == 200


def test_a_running_audit_is_counted_as_it_grows(own: tuple[Served, Path]) -> None:
    served, folder = own
    half, whole = folder / "runs" / "half", folder / "runs" / "scrubbed" / "replies.jsonl"
    run = next(run for run in served.site.runs.every() if run.folder.path == half)
    plan, lines = read_part(half / "plan.json", Plan), whole.read_bytes().splitlines(keepends=True)
    watch = Watch()
    for count in (0, 1, 100, len(lines)):
        with (half / "replies.jsonl").open("wb" if count == 0 else "r+b") as journal:
            journal.write(b"".join(lines[:count]))
            journal.write(lines[count][:40] if count < len(lines) else b"")
            journal.truncate()
        found = watch.progress(run, plan)
        assert sum(one.replies for one in found.models) == count
    assert [one.arms for one in found.models] == ["teacher and teacher_again", "base", "student"]
    answer = served.ask(served.run("half"))
    assert answer.status == 200 and f"{len(lines):,} replies so far." in answer.text


def test_exports_are_the_files_that_are_there(served: Served, world: Path) -> None:
    run = served.run("scrubbed")
    page = served.ask(run).text
    names = re.findall(rf'{run}/files/([^"]+)" download', page)
    assert {"statement.json", "statement.html", "statement.md", "scores.parquet"} <= set(names)
    assert "statement.dsse.json" not in names
    answer = served.ask(f"{run}/files/statement.json")
    assert answer.text == (world / "runs" / "scrubbed" / "statement.json").read_text()


@pytest.mark.parametrize("name", statements.HOSTILE)
def test_a_hostile_statement_is_only_text(own: tuple[Served, Path], name: str) -> None:
    from tests.statement.test_sanitise import reads_as

    served, folder = own
    write_statement(folder / "runs" / "hostile", statements.hostile(statements.HOSTILE[name]))
    run = served.run("hostile")
    ours = {"a", "body", "html"}
    for path in ("/", run, f"{run}/accept?target=clarify.clarifies", f"{run}/items"):
        tags = reads_as(served.ask(path).text)[1]
        names = {tag.split("[")[0] for tag in tags}
        assert ours <= names
        assert not names & {"script", "img", "iframe", "object", "embed", "style", "base", "h5"}
        assert not any(re.search(r"\[(on\w+|style|srcset|formaction)=", tag) for tag in tags)


def test_a_spoilt_statement_is_named_and_spoils_no_other(own: tuple[Served, Path]) -> None:
    served, folder = own
    (folder / "runs" / "every" / "statement.json").write_text('{"a": ' + "[" * 100_000)
    page = served.ask("/")
    assert page.status == 200 and page.text.count('class="problem"') == 1
    assert served.ask(served.run("every")).status == 422


def test_while_two_runs_are_compared_a_page_says_so(
    own: tuple[Served, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    served, _ = own
    asked, go = threading.Event(), threading.Event()

    def slowly(first: object, second: object) -> Differences:
        asked.set()
        go.wait()
        return {}

    monkeypatch.setattr("ullage.serve.site.paired_differences", slowly)
    names = [run.removeprefix("/runs/") for run in (served.run("scrubbed"), served.run("whole"))]
    place = f"/diff?first={names[0]}&second={names[1]}"
    answer = served.ask(place)
    assert (answer.status, answer.headers["refresh"]) == (202, "2")
    assert "Comparing item by item…" in answer.text and "the page comes by itself" in answer.text
    assert served.ask("/").status == 200 and asked.is_set()
    go.set()
    assert finished(served, place).status == 200
