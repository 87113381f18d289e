"""What a user writes, as frozen pydantic models; `ullage schema config` exports their JSON Schema.

Attribute docstrings become the descriptions an editor shows. Unknown keys are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import date
from enum import StrEnum
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    Field,
    NonNegativeFloat,
    NonNegativeInt,
    PositiveInt,
    model_validator,
)

from ullage.config.base import DimensionName, Seed, Share, Slug, Strict
from ullage.config.imported import Imported
from ullage.config.objective import TermSettings
from ullage.config.profiles import PROFILES, Profile

_SECRET_KEYS = frozenset(
    {"apikey", "key", "authorization", "accesstoken", "authtoken", "secret", "password", "bearer"}
)


def _unique(kind: str, names: Iterable[str]) -> None:
    seen: set[str] = set()
    for name in names:
        if name in seen:
            raise ValueError(f"{kind} {name} is there twice; keep one")
        seen.add(name)


def _is_plain_url(value: str) -> str:
    try:
        parts = urlsplit(value)
        fits = parts.scheme in ("http", "https") and parts.hostname and parts.port != 0
    except ValueError:
        fits = False
    if not fits:
        raise ValueError("expected an http:// or https:// address")
    if parts.username or parts.password or parts.query or parts.fragment:
        raise ValueError(
            "an address with a user name, password or query; put the key's variable in api_key_env "
            "and parameters in extra_body"
        )
    return value


def _holds_no_secret(value: Any) -> Any:
    for inner in value.values() if isinstance(value, dict) else ():
        _holds_no_secret(inner)
    for key in value if isinstance(value, dict) else ():
        if re.sub(r"[-_ ]", "", key.lower()) in _SECRET_KEYS:
            raise ValueError(
                f"'{key}' looks like a secret, which is never written down; name the environment "
                "variable that holds it in api_key_env"
            )
    return value


class Severity(StrEnum):
    """How much a loss on a target matters."""

    MUST = "must"
    SHOULD = "should"
    MAY_LOSE = "may_lose"


class Target(Strict):
    """One capability to account for: written down, with its margin, before anything is asked."""

    probe: Slug
    """Name of a probe (`ullage probes`) or of a task of this file."""
    metric: Slug
    """A metric of that probe."""
    margin: Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
    """δ: the largest loss that would still be called kept, in the metric's own unit."""
    severity: Severity = Severity.SHOULD
    """`must` and `should` are gated, `may_lose` is reported."""
    reason: Annotated[str, Field(min_length=10)]
    """Why this margin and severity: what breaks, for whom, if more is lost."""
    headline: bool = False
    """Whether this is the performance axis (what the usual eval already measures)."""

    @property
    def id(self) -> str:
        """``probe.metric``, unique within a scenario."""
        return f"{self.probe}.{self.metric}"


class Scenario(Strict):
    """A set of targets fit for one use."""

    name: Slug
    """What `scenario:` refers to."""
    title: str
    """As the statement shows it."""
    use: str
    """What the student will be used for, in a sentence or two."""
    not_for: str = ""
    """What it must not be used for on the strength of this scenario."""
    falls_back: str = ""
    """What goes to the teacher instead of the student."""
    demands_proof: bool = True
    """Whether inconclusive or unmeasured `must` targets fail the gate (exit 3)."""
    targets: Annotated[tuple[Target, ...], Field(min_length=1)]
    """What is accounted for."""

    @model_validator(mode="after")
    def _targets_are_unique(self) -> Self:
        _unique("target", (target.id for target in self.targets))
        return self


class Price(Strict):
    """What an arm's tokens cost, in `currency` per million."""

    input_per_million: NonNegativeFloat = 0.0
    """Of prompt tokens."""
    output_per_million: NonNegativeFloat = 0.0
    """Of generated tokens."""


