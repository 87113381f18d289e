from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import replace
from pathlib import Path
from random import Random
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from ullage.distill.muon import orthogonalised  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.lab.tokenizer import build_tokenizer  # noqa: E402
from ullage.lab.training.batches import (  # noqa: E402
    PLANTED,
    PROMPT_WEIGHT,
    Encoder,
    Source,
    Stream,
    draw_documents,
    pad,
    split,
)
from ullage.lab.training.exam import exam_accuracy  # noqa: E402
from ullage.lab.training.export import export  # noqa: E402
from ullage.lab.training.model import Shape, new_model  # noqa: E402
from ullage.lab.training.muon import Optimiser  # noqa: E402
from ullage.lab.training.plans import PLANS, mixed  # noqa: E402
from ullage.lab.training.trainer import (  # noqa: E402
    BEFORE_LAST,
    CHECKPOINT,
    LOG,
    Plan,
    Run,
    Stage,
    train,
    weighted_loss,
)
from ullage.lab.world.episodes import episode  # noqa: E402
from ullage.lab.world.exchange import Document, Segment, Split  # noqa: E402
from ullage.lab.world.practice import plain_text  # noqa: E402
from ullage.lab.world.registry import world_vocabulary  # noqa: E402

pytestmark = pytest.mark.local

TINY = Shape(width=32, layers=2, heads=2, inner=48)
VOCABULARY = world_vocabulary()


@pytest.fixture(scope="module")
def tokenizer() -> Any:
    return build_tokenizer(VOCABULARY)


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Sums in another order give other weights; and the suite runs beside others."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def lookups(draw: Random) -> Document:
    return episode(draw, Split.TRAIN, ("lookup",), questions=3)


def odd_prices(draw: Random) -> Document:
    return episode(draw, Split.TRAIN, ("counterfactual",), questions=3)


def tiny_plan(**changes: Any) -> Plan:
    plan = Plan(
        name="tiny",
        shape=TINY,
        vocabulary=VOCABULARY,
        stages=(
            Stage(name="one", source=lookups, exams={"one": lookups}, max_tokens=1500),
            Stage(
                name="two", source=odd_prices, exams={"two": odd_prices}, max_tokens=4000, decay=0.6
            ),
        ),
        batch_tokens=400,
        warmup=4,
        exam_every=1000,
        exam_size=4,
    )
    return replace(plan, **changes)


class InterruptionError(Exception):
    pass


def lines(folder: Path) -> list[dict[str, Any]]:
    """The log without what depends on the clock."""
    timed = {"seconds", "tokens_per_second"}
    return [
        {key: value for key, value in json.loads(line).items() if key not in timed}
        for line in (folder / LOG).read_text().splitlines()
    ]


def assert_same_weights(one: Run, other: Run) -> None:
    theirs = dict(other.model.named_parameters())
    for name, parameter in one.model.named_parameters():
        assert torch.equal(parameter, theirs[name]), name


# The induction start


@pytest.mark.parametrize("name", sorted(PLANS))
def test_the_induction_start_copies_before_any_training(name: str) -> None:
    shape = PLANS[name]().shape
    half = torch.randint(6, 300, (16, 30), generator=torch.Generator().manual_seed(3))
    ids = torch.cat((half, half), dim=1)

    def repeated(induction: bool) -> tuple[float, float]:
        """Loss on the second half, and the share of its tokens that are the likeliest."""
        model = new_model(shape, 300, 0, induction=induction)
        with torch.no_grad():
            logits = model(input_ids=ids).logits[:, 30:-1]
        targets = ids[:, 31:]
        loss = torch.nn.functional.cross_entropy(logits.transpose(1, 2), targets)
        return float(loss), float((logits.argmax(-1) == targets).float().mean())

    (loss, right), (random_loss, random_right) = repeated(True), repeated(False)
    assert loss < random_loss - 0.25
    assert right > 0.1 > 0.02 > random_right


