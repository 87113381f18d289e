"""YAML as plain data with the line of every key, refusing what configuration has no use for.

Scalars follow the core schema of YAML 1.2 (as editors do), not 1.1: ``no`` is text, ``010`` is ten
and ``5e-4`` is a number. Duplicate keys, tags, infinite or undefined numbers and control characters
are refused, and aliases may not blow a small file up.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml

from ullage.errors import InputError

Loc = tuple[str | int, ...]
"""Where a value is: mapping keys and list indices from the top."""

OVERRIDE = "-o"
"""The place of a value given on the command line."""

MAX_BYTES = 1 << 20
MAX_NODES = 20_000
"""Values in one file, aliases counted each time they are used."""

_PREFIX = "tag:yaml.org,2002:"
_CORE = {
    "null": (re.compile(r"^(?:~|null|Null|NULL|)$"), ["~", "n", "N", ""]),
    "bool": (re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), list("tTfF")),
    "int": (re.compile(r"^[-+]?[0-9]+$"), list("-+0123456789")),
    "float": (
        re.compile(
            r"^(?:[-+]?(?:\.[0-9]+|[0-9]+(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?"
            r"|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))$"
        ),
        list("-+.0123456789"),
    ),
}
_HOSTILE = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff]")


class _Loader(yaml.SafeLoader):
    """Composes nodes only; values are built by `_Builder`."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012


class Dumper(yaml.SafeDumper):
    """Quotes whatever either version of YAML would not read back as text."""

    yaml_implicit_resolvers = {  # noqa: RUF012
        first: list(rules) for first, rules in yaml.SafeDumper.yaml_implicit_resolvers.items()
    }

    def ignore_aliases(self, data: Any) -> bool:
        """Write equal values out, each in its place."""
        return True


for _tag, (_pattern, _first) in _CORE.items():
    _Loader.add_implicit_resolver(_PREFIX + _tag, _pattern, _first)
    Dumper.add_implicit_resolver(_PREFIX + _tag, _pattern, _first)


def dotted(loc: Loc) -> str:
    """A location as a person writes it: ``targets.0.margin``."""
    return ".".join(str(part) for part in loc)


@dataclass(frozen=True)
class Source:
    """Plain data and where each part of it was written."""

    name: str
    """What errors call the file."""
    data: dict[str, Any]
    places: dict[Loc, str]
    """``ullage.yaml:12``, or `OVERRIDE`."""

    def where(self, loc: Loc) -> str:
        """Where a location, or else the nearest thing around it, was written."""
        for length in range(len(loc), 0, -1):
            if loc[:length] in self.places:
                return self.places[loc[:length]]
        return self.places.get((), self.name)

    def refuse(self, loc: Loc, message: str) -> InputError:
        """The one-line error for a location."""
        place = self.where(loc)
        parts = (f"-o {dotted(loc)}",) if place == OVERRIDE else (place, dotted(loc))
        return InputError(": ".join(part for part in (*parts, message) if part))


def read_text(path: Path, mend: str = "`ullage init` writes one to start from") -> str:
    """The text of a configuration file.

    Args:
        path: the file.
        mend: what would do if there is none, or nothing in it.

    Raises:
        InputError: if it is not a readable, UTF-8, not empty file of sane size.
    """
    try:
        if path.is_dir():
            raise InputError(f"{path}: is a folder; name the YAML file in it")
        with path.open("rb") as file:
            raw = file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        raise InputError(f"{path}: no such file; {mend}") from None
    except (OSError, ValueError) as error:
        what = getattr(error, "strerror", None) or error
        raise InputError(f"{path}: cannot be read ({what}); check its path and rights") from None
    if len(raw) > MAX_BYTES:
        raise InputError(
            f"{path}: larger than {MAX_BYTES >> 20} MiB; data goes in files of its own"
        )
    if raw.startswith((b"\xff\xfe", b"\xfe\xff")):
        raise InputError(f"{path}: is UTF-16; save it as UTF-8")
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = raw.count(b"\n", 0, error.start) + 1
        found = f"byte 0x{raw[error.start]:02x} is not UTF-8"
        raise InputError(f"{path}:{line}: {found}; save the file as UTF-8") from None
    if not text.strip():
        raise InputError(f"{path}: is empty; {mend}")
    return text


def parse(text: str, name: str) -> Source:
    """YAML text as plain data.

    Raises:
        InputError: if it is not one YAML mapping of plain values.
    """
    node = _compose(text, name)
    builder = _Builder(name)
    data = builder.build(node, ())
    if data is None:
        raise InputError(f"{name}: holds only comments; `ullage init` writes one to start from")
    if not isinstance(data, dict):
        raise InputError(f"{name}:1: {kind_of(data)} at the top; expected `key: value` lines")
    return Source(name, data, builder.places)


def parse_value(text: str, name: str) -> Any:
    """One YAML value, as on the right of ``-o key=value``."""
    return _Builder(name, lines=False).build(_compose(text, name, lines=False), ())


