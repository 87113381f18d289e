"""What a preflight catches, with real tokenizers and real weights."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

torch = pytest.importorskip("torch")

from transformers import LlamaConfig, LlamaForCausalLM  # noqa: E402
from typer.testing import CliRunner  # noqa: E402

from tests.distill import making  # noqa: E402
from tests.support.server import LoopbackServer  # noqa: E402
from tests.support.tiny import CHAT_TEMPLATE, END, build_tiny_model  # noqa: E402
from ullage.cli import app  # noqa: E402
from ullage.config.models import Arm  # noqa: E402
from ullage.distill import Preflight, run_distill, run_preflight  # noqa: E402
from ullage.distill.checkpoint import load_tokenizer  # noqa: E402
from ullage.distill.preflight.sides import open_side  # noqa: E402
from ullage.distill.preflight.teacher import check_determinism  # noqa: E402
from ullage.distill.rows import Row  # noqa: E402
from ullage.errors import InputError  # noqa: E402
from ullage.lab.corpus import write_corpus  # noqa: E402
from ullage.lab.evaluate import TEACHER  # noqa: E402
from ullage.lab.organisms.build import BASE  # noqa: E402
from ullage.models.types import user  # noqa: E402

pytestmark = pytest.mark.local

THINKING = (
    CHAT_TEMPLATE.removesuffix("{% endif %}")
    + "{% if enable_thinking is defined and not enable_thinking %}"
    "{{ '<think>\\n\\n</think>\\n\\n' }}{% endif %}{% endif %}"
)
"""As Qwen3's: it thinks unless told not to."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A teacher, its twin to be changed by tests, and a corpus."""
    path = tmp_path_factory.mktemp("preflight")
    making.prepare(path)
    return path


def twin(folder: Path, name: str, **changes: Any) -> str:
    """The teacher's folder again, with settings of its tokenizer changed."""
    place = folder / name
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(folder / "teacher", place)
    if "chat_template" in changes:
        template = changes.pop("chat_template")
        (place / "chat_template.jinja").unlink()
        if template is not None:
            (place / "chat_template.jinja").write_text(template, encoding="utf-8")
    path = place / "tokenizer_config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes), encoding="utf-8")
    return f"hf:{name}"


def looked_at(folder: Path, teacher: str = "hf:teacher", **settings: Any) -> Preflight:
    arms = {"teacher": {"model": teacher}, "student": {"model": "hf:out"}}
    settings.setdefault("arms", arms)
    if "student" in settings:
        settings.setdefault("layers", None)
    return run_preflight(making.config("out", **settings), folder)


def checks(found: Preflight, level: str) -> list[str]:
    return [finding.check for finding in found.findings if finding.level == level]


def only(found: Preflight, check: str) -> str:
    """The one line of a check, which says where, what and what would do."""
    (line,) = (finding.line for finding in found.findings if finding.check == check)
    assert "\n" not in line
    assert "; " in line
    return line


def test_a_sound_recipe_has_no_error_and_its_facts_can_be_counted(folder: Path) -> None:
    found = looked_at(folder, student="hf:" + twin(folder, "same").removeprefix("hf:"))
    assert found.errors == ()
    assert found.facts["vocabulary"] == {
        "tokens": 384,
        "teacher_rows": 384,
        "student_rows": 384,
        "masked_student_rows": 0,
        "other_ids": 0,
    }
    rows = found.facts["rows"]
    assert rows["rows_ended"] == rows["rows_whole"] == rows["rows_sampled"] - rows["rows_truncated"]
    assert found.facts["teacher"]["repeats_itself"] is True
    assert found.facts["teacher"]["answers_weighed"] == 8


class TestVocabulary:
    """Matched by token, never by number."""

    def test_padded(self, folder: Path) -> None:
        path = folder / twin(folder, "padded").removeprefix("hf:")
        model: Any = LlamaForCausalLM.from_pretrained(path)
        model.resize_token_embeddings(400)
        model.save_pretrained(path)
        found = looked_at(folder, student="hf:padded")
        assert found.errors == ()
        assert found.facts["vocabulary"]["masked_student_rows"] == 16
        line = only(found, "padded-vocabulary")
        assert "384 tokens sit in 384 rows of the teacher's head and 400" in line
        assert "-inf" in line

    def test_permuted_of_equal_size(self, folder: Path) -> None:
        path = folder / twin(folder, "permuted").removeprefix("hf:") / "tokenizer.json"
        data = json.loads(path.read_text())
        vocabulary = data["model"]["vocab"]
        one, other = sorted(vocabulary, key=vocabulary.get)[100:102]
        vocabulary[one], vocabulary[other] = vocabulary[other], vocabulary[one]
        path.write_text(json.dumps(data), encoding="utf-8")
        found = looked_at(folder, student="hf:permuted")
        assert found.errors == ()
        assert found.facts["vocabulary"]["other_ids"] == 2
        assert "2 of 384 tokens have another id" in only(found, "permuted-vocabulary")

    def test_another(self, folder: Path) -> None:
        build_tiny_model(folder / "other", vocabulary=320)
        found = looked_at(folder, student="hf:other")
        assert checks(found, "error") == ["vocabulary"]
        assert "64 tokens only the teacher has" in only(found, "vocabulary")
        with pytest.raises(InputError, match="differ beyond padding"):
            making.make(folder, "never", student="hf:other", layers=None)
        assert not (folder / "never-base").exists(), "nothing is made before the preflight"


