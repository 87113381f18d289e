"""Whether teacher and student read one and the same conversation: vocabularies, templates, ends."""

from __future__ import annotations

from collections.abc import Sequence

from ullage.distill.preflight.findings import Checked, Finding, error, of_refusal, warning
from ullage.distill.preflight.sides import Reads, Side
from ullage.distill.vocabulary import VocabularyMap, align_vocabularies
from ullage.errors import InputError
from ullage.models.types import Message

_EXCERPT = 24
"""Characters shown from where two renderings part."""

_TALK = (Message("user", "Hello?"), Message("assistant", "Yes."), Message("user", "And now?"))
"""A conversation that every template can write."""


def check_vocabulary(teacher: Side, student: Side) -> Checked:
    """Both vocabularies, token string by token string."""
    try:
        found = align_vocabularies(
            teacher.tokenizer.get_vocab(), teacher.rows, student.tokenizer.get_vocab(), student.rows
        )
    except InputError as refusal:
        return Checked((of_refusal("vocabulary", refusal),))
    tokens = found.student_ids_K.numel()
    moved = int((found.student_ids_K != found.teacher_ids_K).sum())
    findings: list[Finding] = []
    if teacher.rows != student.rows:
        findings.append(
            warning(
                "padded-vocabulary",
                f"distill.student: {tokens:,} tokens sit in {teacher.rows:,} rows of the teacher's "
                f"head and {student.rows:,} of the student's; rows that stand for no token are "
                "masked with -inf here",
                "nothing to do for this run, but whatever else compares these logits must match "
                "them by token, never by position",
            )
        )
    if moved:
        findings.append(
            warning(
                "permuted-vocabulary",
                f"distill.student: {moved:,} of {tokens:,} tokens have another id than in the "
                "teacher; they are matched by what they say",
                "make sure that this tokenizer is the one the student's weights were trained with: "
                "if not, take the right one",
            )
        )
    return Checked(tuple(findings), _vocabulary_facts(found, tokens, moved))


def _vocabulary_facts(found: VocabularyMap, tokens: int, moved: int) -> dict[str, int]:
    return {
        "tokens": tokens,
        "teacher_rows": found.teacher_rows,
        "student_rows": found.student_rows,
        "masked_student_rows": found.student_rows - tokens,
        "other_ids": moved,
    }


def check_template(side: Side) -> list[Finding]:
    """What is wrong with one side's template, whatever the other's is."""
    if side.template is None:
        return []
    findings = []
    name, bos = f"{side.key}: the {side.role}'s chat template", side.tokenizer.bos_token
    text = side.text(_TALK[:1], ask=True)
    if text is None:
        return [
            error(
                "template",
                f"{name} refuses a plain question",
                "give a template that writes user and assistant turns (hf.chat_template)",
            )
        ]
    if bos and text.startswith(bos * 2):
        findings.append(
            error(
                "double-bos",
                f"{name} begins with {bos!r} twice",
                "remove one from the template (hf.chat_template)",
            )
        )
    elif bos and _begins_twice(side, text):
        findings.append(
            warning(
                "double-bos",
                f"{name} writes {bos!r} and its tokenizer adds another to text; here only the "
                "template's is used",
                "serve it with add_special_tokens=False, or take the token out of one of the two",
            )
        )
    if "strftime_now" in (side.template or ""):
        findings.append(
            warning(
                "template-date",
                f"{name} writes today's date, so the same conversation reads otherwise tomorrow",
                "write a fixed date, or none, into the template",
            )
        )
    return findings


def _begins_twice(side: Side, text: str) -> bool:
    bos = side.tokenizer.bos_token_id
    return list(side.tokenizer(text)["input_ids"][:2]) == [bos, bos]


def check_missing_template(teacher: Side | None, student: Side, reads: Reads) -> list[Finding]:
    """Which side has no template, and what is done about it."""
    theirs = teacher.template if teacher is not None else None
    if student.template is None and theirs is None:
        return [
            error(
                "missing-template",
                f"{student.key}: neither teacher nor student has a chat template, so conversations "
                "cannot be written as tokens",
                "use an instruction-tuned checkpoint or give arms.teacher.hf.chat_template",
            )
        ]
    if student.template is None:
        return [
            warning(
                "missing-template",
                f"{student.key}: the student has no chat template and takes the teacher's",
                "right for a base model; for one that was tuned to a format, give it that format's",
            )
        ]
    if teacher is None or theirs is not None or reads is Reads.NOTHING:
        return []
    found = f"{teacher.key}: the teacher has no chat template and "
    if reads is Reads.ITS_OWN:
        found += "cannot read conversations in its own tokens"
        return [error("missing-template", found, "give arms.teacher.hf.chat_template")]
    if reads is Reads.PROMPTS:
        found += "is asked in plain `User: ... Assistant:`"
    else:
        found += "reads conversations as the student's writes them"
    mend = "right for a base model; for one that was tuned to a format, give it that format's"
    return [warning("missing-template", found, f"{mend} (arms.teacher.hf.chat_template)")]