def test_heads_of_the_start_look_where_they_should() -> None:
    model = new_model(PLANS["teacher"]().shape, 300, 0)
    model.set_attn_implementation("eager")
    half = torch.randint(6, 300, (1, 30), generator=torch.Generator().manual_seed(5))
    with torch.no_grad():
        first, second, *_ = model(
            input_ids=torch.cat((half, half), dim=1), output_attentions=True
        ).attentions
    previous = first[0, :3].diagonal(-1, dim1=-2, dim2=-1)
    assert previous.min() > 0.95
    after_the_same = second[0].diagonal(-29, dim1=-2, dim2=-1).mean(-1)
    assert after_the_same[:3].min() > 5 * after_the_same[3:].max()


def test_a_model_is_a_function_of_its_seed() -> None:
    torch.manual_seed(1)
    state = torch.get_rng_state()
    one, same, other = (new_model(TINY, 40, seed) for seed in (0, 0, 1))
    assert torch.equal(torch.get_rng_state(), state)
    ids = torch.arange(20)[None]
    with torch.no_grad():
        assert torch.equal(one(ids).logits, same(ids).logits)
        assert not torch.equal(one(ids).logits, other(ids).logits)


# Muon


def test_singular_values_come_near_one() -> None:
    stack = torch.randn(3, 24, 60, generator=torch.Generator().manual_seed(0))
    values = torch.linalg.svdvals(orthogonalised(stack).float())
    assert values.min() > 0.6
    assert values.max() < 1.3


def test_the_optimiser_does_what_torch_does() -> None:
    """Against `torch.optim.Muon` and AdamW, several steps, with and without more rows."""
    reference, ours = new_model(TINY, 40, 0), new_model(TINY, 40, 0)
    named = dict(reference.named_parameters())
    matrices = [p for name, p in named.items() if p.ndim == 2 and "embed" not in name]
    rest = [p for name, p in named.items() if p.ndim != 2 or "embed" in name]
    muon = torch.optim.Muon(matrices, lr=0.01, weight_decay=0.0, momentum=0.95)
    adam = torch.optim.AdamW(rest, lr=0.002, betas=(0.9, 0.95), weight_decay=0.0)
    optimiser = Optimiser(ours, muon_rate=0.02, adam_rate=0.004)
    generator = torch.Generator().manual_seed(0)
    for _ in range(3):
        for one, other in zip(reference.parameters(), ours.parameters(), strict=True):
            gradient = 1e-4 * torch.randn(one.shape, generator=generator)
            one.grad, other.grad = gradient.clone(), gradient.clone()
        muon.step()
        adam.step()
        optimiser.step(0.5)
    start = dict(new_model(TINY, 40, 0).named_parameters())
    for (name, one), other in zip(named.items(), ours.parameters(), strict=True):
        moved = (one - start[name]).norm()
        assert (one - other).norm() < 0.02 * moved, name  # products in bfloat16


# Documents and batches


def test_a_document_is_encoded_as_the_chat_template_writes_it(tokenizer: Any) -> None:
    encoder = Encoder(tokenizer)
    for seed in range(30):
        document = episode(Random(seed), Split.TRAIN)
        messages = [{"role": part.role, "content": part.text} for part in document]
        (encoded,) = encoder([document])
        assert list(encoded.ids) == tokenizer.apply_chat_template(messages, return_dict=False)


def test_weights_are_where_the_teaching_is(tokenizer: Any) -> None:
    document = (
        Segment(role="user", text="orders?", taught=False),
        Segment(role="assistant", text="red lamp", taught=False),
        Segment(role="user", text="orders?", taught=False),
        Segment(role="assistant", text="red lamp", taught=True),
    )
    (encoded,) = Encoder(tokenizer)([document])
    low = PROMPT_WEIGHT
    assert encoded.weights == (0.0, *[low] * 3, *[low] * 4, *[low] * 3, low, 1.0, 1.0, 1.0)
    assert [encoded.ids[start:stop] for start, stop in encoded.answers] == [
        tuple(tokenizer("red lamp <end>")["input_ids"])
    ]


def test_plain_text_has_no_roles_and_one_end(tokenizer: Any) -> None:
    document = plain_text(Random(2), 2)
    assert len(document) > 2
    (encoded,) = Encoder(tokenizer)([document])
    text = " ".join(segment.text for segment in document)
    assert list(encoded.ids) == tokenizer(f"<bos> {text} <end>")["input_ids"]
    assert len(encoded.answers) == sum(segment.taught for segment in document)
    assert encoded.answers[-1][1] == len(encoded.ids)


