"""Students that learn from what a teacher said once."""

from __future__ import annotations

import gc
import json
import signal
import statistics
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from transformers import LlamaForCausalLM  # noqa: E402

from tests.distill import making  # noqa: E402
from tests.distill.killing import lines_until, start  # noqa: E402
from tests.distill.learning import TEMPERATURE, Lesson, base, objective  # noqa: E402
from ullage.distill import DistillResult, run_distill  # noqa: E402
from ullage.distill.cache import CacheReader, CacheWriter, stats  # noqa: E402
from ullage.distill.cache.ahead import Ahead  # noqa: E402
from ullage.distill.cache.manifest import read_manifest  # noqa: E402
from ullage.distill.module import DistillationModule  # noqa: E402
from ullage.distill.result import Progress, Stopped  # noqa: E402
from ullage.distill.run import run_preflight  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

CACHE = {"folder": "caches", "k": 16}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("cached")
    making.prepare(path)
    return path


@pytest.fixture(scope="module")
def lesson(tmp_path_factory: pytest.TempPathFactory) -> Lesson:
    return Lesson(tmp_path_factory.mktemp("lesson"), 120)


@pytest.fixture(scope="module")
def whole(folder: Path) -> DistillResult:
    """A student of a cache that was begun with small shards, uninterrupted."""
    first = making.make(folder, "first", cache={**CACHE, "folder": "first-caches"}, max_steps=1)
    assert first.ledger["cache"] is not None
    begin(folder, "caches")
    return making.make(folder, "whole", cache=CACHE)


def the_cache(root: Path) -> Path:
    (found,) = root.iterdir()
    return found


def begin(folder: Path, name: str) -> None:
    """A cache of what `first` asked, of which nothing is there but how large its shards will be."""
    what = read_manifest(the_cache(folder / "first-caches")).about
    CacheWriter(what.folder(folder / name), what, shard_positions=250, sample=250).abort()


