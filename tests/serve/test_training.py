"""How a training goes is told from its lines alone, while they come and after."""

from __future__ import annotations

import json
import os
import re
import time
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from pathlib import Path

import pytest

from tests.support.pages import Served, write_training
from ullage.distill.history import FILE as HISTORY
from ullage.serve.curves import losses
from ullage.serve.runs import Runs, Training
from ullage.serve.training import Going, Point, Trainings


def found(root: Path) -> list[Training]:
    return Runs(root).look()[1]


def going(root: Path, reader: Trainings | None = None) -> Going:
    (training,) = found(root)
    return (reader or Trainings()).going(training)


def line(step: int, loss: float, **more: object) -> bytes:
    return said(stage="train", done=step, total=9, loss=loss, **more)


def said(**told: object) -> bytes:
    return json.dumps({"at": time.time(), **told}).encode() + b"\n"


def test_a_running_training_is_told(tmp_path: Path) -> None:
    write_training(tmp_path / "student.work", 120, 400)
    (training,) = found(tmp_path)
    assert (training.place, training.is_made) == ("student", False)
    seen = going(tmp_path)
    assert seen.told == "Training: step 120 of 400."
    assert seen.pace == ("1,234 tokens a second", "about 2 minutes left")
    assert seen.checkpoint == "No checkpoint yet."
    assert dict(seen.stages) == {
        "Measuring before": True, "Training": True, "Measuring after": False, "Made": False,
    }  # fmt: skip
    assert [point.step for point in seen.trained] == list(range(1, 121))
    assert [point.step for point in seen.held_out] == list(range(0, 121, 10))
    first, second = seen.rows
    assert (first.name, second.name) == ("loss", "forward_kl")
    assert first.before == pytest.approx(3.5) and first.after == seen.held_out[-1].values["loss"]
    assert first.last == seen.trained[-1].values["loss"]


def test_the_last_whole_checkpoint_is_told(tmp_path: Path) -> None:
    write_training(tmp_path / "student.work", 20, 400)
    for name in ("checkpoint-9", "checkpoint-10", "checkpoint-20", "other"):
        folder = tmp_path / "student.work" / "checkpoints" / name
        folder.mkdir(parents=True)
        if name != "checkpoint-20":  # not whole yet
            (folder / "trainer_state.json").write_text("{}")
            os.utime(folder / "trainer_state.json", (time.time() - 600,) * 2)
    assert going(tmp_path).checkpoint == "Last checkpoint: step 10, 10 minutes ago."


def test_a_quiet_one_seems_to_be_stopped_and_promises_nothing(tmp_path: Path) -> None:
    write_training(tmp_path / "student.work", 20, 400, at=time.time() - 7200)
    seen = going(tmp_path)
    assert seen.told == (
        "Training: step 20 of 400, and nothing for 2.0 hours: it seems to be stopped. "
        "The same command goes on."
    )
    assert seen.pace == ()


def test_lines_are_read_as_they_come_and_what_is_done_again_is_there_once(tmp_path: Path) -> None:
    work = tmp_path / "student.work"
    work.mkdir()
    reader = Trainings()
    with (work / HISTORY).open("ab", buffering=0) as file:
        assert going(tmp_path, reader).told == "Begun; nothing was said yet."
        file.write(said(stage="base", done=1, total=1, held_out={"loss": 3.0}))
        assert going(tmp_path, reader).told == "Measuring the student before: 1 of 1."
        for step in range(1, 6):
            file.write(line(step, 1.0, held_out={"loss": 2.0} if step == 4 else {}))
        file.write(line(6, 1.0)[:30])
        assert len(going(tmp_path, reader).trained) == 5
        file.write(b"\nnonsense\n")
        for step in range(4, 7):  # from a checkpoint of step 3 on
            file.write(line(step, 0.5))
        seen = going(tmp_path, reader)
        assert [(p.step, p.values["loss"]) for p in seen.trained] == [
            (1, 1.0), (2, 1.0), (3, 1.0), (4, 0.5), (5, 0.5), (6, 0.5),
        ]  # fmt: skip
        file.write(said(stage="measure", done=1, total=1, held_out={"loss": 0.4}))
    seen = going(tmp_path, reader)
    assert [(p.step, p.values["loss"]) for p in seen.held_out] == [(0, 3.0), (4, 2.0), (6, 0.4)]
    assert (seen.done, seen.total) == (6, 9)
    (work / HISTORY).write_bytes(line(1, 7.0))
    assert [p.values["loss"] for p in going(tmp_path, reader).trained] == [7.0]


