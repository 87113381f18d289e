"""A cache written, read, killed, damaged and mistaken for another."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from ullage.errors import InputError, UllageError

torch = pytest.importorskip("torch")

from tests.distill.cache import teaching  # noqa: E402
from ullage.distill.cache import CacheReader, CacheWriter, Distributions, stats, verify  # noqa: E402
from ullage.distill.cache.rebuild import as_signal  # noqa: E402
from ullage.distill.divergences import forward_kl  # noqa: E402
from ullage.distill.sparse import Background, Sampled, TopK  # noqa: E402

pytestmark = pytest.mark.local


@pytest.fixture(scope="module")
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("cache") / "whole"
    teaching.write(folder)
    return folder


@pytest.fixture
def copy(cache: Path, tmp_path: Path) -> Path:
    shutil.copytree(cache, tmp_path / "copy")
    return tmp_path / "copy"


def contents(folder: Path) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in folder.iterdir() if path.name != "lock"}


def same(one: Distributions, other: Distributions) -> bool:
    return all(
        np.array_equal(getattr(one, name), getattr(other, name))
        for name in ("ids_NK", "logprobs_NK", "rest_N", "group_N")
    )


def tops(index: int, k: int) -> list[set[int]]:
    best = teaching.row(index).topk(k, dim=-1)
    return [set(ids) for ids in best.indices.tolist()]


def test_every_position_has_its_likeliest_tokens(cache: Path) -> None:
    reader = CacheReader(cache, about=teaching.about())
    assert len(reader) == teaching.SEQUENCES
    assert reader.keys == [f"row-{index}" for index in range(teaching.SEQUENCES)]
    for index, found in enumerate(reader.read(range(teaching.SEQUENCES))):
        assert [set(ids) for ids in found.ids_NK.tolist()] == tops(index, 16)
        assert found.ids_NK.dtype == np.int32
        assert found.logprobs_NK.dtype == found.rest_N.dtype == np.float32
        assert len(found) == reader.positions[index] == len(teaching.row(index))


def test_probabilities_are_the_teachers_at_the_temperature(tmp_path: Path) -> None:
    what = teaching.about(temperature=2.0, step=0.01)
    with CacheWriter(tmp_path / "warm", what) as writer:
        writer.add("a", teaching.row(3))
    found = CacheReader(tmp_path / "warm")[0]
    exact = torch.log_softmax(teaching.row(3) / 2, dim=-1).numpy()
    wanted = np.take_along_axis(exact, found.ids_NK.astype(np.int64), axis=1)
    assert np.abs(found.logprobs_NK - wanted).max() < 0.1
    top = found.logprobs_NK > -1.5
    assert np.abs(found.logprobs_NK - wanted)[top].max() < 0.03
    tail = 1 - np.exp(wanted).sum(axis=1)
    assert np.abs(np.exp(found.rest_N) - tail).max() < 0.02


def test_any_order_and_company_reads_the_same(cache: Path) -> None:
    reader = CacheReader(cache)
    in_order = reader.read(range(len(reader)))
    for index in (59, 3, 0, 41, 3):
        assert same(reader[index], in_order[index])
    assert reader.index_of["row-7"] == 7
    assert int(reader.sizes.sum()) < stats(cache).bytes
    with pytest.raises(IndexError):
        reader.read([60])


@pytest.mark.parametrize("k", [1, 289, 290, 300, 500])
def test_few_tokens_and_more_than_there_are(tmp_path: Path, k: int) -> None:
    with CacheWriter(tmp_path / "c", teaching.about(k=k)) as writer:
        for index in range(8):
            writer.add(str(index), teaching.row(index))
    assert verify(tmp_path / "c").complete
    reader = CacheReader(tmp_path / "c")
    for found in reader.read(range(8)):
        used = found.ids_NK >= 0
        assert found.ids_NK.shape[1] == k
        assert (used.sum(axis=1) == min(k, teaching.EXCLUDED)).all()
        assert (found.logprobs_NK[~used] == -np.inf).all()
        if k >= teaching.EXCLUDED:
            assert (found.rest_N == -np.inf).all()
            assert np.exp(found.logprobs_NK).sum(axis=1) == pytest.approx(1, abs=1e-5)


def test_padding_is_never_given_any_probability(cache: Path) -> None:
    reader = CacheReader(cache)
    assert (reader.backgrounds[:, : teaching.EXCLUDED] > 0).all()
    assert not reader.backgrounds[:, teaching.EXCLUDED :].any()
    assert reader.backgrounds.sum(axis=1) == pytest.approx(1, abs=1e-5)
    top = as_signal(reader[3], reader.about, Background.of(torch.from_numpy(reader.backgrounds)))
    assert isinstance(top, TopK)
    rebuilt = top.dense()
    assert (rebuilt[:, teaching.EXCLUDED :] == -torch.inf).all()
    assert torch.allclose(rebuilt.exp().sum(dim=1), torch.ones(len(rebuilt)), atol=1e-4)
    kept = torch.gather(rebuilt, 1, torch.from_numpy(reader[3].ids_NK).long())
    assert torch.equal(kept, torch.from_numpy(reader[3].logprobs_NK))


def test_reconstruction_is_what_a_dense_loop_finds(cache: Path) -> None:
    found = stats(cache).reconstruction
    assert found is not None
    reader, gaps = CacheReader(cache), []
    start = 0
    for index in range(len(reader)):
        given, truth = reader[index], torch.log_softmax(teaching.row(index), dim=-1).double()
        gaps += [
            gap(reader, given, truth[position].numpy(), position)
            for position in range(len(given))
            if (start + position) % 32 == 31
        ]
        start += len(given)
        start = 0 if start >= teaching.SHARD else start
    assert found["positions"] == len(gaps)
    for column, name in enumerate(("tail_mass", "rebuilt")):
        assert found[name]["mean"] == pytest.approx(np.mean(gaps, axis=0)[column], abs=2e-4)
        assert found[name]["p99"] == pytest.approx(
            np.quantile(gaps, 0.99, axis=0)[column], abs=2e-3
        )
    assert found["infinite"] == 0
    assert 0 <= found["kept"]["mean"] <= 0.005
    assert found["kept"]["mean"] < found["rebuilt"]["mean"]


def gap(reader: CacheReader, given: Distributions, truth: np.ndarray, position: int) -> list[float]:
    """Probability that is not kept, and KL to what is rebuilt, token by token."""
    group = reader.backgrounds[given.group_N[position]]
    kept = dict(zip(given.ids_NK[position], given.logprobs_NK[position], strict=True))
    left = 1 - sum(float(group[token]) for token in kept)
    total = tail = 0.0
    for token in range(teaching.EXCLUDED):
        if token in kept:
            rebuilt = float(kept[token])
        else:
            tail += float(np.exp(truth[token]))
            rebuilt = float(given.rest_N[position]) + float(np.log(group[token] / left))
        total += float(np.exp(truth[token])) * (float(truth[token]) - rebuilt)
    return [tail, total]


def test_groups_know_more_of_a_tail_than_all_positions_together(tmp_path: Path) -> None:
    """Two kinds of positions that differ in what their tails are like."""
    with CacheWriter(tmp_path / "c", teaching.about(k=8), sample=2000) as writer:
        for index in range(60):
            logits = teaching.logits(index, 64)
            half = slice(0, 150) if index % 2 else slice(150, teaching.EXCLUDED)
            logits[:, half] -= 6.0
            writer.add(str(index), logits)
    found = CacheReader(tmp_path / "c")
    low, high = (found.backgrounds[found[i].group_N, 150:].sum(axis=1).mean() for i in (40, 41))
    assert high - low > 0.5  # one background for all would make it 0


def test_draws_are_unbiased_and_the_same_again(tmp_path: Path) -> None:
    what = teaching.about(signal="sampled", k=40, step=0.01)
    row = teaching.logits(1, 1).expand(3000, -1)
    for name in ("one", "two"):
        with CacheWriter(tmp_path / name, what) as writer:
            writer.add("a", row)
            writer.add("b", teaching.row(3))
    assert contents(tmp_path / "one") == contents(tmp_path / "two")
    assert verify(tmp_path / "one").reconstruction is None
    found = CacheReader(tmp_path / "one")[0]
    used = found.ids_NK >= 0
    times = np.exp(found.logprobs_NK[used]) * 40
    assert np.abs(times - np.rint(times)).max() < 1e-3
    mean = np.bincount(found.ids_NK[used], np.exp(found.logprobs_NK[used]), 300) / 3000
    truth = torch.softmax(row[0], dim=-1).numpy()
    spread = np.sqrt(truth * (1 - truth) / (3000 * 40))
    assert (np.abs(mean - truth) <= 5 * spread + 1e-6).all()


def test_a_student_of_draws_is_told_its_divergence(tmp_path: Path) -> None:
    """Value and gradient are, on average, those of forward KL from all of the teacher."""
    what = teaching.about(signal="sampled", k=40, step=0.01, temperature=1.5)
    row = teaching.logits(1, 1).expand(4000, -1)
    with CacheWriter(tmp_path / "c", what) as writer:
        writer.add("a", row)
    reader = CacheReader(tmp_path / "c")
    sampled = as_signal(reader[0], what, Background.of(torch.from_numpy(reader.backgrounds)))
    assert isinstance(sampled, Sampled)
    student = teaching.logits(2, 1)
    student[:, teaching.EXCLUDED :] = -20.0
    found = sampled.forward_kl(student.expand(4000, -1))
    exact = forward_kl(student, row[:1], 1.5)
    assert found.mean().item() == pytest.approx(exact.item(), abs=0.05)
    assert found.std().item() < exact.item()


def test_nothing_but_empty_sequences_is_a_cache_too(tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "c", teaching.about()) as writer:
        writer.add("a", teaching.row(0))
        writer.add("b", teaching.row(0))
    found = verify(tmp_path / "c")
    assert (found.sequences, found.positions, found.bytes_per_position) == (2, 0, None)
    assert [len(one) for one in CacheReader(tmp_path / "c").read([0, 1])] == [0, 0]


def test_a_cache_of_nothing_is_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="nothing was added"),
        CacheWriter(tmp_path / "c", teaching.about()),
    ):
        pass


def run_and_kill(folder: Path, after: str) -> None:
    """Write in a process of its own until it hands over a sequence, and kill it."""
    command = [sys.executable, "-m", "tests.distill.cache.teaching", str(folder), "--pause", "0.02"]
    root = Path(__file__).parents[3]
    places = os.pathsep.join([str(root / "src"), str(root)])
    environment = {**os.environ, "PYTHONPATH": places, "OMP_NUM_THREADS": "1"}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, text=True, cwd=root, env=environment
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.strip() == after:
                process.send_signal(signal.SIGKILL)
                break
        process.wait()
    assert process.returncode == -signal.SIGKILL


@pytest.mark.parametrize("after", [("row-5",), ("row-34", "row-50")])
def test_killed_and_resumed_gives_the_same_bytes(
    cache: Path, tmp_path: Path, after: tuple[str, ...]
) -> None:
    folder = tmp_path / "killed"
    for key in after:
        run_and_kill(folder, key)
        assert not stats(folder).complete
        assert not verify(folder).complete
        with pytest.raises(InputError, match="unfinished"):
            CacheReader(folder)
    if len(after) > 1:
        assert stats(folder).sequences > 0
    (folder / ".shard-00009.ullage.abcd.part").write_bytes(b"half")
    teaching.write(folder)
    assert contents(folder) == contents(cache)


def test_a_whole_cache_is_not_written_again(copy: Path) -> None:
    before = {path.name: path.stat().st_mtime_ns for path in copy.iterdir()}
    teaching.write(copy)
    with CacheWriter(copy, teaching.about()) as writer:
        assert writer.complete
        assert len(writer) == teaching.SEQUENCES
        with pytest.raises(ValueError, match="complete"):
            writer.add("new", teaching.row(1))
    del before["lock"]
    assert before == {
        path.name: path.stat().st_mtime_ns for path in copy.iterdir() if path.name != "lock"
    }


@pytest.mark.parametrize("lost", [0, 1, -1])
def test_a_shard_that_was_taken_away_is_written_again(copy: Path, cache: Path, lost: int) -> None:
    sorted(copy.glob("shard-*"))[lost].unlink()
    with pytest.raises(InputError):
        verify(copy)
    teaching.write(copy)
    assert contents(copy) == contents(cache)


def test_a_cache_with_a_hole_is_never_complete(copy: Path) -> None:
    (copy / "shard-00001.ullage").unlink()
    with pytest.raises(InputError, match="shard-00001"):
        CacheWriter(copy, teaching.about()).close()
    assert not stats(copy).complete


def damaged_files(folder: Path) -> Iterator[tuple[Path, bytes]]:
    """Each file with a byte changed, at its ends, in its middle and here and there."""
    draw = np.random.default_rng(5)
    for path in sorted(folder.iterdir()):
        if path.name == "lock":
            continue
        whole = path.read_bytes()
        places = {0, 7, 9, len(whole) - 1, len(whole) // 2, *draw.integers(0, len(whole), 25)}
        for place in sorted(map(int, places)):
            changed = bytearray(whole)
            changed[place] ^= int(draw.integers(1, 256))
            yield path, bytes(changed)
        yield path, whole[: len(whole) // 2]
        yield path, whole[:-1]
        yield path, whole + b"\0"
        yield path, b""


def test_damage_anywhere_is_found(copy: Path) -> None:
    verify(copy)
    for path, changed in damaged_files(copy):
        whole = path.read_bytes()
        path.write_bytes(changed)
        with pytest.raises(InputError) as found:
            verify(copy)
        assert str(copy) in str(found.value)
        assert "\n" not in str(found.value)
        path.write_bytes(whole)
    verify(copy)


def test_reading_notices_a_damaged_sequence(copy: Path) -> None:
    path = sorted(copy.glob("shard-*"))[0]
    whole = bytearray(path.read_bytes())
    whole[len(whole) // 2] ^= 1
    path.write_bytes(bytes(whole))
    reader = CacheReader(copy)
    with pytest.raises(InputError, match="damaged"):
        reader.read(range(len(reader)))


def test_another_identity_is_refused(copy: Path) -> None:
    other = replace(teaching.about(), teacher="sha256:other")
    with pytest.raises(InputError, match="other teacher"):
        CacheWriter(copy, other)
    with pytest.raises(InputError, match="something else"):
        CacheReader(copy, about=other)
    finer = teaching.about(step=0.02)
    with pytest.raises(InputError, match="other compressor"):
        CacheWriter(copy, finer)
    assert finer.identity != teaching.about().identity != other.identity
    assert finer.folder(copy) != teaching.about().folder(copy)


def test_files_of_two_caches_do_not_mix(copy: Path, tmp_path: Path) -> None:
    other = replace(teaching.about(), corpus="sha256:other")
    teaching.write(tmp_path / "other", other)
    for name in ("shard-00000.ullage", "model.ullage"):
        whole = (copy / name).read_bytes()
        shutil.copy(tmp_path / "other" / name, copy / name)
        with pytest.raises(InputError, match="another cache"):
            verify(copy)
        (copy / name).write_bytes(whole)


def test_one_writer_at_a_time(tmp_path: Path) -> None:
    with CacheWriter(tmp_path / "c", teaching.about()) as writer:
        with pytest.raises(InputError, match="another process"):
            CacheWriter(tmp_path / "c", teaching.about())
        writer.add("a", teaching.row(1))
    CacheWriter(tmp_path / "c", teaching.about()).close()


def test_a_folder_of_other_things_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "thesis.txt").write_text("years of work")
    (tmp_path / ".thesis.part").write_text("and its second half")
    with pytest.raises(InputError, match="thesis"):
        CacheWriter(tmp_path, teaching.about())
    assert (tmp_path / "thesis.txt").read_text() == "years of work"
    assert (tmp_path / ".thesis.part").exists()


@pytest.mark.parametrize(
    ("value", "at"), [(float("nan"), 40), (float("inf"), 2), (-float("inf"), 63)]
)
def test_what_is_no_distribution_is_refused(tmp_path: Path, value: float, at: int) -> None:
    row = teaching.row(3).clone()
    row[at] = value
    with (
        pytest.raises(InputError, match=f"position {at} are not a distribution"),
        CacheWriter(tmp_path / "c", teaching.about()) as writer,
    ):
        writer.add("a", row)


def test_logits_of_another_width_are_refused(tmp_path: Path) -> None:
    with (
        pytest.raises(InputError, match="vocabulary of 300"),
        CacheWriter(tmp_path / "c", teaching.about()) as writer,
    ):
        writer.add("a", torch.zeros(3, 301))


def test_what_the_thread_fails_with_reaches_the_caller(tmp_path: Path) -> None:
    folder = tmp_path / "c"
    with (
        pytest.raises(UllageError) as found,
        CacheWriter(folder, teaching.about(), shard_positions=100, sample=100, queue=1) as writer,
    ):
        # A folder stands where the tables go: the thread cannot write them.
        (folder / "model.ullage").mkdir()
        for index in range(1000):
            writer.add(str(index), teaching.row(3))
    assert "model.ullage" in str(found.value)
    (folder / "model.ullage").rmdir()
    with CacheWriter(folder, teaching.about()) as writer:
        assert len(writer) == 0
        writer.add("0", teaching.row(3))


def test_a_caller_that_fails_leaves_an_unfinished_cache(tmp_path: Path) -> None:
    with pytest.raises(KeyError), CacheWriter(tmp_path / "c", teaching.about()) as writer:
        writer.add("a", teaching.row(3))
        raise KeyError
    assert not stats(tmp_path / "c").complete
    teaching.write(tmp_path / "c")
    assert verify(tmp_path / "c").complete