class TestTemplates:
    """Missing, doubled, different, thinking."""

    def test_missing_on_both_sides(self, folder: Path) -> None:
        bare = twin(folder, "bare", chat_template=None)
        found = looked_at(folder, bare)
        assert checks(found, "error") == ["missing-template"]
        assert "hf.chat_template" in only(found, "missing-template")

    def test_missing_on_one_side(self, folder: Path) -> None:
        bare = twin(folder, "bare", chat_template=None)
        found = looked_at(folder, student=bare)
        assert found.errors == ()
        assert "takes the teacher's" in only(found, "missing-template")
        found = looked_at(folder, bare, student="hf:teacher")
        assert found.errors == ()
        assert "reads conversations as the student's" in only(found, "missing-template")

    def test_writes_bos_twice(self, folder: Path) -> None:
        twice = twin(folder, "twice", chat_template="{{ bos_token }}" + CHAT_TEMPLATE)
        found = looked_at(folder, twice)
        assert checks(found, "error") == ["double-bos"]
        assert "begins with '<|im_start|>' twice" in only(found, "double-bos")

    def test_tokenizer_adds_a_second_bos(self, folder: Path) -> None:
        place = folder / twin(folder, "adds").removeprefix("hf:") / "tokenizer.json"
        data = json.loads(place.read_text())
        bos = "<|im_start|>"
        data["post_processor"] = {
            "type": "TemplateProcessing",
            "single": [
                {"SpecialToken": {"id": bos, "type_id": 0}},
                {"Sequence": {"id": "A", "type_id": 0}},
            ],
            "pair": [{"Sequence": {"id": "A", "type_id": 0}}],
            "special_tokens": {bos: {"id": bos, "ids": [1], "tokens": [bos]}},
        }
        place.write_text(json.dumps(data), encoding="utf-8")
        found = looked_at(folder, student="hf:adds")
        assert found.errors == ()
        assert "add_special_tokens=False" in only(found, "double-bos")
        assert "the student's tokenizer puts a BOS before plain" in only(found, "bos-asymmetry")

    def test_different(self, folder: Path) -> None:
        other = twin(folder, "otherwise", chat_template="Talk:\n" + CHAT_TEMPLATE)
        found = looked_at(folder, student=other)
        assert checks(found, "error") == ["template-difference"]
        line = only(found, "template-difference")
        assert "at character 0" in line
        assert "('Talk:" in line

    def test_thinking_that_no_reference_does(self, folder: Path) -> None:
        thinks = twin(folder, "thinks", chat_template=THINKING)
        found = looked_at(folder, thinks, student=thinks)
        assert "thinks unless told not to" in only(found, "thinking-mode")
        assert found.facts["template"] == {"teacher_thinks": True, "student_thinks": True}
        found = looked_at(folder, thinks, student="hf:teacher")
        assert "the student's has none" in only(found, "thinking-mode")
        assert found.errors == ()

    def test_writes_the_date(self, folder: Path) -> None:
        dated = twin(
            folder, "dated", chat_template="{{ strftime_now('%d %b %Y') }}\n" + CHAT_TEMPLATE
        )
        assert "today's date" in only(looked_at(folder, dated), "template-date")

    def test_refuses_a_plain_question(self, folder: Path) -> None:
        strict = twin(folder, "strict", chat_template="{{ raise_exception('no') }}")
        found = looked_at(folder, strict)
        assert checks(found, "error") == ["template"]


