"""What pydantic finds wrong, in one line that names the place and the mend."""

from __future__ import annotations

import types
from collections.abc import Iterable, Iterator
from difflib import get_close_matches
from typing import Annotated, Any, Literal, TypeVar, Union, get_args, get_origin

import pydantic
from pydantic import BaseModel
from pydantic_core import ErrorDetails, to_json

from ullage.config.source import Loc, Source, kind_of
from ullage.errors import InputError

M = TypeVar("M", bound=BaseModel)

_UNSHOWN = frozenset({"api_key_env", "base_url", "extra_body"})
"""Where a person might paste a secret by mistake: values under these are never printed."""

_SELF_EVIDENT = (
    "extra_forbidden",
    "missing",
    "value_error",
    "union_tag_invalid",
    "union_tag_not_found",
)
"""Kinds of error whose message already says what was found."""

_EXPECTED = {
    "string_type": "text; quote it",
    "int_type": "a whole number",
    "int_from_float": "a whole number",
    "float_type": "a number",
    "bool_type": "true or false",
    "tuple_type": "a list",
    "dict_type": "a mapping",
    "model_type": "a mapping",
}


def validate(model: type[M], source: Source) -> M:
    """The data of a file as a model.

    Validation is strict (text is no number, true is not 1) but for what YAML cannot say (tuples).

    Raises:
        InputError: one line on the first problem, and how many more there are.
    """
    try:
        return model.model_validate_json(to_json(source.data), strict=True)
    except pydantic.ValidationError as error:
        problems = _by_place(error.errors(include_url=False), source.data)
    order = {loc: position for position, loc in enumerate(source.places)}
    loc, details = min(problems.items(), key=lambda entry: order.get(entry[0], len(order)))
    # An arm of a union that got as far as a rule of ours knows more than one that gave up at once.
    details = [detail for detail in details if detail["type"] in _SELF_EVIDENT] or details
    messages = dict.fromkeys(_message(model, loc, detail) for detail in details)
    message = " or ".join(messages)
    if details[0]["type"] not in _SELF_EVIDENT and not _UNSHOWN & set(loc):
        message += f", found {kind_of(details[0]['input'])}"
    if more := len(problems) - 1:
        message += f" (and {more} more problem{'s' * (more > 1)})"
    raise source.refuse(loc, message)


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """``did you mean 'model'?``, or, when nothing is close, what is known."""
    names = list(known)
    if close := get_close_matches(word, names, n=1):
        return f"did you mean '{close[0]}'?"
    return f"known: {', '.join(names)}" if names else "nothing is expected here"


def _by_place(errors: Iterable[ErrorDetails], data: Any) -> dict[Loc, list[ErrorDetails]]:
    """Errors by location in the file: the arms of a union share one."""
    problems: dict[Loc, list[ErrorDetails]] = {}
    for error in errors:
        problems.setdefault(_loc_in(data, error), []).append(error)
    for loc in [loc for loc in problems if problems[loc][0]["type"] == "extra_forbidden"]:
        # `modle:` is one mistake, not an unknown key and a missing `model`.
        missing = [
            str(other[-1])
            for other, found in problems.items()
            if found[0]["type"] == "missing" and other[:-1] == loc[:-1]
        ]
        for name in get_close_matches(str(loc[-1]), missing, n=1):
            del problems[(*loc[:-1], name)]
    return {loc: found for loc, found in problems.items() if not _has_deeper(problems, loc)}


def _has_deeper(problems: Iterable[Loc], loc: Loc) -> bool:
    """Whether an arm of a union got further: its complaint is the one to show."""
    return any(len(other) > len(loc) and other[: len(loc)] == loc for other in problems)


def _loc_in(data: Any, error: ErrorDetails) -> Loc:
    """The error's location without the names pydantic gives to the arms of unions."""
    found: list[str | int] = []
    for part in error["loc"]:
        if part in data if isinstance(data, dict) else _is_index(part, data):
            data = data[part]
        elif error["type"] != "missing" or part is not error["loc"][-1]:
            continue
        found.append(part)
    return tuple(found)


def _is_index(part: str | int, data: Any) -> bool:
    return isinstance(data, list) and isinstance(part, int) and part < len(data)


def _message(model: type[BaseModel], loc: Loc, error: ErrorDetails) -> str:
    kind, context = error["type"], error.get("ctx", {})
    if kind == "extra_forbidden":
        models = list(_models_at(model, loc[:-1]))
        # Where a key says which arm of a union is meant, pydantic names it on the way.
        meant = [part for part in models if _tags(part) & set(error["loc"])] or models
        known = dict.fromkeys(name for part in meant for name in part.model_fields)
        return f"unknown key; {did_you_mean(str(loc[-1]), known)}"
    if kind == "union_tag_invalid":
        tags = str(context["expected_tags"]).replace("'", "").split(", ")
        return f"{context['discriminator']} is '{context['tag']}'; " + (
            did_you_mean(str(context["tag"]), tags)
        )
    if kind == "union_tag_not_found":
        return f"no {context['discriminator']}; it says what the other keys mean"
    if kind == "missing":
        return "missing; it is required"
    if kind == "value_error":
        return str(context.get("error", error["msg"]))
    if kind in ("literal_error", "enum"):
        return f"expected {context['expected']}"
    if kind in _EXPECTED:
        return f"expected {_EXPECTED[kind]}"
    if kind == "string_pattern_mismatch":
        return _PATTERNS.get(context["pattern"], f"expected text like {context['pattern']}")
    if kind in ("too_short", "string_too_short"):
        unit = "entry" if kind == "too_short" else "characters"
        return f"expected at least {context['min_length']} {unit}"
    return error["msg"].replace("Input should", "should").replace("String should", "should")


_PATTERNS = {
    r"^[a-z0-9][a-z0-9_-]*$": "expected lower-case letters, digits, '-' and '_'",
    r"^(hf|openai|recorded|simulated):.+": (
        "expected hf:PATH-OR-ID, openai:NAME, recorded:FILE or simulated:NAME"
    ),
    r"^[A-Za-z_][A-Za-z0-9_]*$": (
        "expected the name of an environment variable, not the key itself"
    ),
}


def _models_at(model: Any, loc: Loc) -> Iterator[type[BaseModel]]:
    """The models that may stand at a location."""
    origin, arguments = get_origin(model), get_args(model)
    if origin in (Annotated, Union, types.UnionType):
        for option in arguments[:1] if origin is Annotated else arguments:
            yield from _models_at(option, loc)
    elif isinstance(model, type) and issubclass(model, BaseModel):
        if not loc:
            yield model
        elif loc[0] in model.model_fields:
            yield from _models_at(model.model_fields[str(loc[0])].annotation, loc[1:])
    elif origin in (dict, tuple) and loc:
        yield from _models_at(arguments[1] if origin is dict else arguments[0], loc[1:])


def _tags(model: type[BaseModel]) -> set[Any]:
    """Every fixed word that some key of a model may be."""
    kinds = [field.annotation for field in model.model_fields.values()]
    return {word for kind in kinds if get_origin(kind) is Literal for word in get_args(kind)}


def refuse_unknown(what: str, word: str, known: Iterable[str]) -> InputError:
    """The error for a name that is not in a list: ``no scenario 'x'; did you mean 'y'?``."""
    return InputError(f"no {what} {kind_of(word)}; {did_you_mean(word, known)}")