def check_same_reading(
    teacher: Side, student: Side, sample: Sequence[Sequence[Message]]
) -> list[Finding]:
    """Whether both templates tell one story: the teacher is fed what the student's writes."""
    if teacher.template is None or student.template is None:
        return []
    for messages in sample:
        theirs, ours = teacher.text(messages), student.text(messages)
        if theirs is None or ours is None or theirs == ours:
            continue
        at = next(
            (
                index
                for index, pair in enumerate(zip(theirs, ours, strict=False))
                if len({*pair}) > 1
            ),
            min(len(theirs), len(ours)),
        )
        return [
            error(
                "template-difference",
                f"distill.student: at character {at} the student's template renders conversations "
                f"unlike the teacher's ({ours[at : at + _EXCERPT]!r} against "
                f"{theirs[at : at + _EXCERPT]!r}), so the two would answer different prompts",
                "give the student the teacher's template, or use method: black-box",
            )
        ]
    return []


def check_thinking(
    teacher: Side | None, student: Side, references: Sequence[str]
) -> tuple[list[Finding], dict[str, bool]]:
    """Whether templates can think, and whether what they announce is in the references."""
    findings: list[Finding] = []
    switches = {side.role: _thinking(side) for side in (teacher, student) if side is not None}
    theirs, ours = switches.get("teacher"), switches["student"]
    if teacher is not None and teacher.template and student.template and theirs != ours:
        can, cannot = ("teacher", "student") if theirs is not None else ("student", "teacher")
        found = (
            f"the {can}'s template has a thinking mode and the {cannot}'s has none"
            if theirs is None or ours is None
            else "teacher and student have another thinking mode by default"
        )
        findings.append(
            warning(
                "thinking-mode",
                f"distill.student: {found}",
                "give both the template the student will be served with (hf.chat_template)",
            )
        )
    if ours and references and not any("</think>" in text for text in references):
        findings.append(
            warning(
                "thinking-mode",
                f"{student.key}: the student's template thinks unless told not to, and none of "
                f"{len(references)} references does",
                "give a template with thinking off (hf.chat_template), or references with thoughts",
            )
        )
    return findings, {f"{role}_thinks": bool(state) for role, state in switches.items()}


def _thinking(side: Side) -> bool | None:
    """Whether the template thinks by default; None where it has no such switch."""
    if side.template is None:
        return None
    plain, on, off = (
        side.text(_TALK, ask=True, **options)
        for options in ({}, {"enable_thinking": True}, {"enable_thinking": False})
    )
    if on == off:
        return None
    return plain == on


def check_special_tokens(teacher: Side | None, student: Side) -> list[Finding]:
    """Begin, end and padding: the same on both sides, and the same to tokenizer and `generate`."""
    findings = []
    if teacher is not None:
        for name in ("bos", "eos", "pad"):
            theirs, ours = (getattr(one.tokenizer, f"{name}_token") for one in (teacher, student))
            if theirs != ours:
                findings.append(
                    warning(
                        f"{name}-asymmetry",
                        f"distill.student: {name} is {ours!r}, the teacher's is {theirs!r}",
                        f"set the student tokenizer's {name}_token to the teacher's, unless you "
                        "know why not",
                    )
                )
        adds = [_adds_bos(side) for side in (teacher, student)]
        if adds[0] != adds[1]:
            who = "teacher" if adds[0] else "student"
            findings.append(
                warning(
                    "bos-asymmetry",
                    f"distill.student: the {who}'s tokenizer puts a BOS before plain text, the "
                    "other's does not",
                    "compare them on chat renderings only, or make both tokenizers alike",
                )
            )
    end = student.tokenizer.eos_token_id
    if end is not None and student.generation_ends and end not in student.generation_ends:
        stops = student.tokenizer.convert_ids_to_tokens(sorted(student.generation_ends))
        findings.append(
            warning(
                "eos-asymmetry",
                f"{student.key}: the student's tokenizer ends with "
                f"{student.tokenizer.eos_token!r}, its generation config stops at {stops}",
                "make generation_config.json stop at what ends an assistant turn",
            )
        )
    return findings


def _adds_bos(side: Side) -> bool:
    bos = side.tokenizer.bos_token_id
    return bos is not None and list(side.tokenizer("a")["input_ids"][:1]) == [bos]