def test_a_made_student_keeps_the_address_and_the_curve(tmp_path: Path) -> None:
    write_training(tmp_path / "student.work", 60, 60)
    (before,) = found(tmp_path)
    (tmp_path / "student").mkdir()
    (tmp_path / "student" / HISTORY).write_bytes((before.history).read_bytes())
    (after,) = found(tmp_path)  # the teacher's answers kept the work folder
    assert (after.id, after.place, after.is_made) == (before.id, before.place, True)
    seen = going(tmp_path)
    assert seen.finished and seen.told == "Made in 60 steps."
    assert (seen.pace, seen.checkpoint) == ((), "")
    assert len(seen.trained) == 60


def test_the_folder_of_a_training_can_be_served_itself(tmp_path: Path) -> None:
    write_training(tmp_path / "student.work", 3, 3)
    (training,) = found(tmp_path / "student.work")
    assert training.place == "student.work"


@pytest.mark.parametrize("name", ["student", "student.work"])
def test_a_link_out_of_the_folder_is_refused(own: tuple[Served, Path], name: str) -> None:
    served, folder = own
    place = f"/trainings/{next(t.id for t in found(folder / 'runs') if t.place == 'student')}"
    assert served.ask(place).status == 200
    made = folder / "runs" / name
    made.mkdir(exist_ok=True)
    outside = folder / "outside"
    outside.write_bytes((folder / "runs" / "student.work" / HISTORY).read_bytes())
    (made / HISTORY).unlink(missing_ok=True)
    (made / HISTORY).symlink_to(outside)
    answer = served.ask(place)
    assert answer.status == 422 and "link" in answer.text and "Loss" not in answer.text
    assert "is a link to what lies outside" in served.ask("/").text


def test_hostile_lines_are_only_text(own: tuple[Served, Path]) -> None:
    served, folder = own
    name = "<script>alert(1)</script>"
    with (folder / "runs" / "student.work" / HISTORY).open("ab") as file:
        file.write(line(121, 1e308, terms={name: -1e308}, held_out={name: 0.0}))
        file.write(line(122, 1e-308) + line(999999999999, -5.0))
    place = f"/trainings/{next(t.id for t in found(folder / 'runs') if t.place == 'student')}"
    answer = served.ask(place)
    assert answer.status == 200
    assert "<script>alert" not in answer.text
    assert served.ask("/trainings/no").status == served.ask("/trainings/../x").status == 404


def drawn(trained: list[Point], held_out: list[Point], total: int) -> ET.Element:
    return ET.fromstring(str(losses(trained, held_out, "loss", total, "c1")))


def points(values: Mapping[int, float]) -> list[Point]:
    return [Point(step, {"loss": value}) for step, value in values.items()]


@pytest.mark.parametrize("high", [2.0, 200.0])
def test_every_point_is_where_its_number_says(high: float) -> None:
    """Steps to the right on a straight scale; losses up, on one as straight or by logarithms."""
    held_out = points({0: high, 50: 1.0, 100: (1.0 + high) / 2 if high < 8 else high**0.5})
    svg = drawn(points({1: high}), held_out, 200)
    circles = list(svg.iter("circle"))
    x, y = ([float(node.get(name, "")) for node in circles] for name in ("cx", "cy"))
    assert x[2] - x[1] == pytest.approx(x[1] - x[0], abs=0.05)
    assert y[0] < y[2] < y[1]
    assert y[2] == pytest.approx((y[0] + y[1]) / 2, abs=0.05)
    frame = next(node for node in svg.iter("rect"))
    assert x[0] == pytest.approx(float(frame.get("x", "")), abs=0.05)
    assert x[2] - x[0] == pytest.approx(float(frame.get("width", "")) / 2, abs=0.05)


def test_many_steps_are_drawn_as_few_and_none_is_hidden() -> None:
    values = {step: 1.0 + (step == 5_000) for step in range(1, 10_001)}
    svg = drawn(points(values), [], 10_000)
    line_, band = (next(p.get("d", "") for p in svg.iter("path") if p.get("class") == name)
                   for name in ("course-line", "course-band"))  # fmt: skip
    assert len(re.findall("[ML]", line_)) <= 60
    heights = [float(y) for y in re.findall(r"[ML][\d.]+ ([\d.]+)", band)]
    assert max(heights) - min(heights) > 100  # the one step that stood out
    told = next(node.text or "" for node in svg if node.tag == "desc")
    assert told == "Learnt: from 1 to 1."


@pytest.mark.parametrize(
    "values",
    [{}, {1: 0.0}, {1: 5.0}, {1: -3.0, 2: 4.0}, {1: 1e-300, 2: 1e300}, {1: 1e308, 2: -1e308}],
)
def test_whatever_the_losses_are_the_picture_is_one(values: dict[int, float]) -> None:
    svg = drawn(points(values), points(values), 0)
    assert not re.search("nan|inf", ET.tostring(svg, encoding="unicode"))