class HfOptions(Strict):
    """Options of ``hf:`` models (a local folder, a .gguf file, or a hub id)."""

    dtype: Literal["float32", "bfloat16", "float16"] = "float32"
    """float32 makes replies independent of batching; the others are faster and do not."""
    device: Literal["auto", "cpu", "cuda", "mps"] = "auto"
    """`auto` is CUDA where there is one, else the CPU."""
    batch_tokens: PositiveInt = 4096
    """Most tokens (rows x padded length) in one batch."""
    chat_template: str | None = None
    """Path of a Jinja chat template that replaces the tokenizer's own."""
    revision: str | None = None
    """Commit of a hub model."""
    quantise: Literal["dynamic-int8", "rounded-int4"] | None = None
    """Quantise the layers after loading. `dynamic-int8`: whole-number arithmetic, weights scaled
    per channel and activations per token, on the CPU. `rounded-int4`: weights rounded to 16 levels
    in groups of 32, the grid of llama.cpp's Q4_0, computed in `dtype`. Embeddings and head stay."""

    @model_validator(mode="after")
    def _int8_is_for_the_cpu(self) -> Self:
        if self.quantise == "dynamic-int8":
            if self.device not in ("auto", "cpu"):
                raise ValueError(
                    f"quantise: dynamic-int8 runs on the CPU, not on {self.device}; "
                    "leave device out, or use rounded-int4"
                )
            if self.dtype != "float32":
                raise ValueError(
                    f"quantise: dynamic-int8 keeps everything else in float32, not {self.dtype}; "
                    "leave dtype out, or use rounded-int4"
                )
        return self


class OpenAIOptions(Strict):
    """Options of ``openai:`` models: any OpenAI-compatible endpoint."""

    base_url: Annotated[str, AfterValidator(_is_plain_url)] = "https://api.openai.com/v1"
    """Up to and with `/v1`; no key or password in it."""
    api_key_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    """Name of the environment variable that holds the key; the key itself is never written."""
    max_concurrency: PositiveInt = 16
    """Upper bound; concurrency adapts below it when the endpoint pushes back."""
    timeout_s: Annotated[float, Field(gt=0)] = 60.0
    """For one attempt."""
    max_attempts: PositiveInt = 5
    """Tries of one request before it counts as an error."""
    max_retry_after_s: Annotated[float, Field(gt=0)] = 120.0
    """A longer Retry-After is treated as a failure."""
    logprobs: bool = False
    """Whether the endpoint reports log-probabilities (`logprobs`, `top_logprobs`)."""
    completions: bool = False
    """Whether it also has `/completions` with `echo`, which `Weigh` needs (vLLM has it; llama.cpp
    refuses `echo`)."""
    extra_body: Annotated[dict[str, Any], AfterValidator(_holds_no_secret)] = {}
    """Sent with every request (e.g. {"chat_template_kwargs": {"enable_thinking": false}})."""


class RecordedOptions(Strict):
    """Options of ``recorded:`` models: a JSONL or Parquet file of earlier outputs."""

    match: Literal["messages", "id"] = "messages"
    """Look replies up by the conversation they answered, or by item id."""
    about: dict[str, str] = {}
    """Who gave these answers, for the statement: the model's name, what ran it. No secret."""