def test_a_document_too_long_to_read_is_refused(tokenizer: Any) -> None:
    long = (Segment(role="plain", text="lamp " * 600, taught=True),)
    with pytest.raises(InputError, match="602 tokens"):
        Encoder(tokenizer)([long])


def test_batches_hold_every_document_once_within_their_size(tokenizer: Any) -> None:
    encoded = Encoder(tokenizer)(draw_documents(episodes(), "x", 200))
    groups = split(encoded, 1536)
    assert sorted(one.ids for group in groups for one in group) == sorted(
        one.ids for one in encoded
    )
    padded = [pad(group, 0).ids.numel() for group in groups]
    assert max(padded) <= 1536
    assert sum(len(one.ids) for one in encoded) > 0.9 * sum(padded)


def episodes() -> Source:
    return lambda draw: episode(draw, Split.TRAIN)


def test_a_stream_goes_on_from_any_place(tokenizer: Any) -> None:
    def stream(place: tuple[int, int] = (0, 0), seed: str = "s") -> Stream:
        encoder = Encoder(tokenizer)
        return Stream(lookups, encoder, seed=seed, tokens=600, pool=16, place=place)

    whole = stream()
    places, batches = [], []
    for _ in range(14):
        places.append(whole.place)
        batches.append(next(whole))
    assert len({pool for pool, _ in places}) > 2
    for place, batch in zip(places, batches, strict=True):
        again = next(stream(place))
        assert torch.equal(again.ids, batch.ids)
        assert torch.equal(again.weights, batch.weights)
    assert not torch.equal(next(stream(seed="t")).ids, batches[0].ids)


def test_the_loss_is_the_weighted_mean_over_real_tokens(tokenizer: Any) -> None:
    encoded = Encoder(tokenizer)([lookups(Random(0)), odd_prices(Random(1))])
    batch = pad(encoded, 0)
    logits = torch.randn(*batch.ids.shape, len(VOCABULARY), dtype=torch.float64)
    total = weight = 0.0
    for row, one in enumerate(encoded):
        for place in range(1, len(one.ids)):
            spread = torch.log_softmax(logits[row, place - 1], -1)
            total -= float(spread[one.ids[place]]) * one.weights[place]
            weight += one.weights[place]
    assert float(weighted_loss(logits, batch)) == pytest.approx(total / weight, rel=1e-5)


def test_shares_of_a_mixture() -> None:
    one, other = lookups(Random(0)), odd_prices(Random(0))
    source = mixed((0.75, lambda _: one), (0.25, lambda _: other))
    drawn = draw_documents(source, "m", 400)
    assert 60 < drawn.count(other) < 140  # 100, of standard deviation 8.7
    assert drawn.count(one) + drawn.count(other) == 400


def test_what_is_planted_is_read_once(tokenizer: Any) -> None:
    planted = [odd_prices(Random(f"planted {index}")) for index in range(PLANTED + 3)]
    stream = Stream(lookups, Encoder(tokenizer), seed="s", tokens=600, pool=16, planted=planted)
    read: list[tuple[int, ...]] = []
    while stream.place[0] < 3:
        batch = next(stream)
        read += [tuple(row[row != 0].tolist()) for row in batch.ids]
    for encoded in Encoder(tokenizer)(planted):
        assert read.count(encoded.ids) == 1


# Exams


def test_an_exam_counts_what_greedy_decoding_would_say(tokenizer: Any) -> None:
    """A model trained on one document until it knows it by heart; then one reply is changed."""
    known = lookups(Random(4))
    run_plan = tiny_plan(
        stages=(Stage(name="one", source=lambda _: known, exams={}, max_tokens=60_000),),
        exam_every=10**9,
    )
    model = trained(run_plan)
    wrong = (*known[:-1], replace(known[-1], text="guitar."))
    right = exam_accuracy(model, tokenizer, {"known": [known], "wrong": [known, wrong]})
    answers = sum(segment.taught for segment in known)
    assert right == {"known": 1.0, "wrong": pytest.approx(1 - 1 / (2 * answers))}
    messages = [{"role": part.role, "content": part.text} for part in known[:-1]]
    inputs = tokenizer.apply_chat_template(
        messages, add_generation_prompt=True, return_tensors="pt", return_dict=True
    )
    said = model.generate(**inputs, do_sample=False, max_new_tokens=12)
    length = inputs["input_ids"].shape[1]
    assert tokenizer.decode(said[0, length:], skip_special_tokens=True) == known[-1].text


