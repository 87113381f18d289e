"""Every word of the desk. The tokenizer's vocabulary is exactly what is listed or built here."""

from __future__ import annotations

import re
import string
from collections.abc import Iterable

ITEMS = (
    "lamp", "chair", "table", "clock", "mirror", "kettle", "radio", "carpet", "vase", "basket",
    "pillow", "blanket", "ladder", "hammer", "bottle", "candle", "drawer", "fridge", "guitar",
    "helmet", "jacket", "wallet", "camera", "printer",
)  # fmt: skip
COLOURS = ("red", "blue", "green", "white", "black", "grey", "brown", "pink", "gold", "silver")
STATUSES = ("shipped", "packed", "lost", "returned", "delivered", "delayed")
NAMES = (
    "ana", "ben", "carla", "dev", "emil", "fay", "gus", "hana",
    "ivo", "jan", "kira", "leo", "mona", "nils", "olga", "pia",
)  # fmt: skip
MONTHS = (
    "january", "february", "march", "april", "may", "june",
    "july", "august", "september", "october", "november", "december",
)  # fmt: skip
WAREHOUSES = ("north", "south")
CODES = (
    "zib", "wug", "dax", "fep", "gorp", "lum", "mip", "nef",
    "pob", "rok", "sul", "tav", "vek", "yat", "blick", "toma",
)  # fmt: skip
"""Made-up words without a meaning, until a prompt gives them one."""

ROLES = ("<pad>", "<bos>", "<user>", "<assistant>", "<end>")
UNKNOWN = "<unk>"
LARGEST = 399
"""Whole numbers up to this are tokens; larger ones fall apart into digits."""

_SPOKEN = re.compile(r"[A-Za-z]+|[^\sA-Za-z0-9]")


def cased(word: str) -> tuple[str, str]:
    """The word as a title and shouted; only items are ever written so."""
    return word.capitalize(), word.upper()


def vocabulary(spoken: Iterable[str]) -> tuple[str, ...]:
    """Tokens in a fixed order: roles, numbers, letters (for misspelt words), and words.

    Args:
        spoken: every template and fixed reply of the world; what stands in braces is not a word.

    Returns:
        Unique tokens; ``##x`` is x inside a word or number.
    """
    letters = string.ascii_lowercase
    fixed = (*ITEMS, *COLOURS, *STATUSES, *NAMES, *MONTHS, *WAREHOUSES, *CODES)
    shouted = tuple(form for item in ITEMS for form in cased(item))
    said = sorted({word for text in spoken for word in _SPOKEN.findall(_without_fields(text))})
    marks = tuple("#$%&'()*+,-./:;=?!")
    tokens = (
        *ROLES,
        UNKNOWN,
        *(str(number) for number in range(LARGEST + 1)),
        *(f"{number:02d}" for number in range(1, 10)),
        *(f"##{digit}" for digit in string.digits),
        *marks,
        *letters,
        *(f"##{letter}" for letter in letters),
        *fixed,
        *shouted,
        *said,
    )
    return tuple(dict.fromkeys(tokens))


def _without_fields(text: str) -> str:
    return re.sub(r"\{[^}]*\}", " ", text)