class Behaviour(Strict):
    """How a simulated model behaves on one family (or, as the default, on all)."""

    accuracy: Share = 0.9
    """P(right answer) where one should be given."""
    abstain: Share = 0.9
    """P(abstains) where it should."""
    over_abstain: Share = 0.02
    """P(abstains) where it should answer."""
    clarify: Share = 0.9
    """P(asks back) where the question is ambiguous."""
    over_clarify: Share = 0.02
    """P(asks back) where it is clear."""
    refuse: Share = 0.95
    """P(refuses) where it should."""
    over_refuse: Share = 0.02
    """P(refuses) where it should not."""
    leak: Share = 0.02
    """P(gives away) what it should keep to itself."""
    follow: Share = 0.9
    """P(its answer follows from the steps that stand before it)."""
    hold: Share = 0.9
    """P(right answer) at a later turn of a conversation, after right replies."""
    recover: Share = 0.8
    """P(right answer) at a later turn, after a wrong reply."""
    stand: Share = 0.9
    """P(keeps a right answer) where the user calls it wrong."""
    transfer: Share = 0.9
    """P(right answer) where nothing of the kind was taught."""
    end: Share = 0.95
    """P(comes to an end) where a text is asked for."""
    judge: Share = 0.9
    """P(right verdict) on which of two replies is better."""
    variety: Share = 0.5
    """P(a right reply is any of the item's many) where it has many; else it is the usual one."""
    usual_wrong: Share = 1.0
    """P(a wrong reply is the item's usual one), the one that others give too; else nobody's."""
    calibration_shift: Annotated[float, Field(ge=-0.5, le=0.5)] = 0.0
    """Mean stated confidence minus accuracy: positive is overconfident."""
    noise: Share = 0.1
    """Share of items drawn independently of the shared item difficulty: sets the flip rate."""


class SimulatedOptions(Strict):
    """Options of ``simulated:`` models, which test the auditor itself."""

    seed: Seed = 0
    """Of its own draws."""
    world: Seed = 0
    """Models of one world find the same items hard."""
    default: Behaviour = Behaviour()
    """On everything not named below."""
    families: dict[str, Behaviour] = {}
    """Overrides; keys are family names or prefixes ending in `*`."""
    probes: dict[str, Behaviour] = {}
    """Overrides for all families of a probe."""


class Terms(Strict):
    """Whether a model's outputs may train another, and where that is written."""

    may_train: bool
    """Whether they may. `no` stops `ullage distill`."""
    document: Annotated[str, Field(min_length=1, max_length=500)]
    """Where that is written: the licence, or the address and section of the terms of service."""
    read_on: date
    """When you read it there: terms change."""


ModelRef = Annotated[str, Field(pattern=r"^(hf|openai|recorded|simulated):.+", max_length=1024)]


class Arm(Strict):
    """A model in a role."""

    model: ModelRef
    """``hf:PATH-OR-ID``, ``openai:NAME``, ``recorded:FILE`` or ``simulated:NAME``."""
    hf: HfOptions = HfOptions()
    """For `hf:` models."""
    openai: OpenAIOptions = OpenAIOptions()
    """For `openai:` models."""
    recorded: RecordedOptions = RecordedOptions()
    """For `recorded:` models."""
    simulated: SimulatedOptions = SimulatedOptions()
    """For `simulated:` models."""
    price: Price = Price()
    """For the cost in the plan and the statement."""
    terms: Terms | None = None
    """Of a teacher: whether its outputs may train a model. `ullage distill` asks for it where the
    teacher is an endpoint."""

    @property
    def scheme(self) -> str:
        """``hf``, ``openai``, ``recorded`` or ``simulated``."""
        return self.model.partition(":")[0]

    @property
    def locator(self) -> str:
        """What follows the scheme."""
        return self.model.partition(":")[2]

    @model_validator(mode="after")
    def _options_fit_the_scheme(self) -> Self:
        for scheme in ("hf", "openai", "recorded", "simulated"):
            if scheme in self.model_fields_set and scheme != self.scheme:
                raise ValueError(
                    f"has options under '{scheme}' but the model is '{self.model}'; "
                    f"put them under '{self.scheme}'"
                )
        return self

    @model_validator(mode="after")
    def _gguf_is_not_quantised_again(self) -> Self:
        if self.hf.quantise is not None and self.locator.endswith(".gguf"):
            raise ValueError(
                f"quantise: {self.hf.quantise} cannot be done to a .gguf file, which brings its "
                "own; leave quantise out, or name the checkpoint's folder"
            )
        return self


class TeacherAgain(Strict):
    """The teacher asked a second time: the noise floor."""

    enabled: bool = True
    """Whether the teacher is asked twice."""
    temperature: Annotated[float, Field(ge=0.0, le=2.0)] | None = None
    """Temperature of the second asking; left out, that of `decoding`. A deterministic teacher at
    temperature 0 repeats itself, and its floor is 0 by construction: the statement says so."""


