"""Who is asked: models in their roles, and the options of each kind of model."""

from __future__ import annotations

import re
from datetime import date
from typing import Annotated, Any, Literal, Self
from urllib.parse import urlsplit

from pydantic import AfterValidator, Field, NonNegativeFloat, PositiveInt, model_validator

from ullage.config.base import Seed, Share, Strict

_SECRET_KEYS = frozenset(
    {"apikey", "key", "authorization", "accesstoken", "authtoken", "secret", "password", "bearer"}
)


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