class TestEnds:
    """A student that never learns to stop does not."""

    def test_never_supervised(self, folder: Path) -> None:
        endless = twin(folder, "endless", chat_template=CHAT_TEMPLATE.replace(END, ""))
        found = looked_at(folder, endless)
        assert checks(found, "error") == ["eos-never-supervised"]
        whole = found.facts["rows"]["rows_whole"]
        line = only(found, "eos-never-supervised")
        assert f"of {whole} answers 0 end with what stops a reply ({END})" in line

    def test_special_tokens_differ(self, folder: Path) -> None:
        other = twin(folder, "marked", eos_token="<|endoftext|>", pad_token="<|endoftext|>")
        found = looked_at(folder, student=other)
        assert found.errors == (), "its generation config still names what the template writes"
        assert "pad is '<|endoftext|>'" in only(found, "pad-asymmetry")
        lines = [one.line for one in found.findings if one.check == "eos-asymmetry"]
        assert "the teacher's is '<|im_end|>'" in lines[0]
        assert "its generation config stops at ['<|im_end|>']" in lines[1]


class TestRows:
    """What the corpus becomes."""

    def test_truncation_is_counted(self, folder: Path) -> None:
        whole = looked_at(folder, max_length=1000).facts["rows"]
        found = looked_at(folder, max_length=60)
        cut = found.facts["rows"]
        assert whole["rows_truncated"] == whole["tokens_supervised_cut"] == 0
        kept = cut["tokens_supervised"] + cut["tokens_supervised_cut"]
        assert kept == whole["tokens_supervised"]
        assert f"{cut['rows_truncated']} of {cut['rows_sampled']}" in only(found, "truncation")

    def test_audit_items(self, folder: Path) -> None:
        line = (folder / "corpus.jsonl").read_text().splitlines()
        asked = next(row for row in map(json.loads, line) if row["messages"][0]["role"] == "user")
        item = {"messages": asked["messages"][:1], "reference": "x"}
        (folder / "task.jsonl").write_text(json.dumps(item) + "\n")
        target = {"probe": "desk", "metric": "score", "margin": 0.05, "reason": "a test of it"}
        tasks = [{"name": "desk", "file": "task.jsonl"}]
        found = looked_at(folder, tasks=tasks, targets=[target])
        assert found.errors == ()
        assert f"1 of {making.ROWS} rows ask what the audit asks" in only(found, "audit-items")

    def test_a_template_that_rewrites_earlier_turns(self, folder: Path) -> None:
        forgets = twin(
            folder,
            "forgets",
            chat_template=CHAT_TEMPLATE.replace(
                "message['content']",
                "(message['content'] if loop.last or message['role'] != 'assistant' else '-')",
            ),
        )
        found = looked_at(folder, forgets, student=forgets)
        rows = found.facts["rows"]
        assert 0 < rows["rows_template_rewrites"] < rows["rows_sampled"]
        assert "rewrites earlier turns" in only(found, "template-rewrites")


class TestTerms:
    """A black-box teacher teaches only where somebody has read that it may."""

    ASKED: dict[str, Any] = {"method": "black-box", "student": "hf:teacher", "layers": None}  # noqa: RUF012

    def arms(self, url: str = "http://127.0.0.1:9/v1", **terms: Any) -> dict[str, Any]:
        stated = {"terms": terms} if terms else {}
        return {
            "teacher": {"model": "openai:big", "openai": {"base_url": url}, **stated},
            "student": {"model": "hf:out"},
        }

    def test_unknown(self, folder: Path) -> None:
        found = looked_at(folder, arms=self.arms(), **self.ASKED)
        assert checks(found, "error") == ["terms"]
        assert "may outputs of 'openai:big' train a model? nothing says so" in only(found, "terms")
        with pytest.raises(InputError, match=r"state arms\.teacher\.terms"):
            run_distill(making.config("out", arms=self.arms(), **self.ASKED), folder)

    def test_stated(self, folder: Path) -> None:
        terms = {
            "may_train": True,
            "document": "https://x.example/terms §3",
            "read_on": "2026-02-01",
        }
        with LoopbackServer() as server:
            arms = self.arms(server.url, **terms)
            found = looked_at(folder, arms=arms, **self.ASKED)
            recipe = making.config("out", arms=arms, **self.ASKED)
            planned = run_distill(recipe, folder, plan_only=True)
        assert found.errors == ()
        assert found.facts["terms"] == terms
        assert planned.ledger["teacher"]["terms"] == terms

    def test_forbidden(self, folder: Path) -> None:
        terms: dict[str, Any] = {"may_train": False, "document": "ToS", "read_on": "2026-02-01"}
        found = looked_at(folder, arms=self.arms(**terms), **self.ASKED)
        assert checks(found, "error") == ["terms"]
        assert "may not train a model, says 'ToS'" in only(found, "terms")

    def test_weights_of_ones_own_need_none(self, folder: Path) -> None:
        assert looked_at(folder).facts["terms"]["may_train"] is None