class Arms(Strict):
    """Every model of the audit, by role. Teacher and student are the least there can be."""

    teacher: Arm
    """The large model."""
    student: Arm
    """The small model that replaces it."""
    teacher_again: TeacherAgain = TeacherAgain()
    """How much of a difference is noise."""
    base: Arm | None = None
    """The student before distillation: tells *lost* from *never had*."""
    control: Arm | None = None
    """Trained on the same prompts without the teacher."""
    derived: Arm | None = None
    """The student after quantisation, pruning or merging."""
    judge: Arm | None = None
    """Says which of two replies is better, where no rule can. Another model than those it judges:
    models prefer their own words (`docs/how-to/judge-model.md`)."""

    @model_validator(mode="after")
    def _only_the_teacher_teaches(self) -> Self:
        for role in ("student", "base", "control", "derived", "judge"):
            arm = getattr(self, role)
            if arm is not None and arm.terms is not None:
                raise ValueError(
                    f"{role} states terms, but only the teacher's outputs train a model; move them "
                    "to arms.teacher.terms"
                )
        return self


class Rule(Strict):
    """How a reply is compared with its reference. No user code is run."""

    kind: Literal["exact", "contains", "numeric", "regex", "choice", "f1"] = "exact"
    """`exact`: equal; `contains`: the reference occurs in the reply; `numeric`: the last number is
    equal; `regex`: see `pattern`; `choice`: the letter or text of one option; `f1`: overlap of
    words."""
    pattern: str | None = None
    """For `regex`: group 1 (or the match) is what is compared with the reference; with no
    reference, a match is a pass."""
    tolerance: NonNegativeFloat = 0.0
    """For `numeric`: absolute difference allowed."""
    ignore_case: bool = True
    """Whether `A` equals `a`."""
    ignore_punctuation: bool = True
    """Whether `yes.` equals `yes`."""

    @model_validator(mode="after")
    def _regex_compiles(self) -> Self:
        if self.kind == "regex" and not self.pattern:
            raise ValueError("kind 'regex' needs a pattern")
        try:
            re.compile(self.pattern or "")
        except re.error as error:
            raise ValueError(f"pattern is no regular expression ({error})") from None
        return self


class Task(Strict):
    """The user's own questions: a JSONL of ``{"messages": …, "reference": …}`` lines."""

    name: Slug
    """What a target's `probe` refers to."""
    file: str
    """Relative to this configuration file."""
    dimension: DimensionName = "fidelity"
    """Under which the statement lists it."""
    rule: Rule = Rule()
    """How replies are scored."""
    max_tokens: PositiveInt = 128
    """Longest reply."""


class Decoding(Strict):
    """How every arm is decoded unless a probe needs otherwise."""

    temperature: Annotated[float, Field(ge=0.0, le=2.0)] = 0.0
    """Replaces greedy decoding where a probe asks for it: set it to what the product serves at."""


class Budget(Strict):
    """What an audit may spend, and before it a teacher that `ullage distill` has answer.

    Reaching a limit stops cleanly; a resumed run may raise it.
    """

    requests: PositiveInt | None = None
    """Most requests, over all arms."""
    tokens: PositiveInt | None = None
    """Most tokens, prompts and replies together."""
    money: Annotated[float, Field(gt=0)] | None = None
    """Most money, by the arms' prices."""
    currency: str = "USD"
    """Of `money` and of every price."""
    errors: Share = 0.02
    """Largest share of a target's items that may be `error` before it is inconclusive."""