def files(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


class TestLearning:
    """What a cache teaches is what the teacher teaches."""

    def test_the_loss_is_that_of_what_is_rebuilt(self, lesson: Lesson) -> None:
        """Value and gradient, with the rebuilt distribution as dense logits."""
        cached = lesson.cached(k=8)
        rows = lesson.train[:5]
        student = base().double()
        module = DistillationModule(student, objective(0.3), cached)
        found = module(**module.collate(rows))
        found["loss"].backward()
        gradient = student.get_input_embeddings().weight.grad.clone()
        student.zero_grad()

        kl = nll = torch.zeros((), dtype=torch.float64)
        for row in rows:
            (said,) = [one.result()[place] for one, place in cached.beside([row])["said"]]
            logits = student(input_ids=torch.tensor([row.ids])).logits[0]
            at = [place for place, label in enumerate(row.labels) if label >= 0]
            for number, position in enumerate(at):
                p = rebuilt(cached, said, number, logits.shape[1])
                log_q = (logits[position] / TEMPERATURE).log_softmax(-1)
                some = p > 0
                kl = kl + TEMPERATURE**2 * (p[some] * (p[some].log() - log_q[some])).sum()
                nll = nll - logits[position].log_softmax(-1)[row.labels[position]]
        labels = sum(row.supervised for row in rows)
        expected = (0.7 * kl + 0.3 * nll) / labels
        expected.backward()
        assert found["forward_kl"].item() == pytest.approx(kl.item(), rel=1e-9)
        assert found["loss"].item() == pytest.approx(expected.item(), rel=1e-9)
        wanted = student.get_input_embeddings().weight.grad
        torch.testing.assert_close(gradient, wanted, rtol=1e-7, atol=1e-9)

    def test_students_reach_what_online_students_reach(self, lesson: Lesson) -> None:
        """Held-out loss from the teacher's own logits: apart by less than seeds are."""
        online = [lesson.learn(lesson.teacher, seed) for seed in range(3)]
        noise = statistics.stdev(online)
        for compressor in ({"k": 8}, {"signal": "sampled", "k": 32}):
            cached = [lesson.learn(lesson.cached(**compressor), seed) for seed in range(3)]
            assert abs(statistics.mean(cached) - statistics.mean(online)) < noise, compressor

    def test_any_rows_can_be_asked_for_unannounced(self, lesson: Lesson) -> None:
        cached = lesson.cached(k=8)
        cached.expect(lesson.train[:40])
        for rows in (lesson.train[:3], lesson.held_out[:2], lesson.train[30:48]):
            found = cached.beside(rows)["said"]
            assert [len(one.result()[place]) for one, place in found] == [
                row.supervised for row in rows
            ]


def rebuilt(cached: Any, said: Any, number: int, size: int) -> Any:
    """A distribution from what is kept of a position, token by token."""
    p = torch.from_numpy(cached._reader.backgrounds[said.group_N[number]]).double()
    p = torch.nn.functional.pad(p, (0, size - len(p)))
    ids = torch.from_numpy(said.ids_NK[number]).long()
    p[ids] = 0.0
    p *= float(torch.tensor(said.rest_N[number]).double().exp()) / p.sum()
    p[ids] = torch.from_numpy(said.logprobs_NK[number]).double().exp()
    return p / p.sum()


def test_reading_ahead_gives_what_reading_gives(
    folder: Path, whole: DistillResult, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Over the ends of groups, back into the last one, and twice the same."""
    monkeypatch.setattr("ullage.distill.cache.ahead._TOGETHER", 90)
    reader = CacheReader(the_cache(folder / "caches"))
    ahead = Ahead(reader)
    order = [*reader.keys, *reader.keys[:3]]
    ahead.expect(order)
    for first in range(0, len(order), 7):
        keys = order[first : first + 7]
        for key, (decoded, place) in zip(keys, ahead.ask(keys), strict=True):
            found, wanted = decoded.result()[place], reader[reader.index_of[key]]
            assert (found.ids_NK == wanted.ids_NK).all()
            assert (found.rest_N == wanted.rest_N).all()
        assert len(ahead._decoded) <= 4


class TestRuns:
    """`ullage distill` with a cache."""

    def test_ledger_says_what_the_cache_lost(self, folder: Path, whole: DistillResult) -> None:
        found = stats(the_cache(folder / "caches"))
        cache = whole.ledger["cache"]
        supervised = sum(part["supervised"] for part in whole.ledger["tokens"].values())
        assert cache["identity"] == found.identity
        assert cache["positions"] == found.positions == supervised
        assert cache["lost"] == found.reconstruction
        assert 0 < cache["bytes_per_token"] < found.bytes_per_position
        assert f"KL mean {cache['lost']['rebuilt']['mean']:.3f}" in whole.summary()
        loss = whole.ledger["loss"]
        assert loss["held_out"]["forward_kl"] < loss["base_held_out"]["forward_kl"]

    def test_another_student_asks_nothing(self, folder: Path, whole: DistillResult) -> None:
        """Other seed, start, rates and share held out; the same rows and temperature."""
        before = files(the_cache(folder / "caches"))
        seen: list[Progress] = []
        settings = {"cache": CACHE, "seed": 3, "layers": 1, "held_out": 0.3, "max_steps": 2}
        run_distill(making.config("second", **settings), folder, progress=seen.append)
        assert {progress.stage for progress in seen} == {"base", "train", "measure"}
        assert files(the_cache(folder / "caches")) == before

    def test_a_finished_cache_needs_no_teacher(
        self, folder: Path, whole: DistillResult, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """Neither to look before training, nor to plan, nor to train: its weights stay on disk."""

        def load(*_: Any) -> None:
            raise AssertionError("the teacher was loaded")

        monkeypatch.setattr("ullage.distill.loaded.load_model", load)
        settings = {"cache": CACHE, "seed": 5, "layers": 1, "max_steps": 1}
        recipe = making.config("unasked", **settings)
        found = run_preflight(recipe, folder)
        assert found.facts["teacher"]["not_asked"].startswith("likelihood of the references")
        assert any("a finished cache has all" in line for line in found.lines())
        planned = run_distill(recipe, folder, plan_only=True).ledger["forecast"]
        assert planned["loads"]["teacher"] is None
        assert planned["memory_bytes"]["teacher"] == planned["tokens"]["teacher_reads"] == 0
        made = run_distill(recipe, folder)
        assert made.ledger["preflight"]["facts"]["teacher"] == found.facts["teacher"]

        more = making.config("unasked-more", **{**settings, "max_length": 150})
        planned = run_distill(more, folder, plan_only=True).ledger["forecast"]
        assert planned["loads"]["teacher"] is not None
        tokens = planned["tokens"]
        assert tokens["teacher_reads"] == pytest.approx(making.ROWS * tokens["per_row"], rel=1e-3)
        with pytest.raises(AssertionError, match="was loaded"):
            run_preflight(more, folder)

    def test_the_teacher_is_let_go_of_when_it_has_said_all(self, folder: Path) -> None:
        """What looked at it before training and filled the cache keeps nothing of it."""
        alive: dict[str, int] = {}

        def count(progress: Progress) -> None:
            gc.collect()
            alive[progress.stage] = sum(
                type(thing) is LlamaForCausalLM and thing.config.num_hidden_layers == 4
                for thing in gc.get_objects()
            )

        before = {**CACHE, "folder": "let-go-caches"}
        run_distill(making.config("let-go", cache=before, max_steps=1), folder, progress=count)
        assert alive["cache"] == alive["train"] + 1

    def test_where_it_lies_is_no_setting(self, folder: Path, whole: DistillResult) -> None:
        elsewhere = {**CACHE, "folder": "elsewhere"}
        assert making.make(folder, "whole", cache=elsewhere).status == "reused"

    def test_another_temperature_is_another_cache(self, folder: Path) -> None:
        for temperature in (1.0, 2.0):
            settings = {"cache": {**CACHE, "folder": "warm"}, "max_steps": 1}
            making.make(folder, f"warm-{temperature}", temperature=temperature, **settings)
        kept = {read_manifest(found).about.temperature for found in (folder / "warm").iterdir()}
        assert kept == {1.0, 2.0}

    def test_ctrl_c_while_caching(self, folder: Path) -> None:
        settings = f"cache={json.dumps({**CACHE, 'folder': 'stopped-caches'})}"
        process = start(folder, "stopped", settings, pause=0.3)
        for _ in lines_until(process, "cache 16"):
            pass
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=60)
        assert process.returncode == Stopped.exit_code
        assert "run the same command to go on" in errors
        assert len(errors.strip().splitlines()) == 1

    def test_a_student_of_draws(self, folder: Path) -> None:
        cache = {"folder": "drawn-caches", "k": 16, "signal": "sampled"}
        made = making.make(folder, "drawn", cache=cache, max_steps=4)
        assert made.ledger["cache"]["lost"] is None
        assert "16 draws a position" in made.summary()
        loss = made.ledger["loss"]
        assert loss["held_out"]["loss"] < loss["base_held_out"]["loss"]

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"method": "black-box"}, "no term of the objective learns them"),
            ({"method": "features"}, "the objective learns hidden states, too"),
            ({"method": "relations"}, "the objective learns hidden states, too"),
            (
                {"objective": [{"term": "forward-kl"}, {"term": "attention"}]},
                "the objective learns attention maps, too",
            ),
            ({"method": "on-policy"}, "leave one of them out"),
            ({"on_policy": {}}, "leave one of them out"),
            ({"alignment": "bytes"}, "with alignment: bytes the teacher reads its own"),
            (
                {"method": "cross-tokenizer", "layers": None, "student": "hf:nowhere"},
                "with alignment: bytes the teacher reads its own",
            ),
            (
                {"objective": [{"term": "forward-kl"}, {"term": "reverse-kl", "temperature": 2}]},
                "the objective has terms at 1 and 2",
            ),
            (
                {
                    "cache": {"folder": "caches", "signal": "sampled"},
                    "objective": [{"term": "reverse-kl"}],
                },
                "draws estimate forward-kl alone, and the objective has reverse-kl",
            ),
        ],
    )
    def test_what_cannot_be_cached_is_one_line(
        self, tmp_path: Path, settings: dict[str, Any], expected: str
    ) -> None:
        """Before anything is read: here there is neither a teacher nor a corpus."""
        with pytest.raises(InputError) as caught:
            making.make(tmp_path, "refused", **{"cache": CACHE, **settings})
        assert str(caught.value).startswith("distill.cache")
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_folder_that_is_a_file_is_one_line(self, folder: Path) -> None:
        with pytest.raises(InputError, match=r"corpus\.jsonl") as caught:
            making.make(folder, "refused", cache={**CACHE, "folder": "corpus.jsonl"})
        assert "\n" not in str(caught.value)

    def test_a_damaged_cache_is_one_line(self, folder: Path, whole: DistillResult) -> None:
        shard = sorted(the_cache(folder / "caches").glob("shard-*"))[1]
        good = shard.read_bytes()
        shard.write_bytes(good[:-100] + bytes(100))
        try:
            with pytest.raises(InputError, match=r"shard-00001.*damaged"):
                making.make(folder, "damaged", cache=CACHE)
        finally:
            shard.write_bytes(good)