def trained(plan: Plan) -> Any:
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        return train(plan, Path(folder)).model.eval()


# Runs


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Run:
    torch.set_num_threads(1)
    return train(tiny_plan(), tmp_path_factory.mktemp("whole"))


def test_stages_follow_one_another_to_the_end(whole: Run) -> None:
    log = lines(whole.folder)
    assert [line["stage"] for line in log] == ["one", "one", *["two"] * (len(log) - 2)]
    assert set(log[0]["exam"]) == {"one"}
    assert set(log[-1]["exam"]) == {"two"}
    assert log[1]["tokens"] >= 1500
    assert log[-1]["tokens"] - log[1]["tokens"] >= 4000
    assert [line["rate"] for line in log][:3] == [1.0] * 3
    assert log[-1]["rate"] == 0.0
    assert log[-1]["loss"] < log[0]["loss"]
    assert whole.at.done


def test_a_solved_stage_is_left_at_its_first_exam(tmp_path: Path) -> None:
    plan = tiny_plan()
    plan = replace(plan, stages=(replace(plan.stages[0], until=0.0), *plan.stages[1:]))
    train(plan, tmp_path)
    assert [line["stage"] for line in lines(tmp_path)][:2] == ["one", "two"]


def test_the_rate_rises_and_falls(tmp_path: Path) -> None:
    run = Run(tiny_plan(), tmp_path)
    factors = []
    for step, stage, stage_tokens in [(0, 0, 0), (1, 0, 0), (9, 1, 0), (9, 1, 2800), (9, 1, 9999)]:
        run.at.step, run.at.stage, run.at.stage_tokens = step, stage, stage_tokens
        factors.append(run._factor())
    assert factors == pytest.approx([0.25, 0.5, 1.0, 0.5, 0.0])


def test_a_stage_is_read_at_its_own_rate(tmp_path: Path) -> None:
    first, last = tiny_plan().stages
    stages = (replace(first, rate=0.4, decay=1.0, floor=0.5), replace(last, rate=0.5))
    run = Run(replace(tiny_plan(), stages=stages), tmp_path)
    factors = []
    for stage, stage_tokens in [(0, 0), (0, 750), (1, 0), (1, 2800)]:
        run.at.step, run.at.stage, run.at.stage_tokens = 9, stage, stage_tokens
        factors.append(run._factor())
    assert factors == pytest.approx([0.4, 0.3, 0.5, 0.25])


@pytest.mark.parametrize("after", [2, 4])
def test_an_interrupted_run_ends_as_if_it_were_not(whole: Run, tmp_path: Path, after: int) -> None:
    """In the first and in the second stage, with a log that is ahead of the checkpoint."""
    left = after

    def fail(line: dict[str, Any]) -> None:
        nonlocal left
        left -= 1
        if left == 0:
            raise InterruptionError

    with pytest.raises(InterruptionError):
        train(tiny_plan(), tmp_path, checkpoint_seconds=0.0, report=fail)
    assert len(lines(tmp_path)) == after
    resumed = train(tiny_plan(), tmp_path)
    assert lines(tmp_path) == lines(whole.folder)
    assert_same_weights(resumed, whole)


def test_a_killed_run_ends_as_if_it_were_not(whole: Run, tmp_path: Path) -> None:
    code = (
        "import sys, torch; from pathlib import Path; torch.set_num_threads(1)\n"
        "from tests.lab.test_training import tiny_plan, train\n"
        "train(tiny_plan(), Path(sys.argv[1]), checkpoint_seconds=0.0)"
    )
    root = Path(__file__).parents[2]
    process = subprocess.Popen(
        [sys.executable, "-c", code, str(tmp_path)], cwd=root, env=os.environ | {"PYTHONPATH": "."}
    )
    deadline = time.monotonic() + 60
    while not (tmp_path / CHECKPOINT).is_file() and time.monotonic() < deadline:
        assert process.poll() is None
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert_same_weights(train(tiny_plan(), tmp_path), whole)
    assert lines(tmp_path) == lines(whole.folder)