class Planning(Strict):
    """What decides how many items are asked."""

    profile: Profile = "standard"
    """How much is asked, in one word: what `power`, `min_items` and `max_items` are where they are
    left out. `quick`: 0.5, 40, 200; `standard`: 0.8, 40, 2000; `thorough`: 0.95, 100, 10000."""
    power: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.8
    """Chance of showing a target `preserved` if nothing was lost."""
    flip_rate: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    """Guessed share of items on which teacher and student differ; a pilot replaces it."""
    intraclass_correlation: Share = 0.02
    """Guessed correlation of differences within a family."""
    items: PositiveInt | None = None
    """Fixed number of items per probe, instead of planning."""
    max_items: PositiveInt = 2000
    """Most items per probe, whatever power would want."""
    min_items: PositiveInt = 40
    """Fewest items per probe, even where power would want less."""
    stop_early: bool = False
    """Ask in rounds, and stop asking with a probe once the verdicts of all its targets are in.
    Plans for up to a tenth more items; `docs/how-to/stop-early.md` says when it pays."""

    @model_validator(mode="before")
    @classmethod
    def _profile_says_what_is_left_out(cls, data: Any) -> Any:
        if isinstance(data, dict) and data.get("profile") in tuple(PROFILES):
            return {**PROFILES[data["profile"]], **data}
        return data

    @model_validator(mode="after")
    def _bounds_are_in_order(self) -> Self:
        if self.min_items > self.max_items:
            raise ValueError(
                f"min_items {self.min_items} is more than max_items {self.max_items}; swap them"
            )
        return self


class OnPolicy(Strict):
    """Rows whose answer the student writes itself and the teacher scores (arXiv 2306.13649)."""

    share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.5
    """λ: of all rows; the others keep their text."""
    refresh: PositiveInt = 20
    """Steps between new answers: fewer keep closer to the student as it is, and cost more time."""
    max_tokens: PositiveInt = 64
    """Of an answer."""
    temperature: Annotated[float, Field(ge=0.0)] = 1.0
    """0 is greedy, which shows the teacher less of what the student might say."""


class TeacherCache(Strict):
    """Ask the teacher once, keep what it says on disk, and let every student learn from there."""

    folder: str
    """Where caches lie, relative to this file; each in a subfolder named by what it holds."""
    signal: Literal["top", "sampled"] = "top"
    """`top`: the k likeliest tokens and a model of the rest. `sampled`: k draws, unbiased and
    noisier; for forward KL."""
    k: Annotated[int, Field(ge=1, le=4096)] = 64
    """Tokens kept of each position."""
    step: Annotated[float, Field(ge=0.005, le=0.5)] = 0.07
    """How finely log-probabilities are kept: x nats below 0, within about step/2 of 1 + x."""


class Rationale(Strict):
    """How the student learns the steps to an answer (arXiv 2305.02301)."""

    learnt: Literal["task", "prefix"] = "task"
    """`task`: a second question, so that an answer costs no more to give; `prefix`: the first words
    of every answer, so that the student thinks aloud."""
    prompt: Annotated[str, Field(min_length=1)] = "Explain step by step: "
    """For `task`: what stands before the last question when its rationale is asked for."""
    joint: Annotated[str, Field(min_length=1)] = "\n"
    """For `prefix`: what stands between rationale and answer."""
    ask: str = "\n\nThink step by step. Then write 'Answer:' and after it the answer alone."
    """For `text: answers`: added to the last question, so that the teacher shows its steps."""
    marker: Annotated[str, Field(min_length=1)] = "Answer:"
    """For `text: answers`: what the teacher writes before it is the rationale, after it the
    answer."""

    @model_validator(mode="after")
    def _marker_is_asked_for(self) -> Self:
        if self.marker not in self.ask:
            raise ValueError(
                f"marker {self.marker!r} is not in ask, so that no teacher would write it; put it "
                "there"
            )
        return self


class Lora(Strict):
    """Low-rank additions to the student's weights (arXiv 2106.09685)."""

    rank: PositiveInt = 16
    """Of each addition."""
    alpha: Annotated[float, Field(gt=0)] = 32.0
    """An addition counts alpha / rank times."""
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0
    """Share of its inputs that an addition does not see in a step."""
    targets: Annotated[tuple[str, ...], Field(min_length=1)] | None = None
    """Linear layers by the end of their names, as `q_proj`; left out, all but the head."""