class TestTeacher:
    """What the weights say."""

    @pytest.fixture
    def lab(self, tmp_path_factory: pytest.TempPathFactory) -> Path:
        folder = tmp_path_factory.mktemp("lab")
        write_corpus(folder / "corpus.jsonl", 0, 40)
        (folder / "chatml.jinja").write_text(CHAT_TEMPLATE, encoding="utf-8")
        return folder

    def weighed(self, folder: Path, options: dict[str, Any], student: Path = BASE) -> Preflight:
        arms = {
            "teacher": {"model": f"hf:{TEACHER}", "hf": options},
            "student": {"model": "hf:out"},
        }
        return looked_at(folder, arms=arms, student=f"hf:{student}", max_length=512)

    def test_its_own_template_is_the_likeliest(self, lab: Path) -> None:
        found = self.weighed(lab, {})
        teacher = found.facts["teacher"]
        assert teacher["nats_per_token_used"] < 0.5
        assert teacher["nats_per_token_used"] < teacher["nats_per_token_plain"]
        assert "teacher-nll" not in checks(found, "warning")

    def test_a_wrong_template_shows(self, lab: Path, folder: Path) -> None:
        """ChatML on a teacher tuned to another format; the student has lost its template."""
        bare = lab / "bare"
        shutil.copytree(BASE, bare, dirs_exist_ok=True)
        (bare / "chat_template.jinja").unlink()
        template = (lab / "chatml.jinja").read_text().replace("<|im_end|>", "<end>")
        (lab / "chatml.jinja").write_text(template)
        found = self.weighed(lab, {"chat_template": "chatml.jinja"}, bare)
        teacher = found.facts["teacher"]
        assert teacher["nats_per_token_used"] > teacher["nats_per_token_own"] + 1
        lines = [one.line for one in found.findings if one.check == "teacher-nll"]
        assert any("the template its checkpoint brings" in line for line in lines), found.findings

    def test_weights_drawn_at_random_are_worse_than_guessing(self, folder: Path) -> None:
        found = looked_at(folder)
        assert "guessing among all tokens" in only(found, "teacher-nll")

    def test_determinism(self, folder: Path) -> None:
        arm, key = Arm(model="hf:teacher"), "distill.teacher"
        side = open_side(arm, folder, "teacher", key, load_tokenizer(arm, folder, key))
        model: Any = LlamaForCausalLM(LlamaConfig(**{**SMALL, "attention_dropout": 0.5}))
        rows: Sequence[Row] = [Row(1, (user("What now?"),), None)]
        assert check_determinism(model.eval(), side, rows, 64).facts == {"repeats_itself": True}
        found = check_determinism(model.train(), side, rows, 64)
        assert found.facts == {"repeats_itself": False}
        assert "from one pass to the next" in found.findings[0].line


SMALL: dict[str, Any] = {
    "vocab_size": 384,
    "hidden_size": 16,
    "intermediate_size": 16,
    "num_hidden_layers": 1,
    "num_attention_heads": 2,
}


class TestInARun:
    """Errors stop it, warnings are kept."""

    def test_warnings_are_in_the_ledger(self, folder: Path) -> None:
        made = making.make(folder, "warned", max_steps=1, max_length=60)
        kept = {entry["check"] for entry in made.ledger["preflight"]["findings"]}
        assert "truncation" in kept
        assert made.ledger["preflight"]["facts"]["teacher"]["repeats_itself"] is True
        assert "warning [truncation]" in made.summary()
        assert json.loads((made.output / "distillation.json").read_text()) == made.ledger
        assert str(folder) not in json.dumps(made.ledger)

    def test_the_command(self, folder: Path) -> None:
        config = folder / "ullage.yaml"
        plain = making.config("out").model_dump(mode="json", exclude_unset=True)
        config.write_text(json.dumps(plain), encoding="utf-8")
        done = CliRunner().invoke(app, ["distill", str(config), "--preflight", "--json"])
        assert done.exit_code == 0
        said = json.loads(done.stdout)
        assert said["ok"] is True
        assert said["facts"]["rows"]["rows_sampled"] > 0
        arguments = ["distill", str(config), "--preflight", "-o", "distill.max_length=2"]
        failed = CliRunner().invoke(app, arguments)
        assert failed.exit_code == 2
        assert "error [truncation]" in failed.stdout
        assert not (folder / "out").exists()
        assert not (folder / "out.work").exists()
