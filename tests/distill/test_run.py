"""Whole distillations of a tiny real model: made, stopped, killed, resumed, reused, refused."""

from __future__ import annotations

import json
import signal
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from transformers import AutoModelForCausalLM, AutoTokenizer  # noqa: E402

from tests.distill import making  # noqa: E402
from tests.distill.killing import (  # noqa: E402
    lines_until,
    same_weights,
    start,
    weights,
    without_timing,
)
from tests.support.server import LoopbackServer  # noqa: E402
from ullage.distill import DistillResult, run_distill  # noqa: E402
from ullage.distill.result import Progress, Stopped  # noqa: E402
from ullage.distill.resume import last_checkpoint  # noqa: E402
from ullage.errors import InputError  # noqa: E402

pytestmark = pytest.mark.local

ROOT = Path(__file__).parents[2]
Model: Any = AutoModelForCausalLM
Tokenizer: Any = AutoTokenizer


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Teacher and corpus; each test names an output of its own in it."""
    path = tmp_path_factory.mktemp("distill")
    making.prepare(path)
    return path


@pytest.fixture(scope="module")
def whole(folder: Path) -> DistillResult:
    """The uninterrupted run that others must equal."""
    return making.make(folder, "whole")


def interrupted(folder: Path, output: str, step: int, **settings: Any) -> Path:
    """A student whose making broke off in the middle of a step, and was taken up again."""

    def stop(progress: Progress) -> None:
        if progress.stage == "train" and progress.done == step:
            raise KeyboardInterrupt

    with pytest.raises(Stopped):
        run_distill(making.config(output, **settings), folder, progress=stop)
    made = making.make(folder, output, **settings)
    assert 0 < made.ledger["timing"]["resumed_from_step"] < step
    return made.output


def again(folder: Path, output: str, **settings: Any) -> list[str]:
    """Go on with a student whose process was killed; what is told meanwhile, as that one does."""
    said: list[str] = []
    run_distill(
        making.config(output, **settings),
        folder,
        progress=lambda progress: said.append(f"{progress.stage} {progress.done}"),
    )
    return said


class TestMade:
    """What an undisturbed run leaves."""

    def test_output_loads_plainly_and_learnt_something(self, whole: DistillResult) -> None:
        student = Model.from_pretrained(whole.output)
        base = Model.from_pretrained(whole.base)
        assert student.config.num_hidden_layers == base.config.num_hidden_layers == 2
        assert student.dtype == base.dtype == torch.float32
        tokenizer = Tokenizer.from_pretrained(whole.output)
        prompt = tokenizer.apply_chat_template(
            [{"role": "user", "content": "Hello?"}], add_generation_prompt=True, return_tensors="pt"
        )
        assert student.generate(**prompt, max_new_tokens=3).shape[1] > 3
        loss = whole.ledger["loss"]
        assert loss["held_out"]["loss"] < loss["base_held_out"]["loss"] - 0.02
        assert not same_weights(whole.output, whole.base)

    def test_base_is_the_teachers_layers(self, folder: Path, whole: DistillResult) -> None:
        base, teacher = weights(whole.base), weights(folder / "teacher")
        for ours, theirs in ((0, 0), (1, 3)):
            name = "model.layers.{}.mlp.up_proj.weight"
            assert torch.equal(base[name.format(ours)], teacher[name.format(theirs)])
        assert torch.equal(base["model.embed_tokens.weight"], teacher["model.embed_tokens.weight"])

    def test_nothing_else_is_left(self, folder: Path, whole: DistillResult) -> None:
        assert not (folder / "whole.work").exists()
        assert not list(whole.output.glob("*.bin"))
        assert not list(whole.output.glob("*.pt"))
        assert "distillation.json" in (whole.output / "README.md").read_text()

    def test_ledger_is_enough_to_check_by(self, folder: Path, whole: DistillResult) -> None:
        ledger = json.loads((whole.output / "distillation.json").read_text())
        assert ledger == whole.ledger
        corpus, tokens = ledger["corpus"], ledger["tokens"]
        assert corpus["rows"] == making.ROWS
        assert corpus["train"] + corpus["held_out"] + sum(corpus["dropped"].values()) == making.ROWS
        assert corpus["audit_items_compared"] > 100
        assert tokens["train"]["supervised"] + tokens["train"]["masked"] == tokens["train"]["read"]
        assert tokens["train"]["rows_truncated"] > 0
        assert ledger["layers"] == {"of": 4, "kept": [0, 3], "left_out": [1, 2]}
        assert ledger["steps"] == making.STEPS
        assert ledger["student"]["identity"] != ledger["base"]["identity"]
        assert set(ledger["versions"]) >= {"torch", "transformers", "python"}

    def test_ledger_names_no_folder_of_this_machine(self, tmp_path: Path, folder: Path) -> None:
        """Wherever they lie, and although the configuration does; nor does the card."""
        teacher, corpus = str(folder / "teacher"), str(folder / "corpus.jsonl")
        made = making.make(
            tmp_path,
            "student",
            arms={"teacher": {"model": f"hf:{teacher}"}, "student": {"model": "hf:student"}},
            teacher=f"hf:{teacher}",
            student=f"hf:{teacher}",
            layers=None,
            corpus=corpus,
            cache={"folder": str(tmp_path / "caches")},
            max_steps=1,
        )
        ledger = made.ledger
        assert ledger["teacher"]["model"] == ledger["base"]["from"] == "hf:teacher"
        assert ledger["corpus"]["path"] == "corpus.jsonl"
        files = [made.output / "README.md", made.base / "README.md", *made.base.glob("*.json")]
        texts = [json.dumps(ledger), *(file.read_text() for file in files)]
        for place in (folder, tmp_path):
            assert not any(str(place) in text for text in texts)

    def test_held_out_loss_is_the_dense_one(self, folder: Path, whole: DistillResult) -> None:
        """Recomputed from the saved folders with whole logits, row by row."""
        from ullage.distill.corpus import prepare
        from ullage.distill.objectives import IGNORED
        from ullage.distill.rendering import render

        tokenizer = Tokenizer.from_pretrained(whole.output)
        student, teacher = (
            Model.from_pretrained(path).eval() for path in (whole.output, folder / "teacher")
        )
        corpus = prepare(
            folder / "corpus.jsonl", held_out=0.1, audit_items=[], needs_reference=True
        )
        kl = nll = count = 0.0
        for row in corpus.held_out:
            example = render(tokenizer, row.messages, 160)
            assert example is not None
            ids = torch.tensor([example.ids])
            with torch.no_grad():
                q = student(input_ids=ids).logits[0].double().log_softmax(-1)
                p = teacher(input_ids=ids).logits[0].double().log_softmax(-1)
            for position, label in enumerate(example.labels):
                if label != IGNORED:
                    kl += (p[position].exp() * (p[position] - q[position])).sum().item()
                    nll -= q[position, label].item()
                    count += 1
        held_out = whole.ledger["loss"]["held_out"]
        assert held_out["forward_kl"] == pytest.approx(kl / count, rel=1e-4)
        assert held_out["cross_entropy"] == pytest.approx(nll / count, rel=1e-4)


class TestInterrupted:
    """A run that is stopped and goes on ends where one that was not does."""

    def test_killed_and_run_again(self, folder: Path, whole: DistillResult) -> None:
        process = start(folder, "killed")
        for _ in lines_until(process, "train 5"):
            pass
        process.kill()
        process.wait()
        assert not (folder / "killed").exists()
        said = again(folder, "killed")
        assert "train 4" in said, "it should go on from the checkpoint at step 3"
        assert "train 3" not in said
        assert not any("base" in one for one in said), "the base was measured before the kill"
        assert same_weights(folder / "killed", whole.output)
        ledger = json.loads((folder / "killed" / "distillation.json").read_text())
        ours, theirs = without_timing(ledger), without_timing(whole.ledger)
        assert ours == theirs

    def test_killed_after_the_last_step(self, folder: Path, whole: DistillResult) -> None:
        """What is left is to measure and to move into place; no step is taken twice."""
        process = start(folder, "late", pause=0.2)
        for _ in lines_until(process, "measure 4"):
            pass
        process.kill()
        process.wait()
        made = making.make(folder, "late")
        assert made.ledger["timing"]["resumed_from_step"] == making.STEPS
        assert same_weights(made.output, whole.output)
        assert without_timing(made.ledger) == without_timing(whole.ledger)

    def test_ctrl_c_ends_the_step_and_saves_it(self, folder: Path, whole: DistillResult) -> None:
        process = start(folder, "stopped")
        for _ in lines_until(process, "train 5"):
            pass
        process.send_signal(signal.SIGINT)
        _, errors = process.communicate(timeout=120)
        assert process.returncode == Stopped.exit_code
        assert len(errors.strip().splitlines()) == 1
        step = int(errors.split("stopped at step ")[1].split()[0])
        assert f"stopped at step {step} of {making.STEPS}" in errors
        assert "run the same command to go on" in errors
        checkpoint = last_checkpoint(folder / "stopped.work" / "checkpoints")
        assert checkpoint is not None
        assert checkpoint.name == f"checkpoint-{step}"
        assert same_weights(making.make(folder, "stopped").output, whole.output)

    def test_weights_that_move_move_on(self, folder: Path) -> None:
        """A resumed run reads its schedules where the uninterrupted one did."""
        ramp = {"start": 0.0, "end": 2.0, "over": [0.1, 0.9], "shape": "cosine"}
        objective = [{"term": "reverse-kl"}, {"term": "cross-entropy", "weight": ramp}]
        undisturbed = making.make(folder, "ramp", objective=objective)
        still = [objective[0], {"term": "cross-entropy", "weight": 2.0}]
        assert not same_weights(
            making.make(folder, "still", objective=still).output, undisturbed.output
        )
        assert same_weights(
            interrupted(folder, "ramp-cut", 5, objective=objective), undisturbed.output
        )

    def test_a_torn_checkpoint_is_not_resumed(self, tmp_path: Path) -> None:
        for step, state in ((3, '{"global_step": 3}'), (6, '{"glob'), (9, None)):
            path = tmp_path / f"checkpoint-{step}"
            path.mkdir()
            if state is not None:
                (path / "trainer_state.json").write_text(state)
        last = last_checkpoint(tmp_path)
        assert last == tmp_path / "checkpoint-3"
        assert [path.name for path in tmp_path.iterdir()] == ["checkpoint-3"]

    def test_bf16_and_epochs(self, folder: Path) -> None:
        made = making.make(folder, "half", dtype="bfloat16", max_steps=None, epochs=2)
        rows = made.ledger["corpus"]["train"]
        assert made.ledger["steps"] == 2 * -(-rows // 8)
        loss = made.ledger["loss"]
        assert loss["held_out"]["loss"] < loss["base_held_out"]["loss"]
        assert weights(made.output)["model.norm.weight"].dtype == torch.float32


class TestAgain:
    """The same recipe is not done twice, and another does not overwrite."""

    def test_finished_output_is_reused(self, folder: Path, whole: DistillResult) -> None:
        before = (whole.output / "model.safetensors").stat().st_mtime_ns
        again = making.make(folder, "whole")
        assert again.status == "reused"
        assert again.ledger == whole.ledger
        assert (whole.output / "model.safetensors").stat().st_mtime_ns == before

    def test_saving_more_often_is_the_same_recipe(self, folder: Path, whole: DistillResult) -> None:
        assert making.make(folder, "whole", save_steps=1).status == "reused"

    @pytest.mark.parametrize("change", [{"temperature": 2.0}, {"seed": 1}, {"layers": [0, 1]}])
    def test_another_recipe_is_refused(
        self, folder: Path, whole: DistillResult, change: dict[str, Any]
    ) -> None:
        with pytest.raises(InputError) as caught:
            making.make(folder, "whole", **change)
        assert whole.ledger["recipe_digest"] in str(caught.value)
        assert str(caught.value).count("sha256:") == 2
        assert "\n" not in str(caught.value)

    def test_a_folder_of_somebody_elses_is_refused(self, folder: Path) -> None:
        (folder / "theirs").mkdir()
        with pytest.raises(InputError, match="was not made by `ullage distill`"):
            making.make(folder, "theirs")

    def test_a_base_of_another_recipe_is_refused(self, folder: Path) -> None:
        (folder / "clash-base").mkdir()
        with pytest.raises(InputError, match="clash-base: holds something"):
            making.make(folder, "clash")

    def test_plan_makes_nothing(self, folder: Path) -> None:
        planned = run_distill(making.config("later"), folder, plan_only=True)
        assert planned.status == "planned"
        assert planned.ledger["steps"] == making.STEPS
        assert str(making.STEPS) in planned.summary()
        assert not list(folder.glob("later*"))

    def test_seed_decides_the_order_of_rows(self, folder: Path, whole: DistillResult) -> None:
        other = making.make(folder, "seeded", seed=5)
        assert not same_weights(other.output, whole.output)


class TestRecipes:
    """Where students and teachers may come from."""

    def test_from_a_checkpoint(self, folder: Path, whole: DistillResult) -> None:
        made = making.make(folder, "grown", layers=None, student="hf:whole")
        assert made.ledger["layers"] is None
        assert same_weights(made.base, whole.output)
        assert not same_weights(made.output, made.base)

    def test_progress_tells_terms_rate_and_time(self, folder: Path) -> None:
        seen: list[Progress] = []
        run_distill(making.config("told", max_steps=3), folder, progress=seen.append)
        steps = [progress for progress in seen if progress.stage == "train"]
        assert [progress.done for progress in steps] == [1, 2, 3]
        assert all(set(p.terms) == {"forward_kl", "cross_entropy"} for p in steps)
        assert all((p.tokens_per_second or 0) > 0 for p in steps)
        assert steps[-1].seconds_left == 0
        stages = list(dict.fromkeys(progress.stage for progress in seen))
        assert stages == ["preflight", "base", "train", "measure"]

    def test_audit_items_are_kept_out(self, folder: Path) -> None:
        lines = (folder / "corpus.jsonl").read_text().splitlines()
        asked = [json.loads(line) for line in lines if '"system"' not in line][:2]
        task = folder / "task.jsonl"
        task.write_text(
            "".join(
                json.dumps({"messages": row["messages"][:1], "reference": "x"}) + "\n"
                for row in asked
            )
        )
        made = making.make(
            folder,
            "kept-out",
            max_steps=1,
            tasks=[{"name": "desk-task", "file": "task.jsonl"}],
            targets=[
                {
                    "probe": "desk-task",
                    "metric": "score",
                    "margin": 0.05,
                    "reason": "a test of it",
                }
            ],
        )
        assert made.ledger["corpus"]["dropped"] == {"audit_item": 2}

    @pytest.mark.parametrize(
        ("settings", "expected"),
        [
            ({"layers": None}, "neither of student"),
            ({"student": "hf:teacher"}, "both of student"),
            ({"layers": 9}, "distill.layers: 9 of 4 layers"),
            ({"teacher": "simulated:x"}, "learns from the teacher's logits"),
            ({"layers": None, "student": "openai:x"}, "has no weights to start from"),
            ({"teacher": "hf:nowhere"}, "nowhere"),
            ({"corpus": "none.jsonl"}, "none.jsonl: cannot be read"),
            ({"max_length": 2}, "no row has a supervised token within distill.max_length 2"),
        ],
    )
    def test_what_cannot_be_done_is_one_line(
        self, folder: Path, settings: dict[str, Any], expected: str
    ) -> None:
        with pytest.raises(InputError) as caught:
            making.make(folder, f"bad-{abs(hash(expected))}", **settings)
        assert expected in str(caught.value)
        assert "\n" not in str(caught.value)

    def test_a_quantised_teacher_has_no_logits_to_learn_from(self, folder: Path) -> None:
        arms = {
            "teacher": {"model": "hf:teacher", "hf": {"quantise": "rounded-int4"}},
            "student": {"model": "hf:bad-quantised"},
        }
        with pytest.raises(InputError, match=r"arms\.teacher: hf\.quantise rounded-int4"):
            making.make(folder, "bad-quantised", arms=arms)

    def test_no_recipe(self, folder: Path) -> None:
        plain = making.config("x").model_copy(update={"distill": None})
        with pytest.raises(InputError, match="has no such section"):
            run_distill(plain, folder)


class TestBlackBox:
    """The teacher's words are asked for once and then learnt."""

    def test_answers_are_asked_once_though_killed(self, folder: Path) -> None:
        def answer(body: dict[str, Any]) -> str:
            return f"It is {len(body['messages'][-1]['content'])}."

        with LoopbackServer(responder=answer) as server:
            settings: dict[str, Any] = {
                "method": "black-box",
                "student": "hf:teacher",
                "layers": None,
                "arms": {
                    "teacher": {
                        "model": "openai:big",
                        "openai": {"base_url": server.url, "max_concurrency": 2},
                        "terms": making.TERMS,
                    },
                    "student": {"model": "hf:taught"},
                },
            }
            words = [f"{key}={json.dumps(value)}" for key, value in settings.items()]
            process = start(folder, "taught", *words, pause=0.02)
            for _ in lines_until(process, "answers 20"):
                pass
            process.kill()
            process.wait()
            said = again(folder, "taught", **settings)
            stats = server.stats()
        assert stats["answered"] < making.ROWS + 10, "what the journal held was asked again"
        assert f"answers {making.ROWS}" not in said
        ledger = json.loads((folder / "taught" / "distillation.json").read_text())
        assert ledger["teacher_signal"] == {
            "used": ["text"],
            "not_used": ["attention maps", "hidden states", "logits", "rationale"],
        }
        loss = ledger["loss"]
        assert set(loss["held_out"]) == {"loss", "cross_entropy"}
        assert loss["held_out"]["loss"] < loss["base_held_out"]["loss"]
        assert (folder / "taught.work" / "answers.jsonl").exists()
        assert "127.0.0.1" not in (folder / "taught" / "README.md").read_text()

    def test_unusable_answers_are_left_out_and_counted(self, folder: Path) -> None:
        """Cut off, empty and missing ones: learning those would teach to stop in mid-sentence."""
        lines = (folder / "corpus.jsonl").read_text().splitlines()
        replies = []
        for number, line in enumerate(lines[:40]):
            messages = json.loads(line)["messages"][:-1]
            reply = {"messages": messages, "text": f"Answer {number}."}
            if number < 3:
                reply["finish_reason"] = "length"
            elif number < 5:
                reply["text"] = " "
            replies.append(json.dumps(reply))
        (folder / "replies.jsonl").write_text("\n".join(replies) + "\n")
        settings = {
            "arms": {
                "teacher": {"model": "recorded:replies.jsonl"},
                "student": {"model": "hf:own-words"},
            },
            "method": "black-box",
            "layers": None,
            "student": "hf:teacher",
            "max_steps": 2,
        }
        made = making.make(folder, "own-words", **settings)
        corpus = made.ledger["corpus"]
        assert corpus["dropped"] == {"answer_cut_off": 3, "answer_empty": 2, "teacher_failed": 20}
        assert corpus["train"] + corpus["held_out"] == 35
        assert making.make(folder, "own-words", **settings).status == "reused"

    def test_a_local_teacher_that_never_ends_teaches_nothing(self, folder: Path) -> None:
        with pytest.raises(InputError, match=r"'answer_cut_off': \d+.*generate_max_tokens"):
            making.make(folder, "endless", method="black-box", generate_max_tokens=2)