class Distill(Strict):
    """How the student is made (`ullage distill`)."""

    method: Literal[
        "logits",
        "black-box",
        "rationale",
        "features",
        "relations",
        "cross-tokenizer",
        "on-policy",
        "specialise",
        "control",
    ] = "logits"
    """What is left out below is this preset's (`docs/methods/`): `logits` learns the teacher's
    whole distribution and needs its weights; `black-box` learns its answers, `rationale` the steps
    to an answer as well; `features` learns its hidden states as well, `relations` how it holds
    texts to lie to each other; `cross-tokenizer` is `logits` for a student whose tokenizer is its
    own; `on-policy` has the teacher score the student's own words; `specialise` teaches a copy of
    the teacher the corpus; `control` learns the references without a teacher."""
    objective: Annotated[tuple[TermSettings, ...], Field(min_length=1)] | None = None
    """What is minimised, instead of the preset's terms."""
    text: Literal["references", "answers"] | None = None
    """Whose words the student reads and learns: the corpus's references, or what the teacher
    answers to its prompts. Left out, the preset's."""
    on_policy: OnPolicy | None = None
    """Have the student answer a share of the prompts itself; left out, the preset's: only method
    `on-policy` does."""
    rationale: Rationale | None = None
    """Learn how each answer is come by, from the corpus's `rationale` or, with `text: answers`,
    from the teacher. Left out, the preset's: only method `rationale` does."""
    teacher: str | None = None
    """Left out: `arms.teacher.model`."""
    student: str | None = None
    """Checkpoint to start from; left out: chosen layers of the teacher (for `specialise`, all)."""
    layers: Annotated[tuple[NonNegativeInt, ...], Field(min_length=1)] | PositiveInt | None = None
    """Teacher layers the student keeps: their indices, or how many, evenly spaced."""
    lora: Lora | None = None
    """Train low-rank additions to the student's weights, and fold them into these at the end; left
    out, all weights are trained. Needs `ullage[lora]`."""
    cache: TeacherCache | None = None
    """Learn from what the teacher said once, not from the teacher."""
    corpus: str
    """Prompts (``{"messages": …}``) relative to this file: JSONL, Parquet, or a folder that
    `datasets` saved."""
    near_duplicates: Annotated[float, Field(gt=0.0, le=1.0)] | None = 0.9
    """Rows with the same answer and numbers whose word triples overlap by this share (Jaccard) are
    learnt once; null learns all. Web pages are usually compared at 0.8: rows are shorter, and at
    0.8 the one word that two questions differ in is lost in a template's sentence."""
    output: str
    """Folder of the finished student."""
    held_out: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.1
    """Share of the corpus kept for measuring the loss."""
    temperature: Annotated[float, Field(gt=0.0)] = 1.0
    """Of the distillation loss (scaled by its square, Hinton et al. 2015)."""
    alignment: Literal["tokens", "bytes"] | None = None
    """How teacher and student are compared: `tokens` needs one vocabulary and one chat template;
    with `bytes` each model reads its own. Left out, the preset's: only method `cross-tokenizer`
    compares on bytes."""
    cross_entropy: Share | None = None
    """Weight of the cross-entropy in a preset that mixes it with a divergence, which gets the rest;
    left out, the preset's."""
    epochs: Annotated[float, Field(gt=0)] = 1.0
    """Passes over the corpus."""
    max_steps: PositiveInt | None = None
    """Optimiser steps; overrides `epochs`."""
    batch_size: PositiveInt = 8
    """Examples in one forward pass."""
    packing: bool = False
    """Draw batches without regard to length and read several short rows as one long one, none of
    which sees another. Left out, rows of like length share a batch, which leaves as little
    padding and a less random order."""
    gradient_accumulation: PositiveInt = 1
    """Forward passes in one optimiser step."""
    gradient_checkpointing: bool = False
    """Work layers out again on the way back instead of keeping what they did: the same student, in
    less memory and more time."""
    optimiser: Literal["adamw", "muon"] = "adamw"
    """`muon` moves hidden matrices along an orthogonalised momentum (Jordan et al. 2024) and leaves
    the rest to AdamW: fewer steps for a small student that starts far from its teacher."""
    learning_rate: Annotated[float, Field(gt=0)] = 5e-4
    """Its peak."""
    warmup_share: Share = 0.05
    """Share of the steps in which the learning rate rises."""
    max_length: PositiveInt = 512
    """Tokens of one example; longer ones are truncated and counted."""
    dtype: Literal["float32", "bfloat16"] = "float32"
    """Of the teacher and of training."""
    save_steps: PositiveInt = 100
    """Steps between checkpoints, from which an interrupted run goes on."""
    report_to: tuple[Literal["tensorboard", "wandb", "mlflow", "trackio"], ...] = ()
    """Trackers that are told every step's loss terms; `tensorboard` writes to `<output>-logs`."""
    evaluate_steps: PositiveInt | None = None
    """Steps between measurements of the held-out rows, which make a curve in `distillation.json`;
    left out, they are measured before the first step and after the last."""
    generate_max_tokens: PositiveInt = 128
    """For `text: answers`: length of the teacher's answers."""
    generate_temperature: Annotated[float, Field(ge=0.0)] = 0.0
    """For `text: answers`: 0 is greedy."""
    generate_samples: PositiveInt = 1
    """For `text: answers`: answers to each prompt, of which `selection` chooses one."""
    selection: str = "majority"
    """`majority`: the answer given most often; `self-consistency`: one that comes to the number
    that most of them come to (arXiv 2203.11171); or `module:function`, a scorer of yours."""

    @model_validator(mode="after")
    def _terms_fit_together(self) -> Self:
        if self.objective is None:
            return self
        names = [term.called for term in self.objective]
        if twice := {name for name in names if names.count(name) > 1}:
            raise ValueError(f"objective has two terms called {min(twice)}; name one of them")
        if self.cross_entropy is not None:
            raise ValueError(
                "cross_entropy mixes a preset's terms, and objective replaces them; "
                "write its weight there, as {term: cross-entropy, weight: "
                f"{self.cross_entropy:g}}}"
            )
        return self