def kind_of(value: Any) -> str:
    """A value in words, short and on one line, for an error."""
    if isinstance(value, Mapping):
        return "a mapping"
    if isinstance(value, list | tuple):
        return "a list"
    if value is None:
        return "nothing"
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str):
        text = " ".join(_HOSTILE.sub("?", value).split())
        return f"'{text[:57]}...'" if len(text) > 60 else f"'{text}'"
    return str(value)[:60]


def _compose(text: str, name: str, *, lines: bool = True) -> yaml.Node | None:
    def at(mark: yaml.Mark | None) -> str:
        return f"{name}:{mark.line + 1}" if lines and mark is not None else name

    try:
        return yaml.compose(text, Loader=_Loader)
    except yaml.MarkedYAMLError as error:
        problem = (error.problem or "not valid YAML").replace("\n", " ")
        if "'\\t'" in problem:
            problem = "a tab; YAML is indented with spaces"
        elif "single document" in (error.context or ""):
            problem = "a second document; one file holds one"
        else:
            problem = f"not valid YAML ({problem}); check indentation, colons and quotes here"
        raise InputError(f"{at(error.problem_mark)}: {problem}") from None
    except yaml.reader.ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        place = f"{name}:{line}" if lines else name
        raise InputError(f"{place}: a control character; remove it") from None
    except RecursionError:
        raise InputError(f"{name}: nested too deeply; flatten it") from None


@dataclass
class _Builder:
    """Turns composed nodes into plain data, noting where each was."""

    name: str
    lines: bool = True
    places: dict[Loc, str] = field(default_factory=dict)
    _count: int = 0
    _open: set[int] = field(default_factory=set)

    def build(self, node: yaml.Node | None, loc: Loc) -> Any:
        if node is None:
            return None
        self._count += 1
        if self._count > MAX_NODES:
            raise self._refuse(node, loc, f"more than {MAX_NODES} values; too many aliases?")
        if id(node) in self._open:
            raise self._refuse(node, loc, "an alias that contains itself; write the value out")
        self.places.setdefault(loc, self._place(node))
        self._open.add(id(node))
        try:
            if isinstance(node, yaml.MappingNode):
                return self._mapping(node, loc)
            if isinstance(node, yaml.SequenceNode):
                self._plain_tag(node, loc, "seq")
                return [self.build(child, (*loc, i)) for i, child in enumerate(node.value)]
            return self._scalar(node, loc)
        finally:
            self._open.discard(id(node))

    def _mapping(self, node: yaml.MappingNode, loc: Loc) -> dict[str, Any]:
        self._plain_tag(node, loc, "map")
        data: dict[str, Any] = {}
        lines: dict[str, int] = {}
        for key_node, value_node in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise self._refuse(key_node, loc, "a key that is not plain text; quote it")
            key = self._text(key_node, key_node.value, loc)
            if key in data:
                message = f"key '{key}' is here and on line {lines[key]}; keep one"
                raise self._refuse(key_node, loc, message)
            if key == "<<":
                message = (
                    "merge keys (<<) are not read; write the keys out or alias the whole value"
                )
                raise self._refuse(key_node, loc, message)
            lines[key] = key_node.start_mark.line + 1
            self.places[(*loc, key)] = self._place(key_node)
            data[key] = self.build(value_node, (*loc, key))
        return data

    def _scalar(self, node: yaml.Node, loc: Loc) -> Any:
        text: str = node.value
        tag = node.tag.removeprefix(_PREFIX)
        if tag == "str":
            return self._text(node, text, loc)
        if tag not in _CORE or not _CORE[tag][0].match(text):
            raise self._refuse(node, loc, f"tag '{node.tag}' is not read; write a plain value")
        if tag == "null":
            return None
        if tag == "bool":
            return text.lower() == "true"
        if tag == "int" and len(text) <= 40:
            return int(text)
        # Python's float() knows every spelling of the core schema but the dot of .inf and .nan.
        number = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
        if tag == "int" or not math.isfinite(number):
            raise self._refuse(node, loc, f"{kind_of(text)} is not a number that can be used here")
        return number

    def _text(self, node: yaml.Node, text: str, loc: Loc) -> str:
        if found := _HOSTILE.search(text):
            message = f"control character U+{ord(found[0]):04X} in text; remove it"
            raise self._refuse(node, loc, message)
        return text

    def _plain_tag(self, node: yaml.Node, loc: Loc, tag: str) -> None:
        if node.tag != _PREFIX + tag:
            raise self._refuse(node, loc, f"tag '{node.tag}' is not read; write a plain value")

    def _place(self, node: yaml.Node) -> str:
        return f"{self.name}:{node.start_mark.line + 1}" if self.lines else self.name

    def _refuse(self, node: yaml.Node, loc: Loc, message: str) -> InputError:
        parts = (self._place(node), dotted(loc), message)
        return InputError(": ".join(part for part in parts if part))
