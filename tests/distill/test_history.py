"""What a training says of itself is there while it works, after a stop, and beside its ledger."""

from __future__ import annotations

from pathlib import Path

import pytest

torch = pytest.importorskip("torch")

from tests.distill import making  # noqa: E402
from ullage.distill import Progress, run_distill  # noqa: E402
from ullage.distill.history import FILE, Line, lines, recorded  # noqa: E402
from ullage.distill.result import Stopped  # noqa: E402


def read(path: Path) -> list[Line]:
    return list(lines(path.read_bytes().splitlines()))


@pytest.mark.local
def test_every_step_is_there_and_a_resumed_one_goes_on(tmp_path: Path) -> None:
    making.prepare(tmp_path)
    seen: list[Progress] = []

    def stop(progress: Progress) -> None:
        seen.append(progress)
        if progress.stage == "train" and progress.done == 7:
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        run_distill(making.config("cut", evaluate_steps=4), tmp_path, progress=stop)
    begun = read(tmp_path / "cut.work" / FILE)
    trained = [line for line in begun if line.stage == "train"]
    assert [line.done for line in trained] == list(range(1, 8))
    assert [line.loss for line in trained] == [p.loss for p in seen if p.stage == "train"]
    assert [line.done for line in trained if line.held_out] == [4]
    assert all(line.terms.keys() == {"forward_kl", "cross_entropy"} for line in trained)
    assert {line.total for line in trained} == {making.STEPS}

    made = making.make(tmp_path, "cut", evaluate_steps=4)
    whole = read(made.output / FILE)
    assert whole[: len(begun)] == begun
    assert [line.at for line in whole] == sorted(line.at for line in whole)
    assert whole[-1].stage == "measure"
    loss = made.ledger["loss"]
    ends = [[line.held_out for line in whole if line.stage == stage and line.held_out]
            for stage in ("base", "measure")]  # fmt: skip
    assert ends == [[loss["base_held_out"]], [loss["held_out"]]]
    points = {line.done: line.held_out for line in whole if line.stage == "train" and line.held_out}
    assert points == {point.pop("step"): point for point in made.ledger["curve"][1:]}
    assert not (tmp_path / "cut.work").exists()


def test_what_is_no_line_of_ours_is_left_out(tmp_path: Path) -> None:
    path = tmp_path / FILE
    report = recorded(path, None)
    report(Progress(stage="train", done=1, total=2, loss=0.5))
    whole = path.read_bytes()
    assert len(list(lines([whole]))) == 1
    for torn in (whole[:30], b"", b"[1]", b'{"stage": "train"}', b"\xff", b"[" * 100_000,
                 whole.replace(b"0.5", b"NaN"), whole.replace(b"0.5", b'"much"'),
                 whole.replace(b'"train"', b'"sing"'), whole + b" " * (1 << 17)):  # fmt: skip
        assert list(lines([torn])) == [], torn[:40]


def test_nothing_is_lost_where_it_cannot_be_written(tmp_path: Path) -> None:
    seen: list[Progress] = []
    recorded(tmp_path / "none" / FILE, seen.append)(Progress(stage="base", done=1, total=1))
    assert len(seen) == 1


def test_a_stage_without_steps_is_told_now_and_then_and_at_its_end(tmp_path: Path) -> None:
    report = recorded(tmp_path / FILE, None)
    for done in range(1, 1001):
        report(Progress(stage="answers", done=done, total=1000))
    told = [line.done for line in read(tmp_path / FILE)]
    assert told[0] == 1 and told[-1] == 1000