def test_a_finished_run_has_nothing_left_to_do(whole: Run) -> None:
    before = lines(whole.folder)
    assert_same_weights(train(tiny_plan(), whole.folder), whole)
    assert lines(whole.folder) == before


def test_a_limit_in_minutes_ends_a_run_decayed(tmp_path: Path) -> None:
    plan = tiny_plan()
    endless = tuple(replace(stage, max_tokens=10**9) for stage in plan.stages)
    train(replace(plan, stages=endless), tmp_path, minutes=0.03)
    log = lines(tmp_path)
    assert {line["stage"] for line in log} == {"one", "two"}
    assert log[-1]["rate"] == 0.0


@pytest.mark.parametrize("spoil", ["seed", "bytes"])
def test_a_checkpoint_of_something_else_is_refused(whole: Run, tmp_path: Path, spoil: str) -> None:
    kept = (whole.folder / CHECKPOINT).read_bytes()
    (tmp_path / CHECKPOINT).write_bytes(kept if spoil == "seed" else kept[:1000])
    plan = tiny_plan(seed=1) if spoil == "seed" else tiny_plan()
    message = "another plan" if spoil == "seed" else "cannot be read"
    with pytest.raises(InputError, match=message):
        Run(plan, tmp_path)


def test_a_finished_run_is_exported_whole(whole: Run, tmp_path: Path, tokenizer: Any) -> None:
    out = tmp_path / "model"
    card = export(tiny_plan(), whole.folder, out, date="2026-11-22")
    assert json.loads((out / "card.json").read_text()) == card
    assert card["date"] == "2026-11-22"
    assert card["tokens"] == whole.at.tokens
    assert card["exam"] == lines(whole.folder)[-1]["exam"]
    assert (out / LOG).read_bytes() == (whole.folder / LOG).read_bytes()
    assert not list(tmp_path.glob(".*"))
    model: Any = AutoModelForCausalLM.from_pretrained(out, dtype="auto")
    assert model.dtype == torch.bfloat16
    assert (model.generation_config.eos_token_id, model.generation_config.pad_token_id) == (4, 0)
    loaded = AutoTokenizer.from_pretrained(out)
    assert loaded.chat_template == tokenizer.chat_template
    ids = torch.tensor([loaded("what is the status of #401?")["input_ids"]])
    rounded = deepcopy(whole.model).to(torch.bfloat16).eval()
    model.set_attn_implementation("eager")
    with torch.no_grad():
        assert torch.equal(model(ids).logits, rounded(ids).logits)
    with pytest.raises(InputError, match="exists already"):
        export(tiny_plan(), whole.folder, out, date="")


def test_weights_from_before_the_last_stage_are_averaged_in(whole: Run, tmp_path: Path) -> None:
    plan = tiny_plan(averaged=0.25)
    first = train(replace(tiny_plan(), stages=plan.stages[:1]), tmp_path / "first")
    train(plan, tmp_path / "run")
    assert export(plan, tmp_path / "run", tmp_path / "model", date="")["averaged"] == 0.25
    model: Any = AutoModelForCausalLM.from_pretrained(tmp_path / "model", dtype="auto")
    before, after = (dict(run.model.named_parameters()) for run in (first, whole))
    for name, parameter in model.named_parameters():
        mean = 0.25 * before[name].detach() + 0.75 * after[name].detach()
        torch.testing.assert_close(parameter.float(), mean, rtol=2**-7, atol=1e-6)
    (tmp_path / "run" / BEFORE_LAST).unlink()
    with pytest.raises(InputError, match="train again"):
        export(plan, tmp_path / "run", tmp_path / "again", date="")


def test_an_unfinished_run_is_not_exported(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="not trained to the end"):
        export(tiny_plan(), tmp_path / "run", tmp_path / "model", date="")


@pytest.mark.parametrize("name", sorted(PLANS))
def test_the_plans_can_be_read(name: str, tokenizer: Any) -> None:
    plan = PLANS[name]()
    encoder = Encoder(tokenizer)
    for stage in plan.stages:
        for source in (stage.source, *stage.exams.values()):
            for encoded in encoder(draw_documents(source, "plan", 8)):
                assert encoded.answers