class Config(Strict):
    """`ullage.yaml`."""

    name: Slug = "audit"
    """Also the name of the run folder."""
    scenario: str = "support-assistant"
    """A packaged scenario, or the path of your own (relative to this file)."""
    arms: Arms
    """Who is compared with whom."""
    targets: tuple[Target, ...] = ()
    """Added to the scenario's; one with the same probe and metric replaces it."""
    tasks: tuple[Task, ...] = ()
    """Your own questions."""
    items: dict[Slug, str] = {}
    """Your own items for a packaged probe: probe name to JSONL file (relative to this file). They
    replace the generated ones; `docs/items.md` gives each probe's form."""
    imported: Imported | None = None
    """Evals of another tool that `ullage import` brought in (`docs/how-to/import.md`)."""
    decoding: Decoding = Decoding()
    """How replies are generated."""
    planning: Planning = Planning()
    """How many items are asked."""
    budget: Budget = Budget()
    """What may be spent."""
    distill: Distill | None = None
    """How `ullage distill` makes the student."""
    seed: Seed = 0
    """Of generated items and of every resampling: the same seed gives the same statement."""
    runs: str = "runs"
    """Folder that holds the run folders, relative to this file."""

    @model_validator(mode="after")
    def _names_are_unique(self) -> Self:
        _unique("target", (target.id for target in self.targets))
        evals = self.imported.evals if self.imported else ()
        _unique("task", [*(task.name for task in self.tasks), *(one.name for one in evals)])
        return self
