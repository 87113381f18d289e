"""What the tokens of a vocabulary say, as bytes, and how a tokenizer would say other bytes.

Three families of tokenizer write tokens down in three ways: byte-level BPE as characters that stand
for bytes, SentencePiece with `▁` for a space and `<0xE2>` for a byte, word-level ones as words
whose spaces only the decoder knows.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ullage.errors import InputError

_BYTE = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_SPACE = "\u2581"
_BEFORE = ("\n", "x", "q", "7", ".")
"""Texts to put before a piece so that it stands in the midst of one, first choice first."""


@dataclass(frozen=True, slots=True)
class TokenBytes:
    """A tokenizer, token by token."""

    tokenizer: Any
    """A fast tokenizer of transformers."""
    of: tuple[bytes | None, ...]
    """Per id; None for special tokens, gaps, and tokens that stand for nothing by themselves."""
    known: frozenset[int]
    """Ids of all tokens: other rows of a head are padding."""
    ids: Mapping[bytes, int]
    """The first id of each distinct entry."""
    spaces_are_tokens: bool
    """Whether spaces are written in tokens: the decoder of a word-level tokenizer adds them."""

    @classmethod
    def read(cls, tokenizer: Any, role: str) -> TokenBytes:
        """The bytes of every token.

        Raises:
            InputError: the tokenizer is a slow one, which cannot place tokens in a text.
        """
        if not tokenizer.is_fast:
            raise InputError(
                f"distill.{role}: {type(tokenizer).__name__} cannot say where in a text its tokens "
                "lie; alignment: bytes needs a fast tokenizer (one with a tokenizer.json)"
            )
        kinds = _kinds(json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder"))
        tokens: dict[int, str] = {id_: token for token, id_ in tokenizer.get_vocab().items()}
        added = tokenizer.added_tokens_decoder
        special = {*tokenizer.all_special_ids, *(i for i, token in added.items() if token.special)}
        spelt_out = True
        if "ByteLevel" in kinds:
            said = {id_: _from_alphabet(token) for id_, token in tokens.items()}
        elif "Metaspace" in kinds or _SPACE in kinds:
            said = {id_: _from_pieces(token) for id_, token in tokens.items()}
        else:
            spelt_out = False
            said = _decoded(tokenizer, tokens, special)
        said |= {id_: token.content.encode() for id_, token in added.items()}
        of = tuple(
            None if id_ in special else said.get(id_) or None for id_ in range(max(tokens) + 1)
        )
        ids: dict[bytes, int] = {}
        for id_, text in enumerate(of):
            if text is not None:
                ids.setdefault(text, id_)
        return cls(tokenizer, of, frozenset(tokens), ids, spelt_out)

    def first_tokens(self, pieces: Sequence[bytes]) -> list[int | None]:
        """The token with which this tokenizer begins each piece, in the midst of a text.

        Args:
            pieces: what tokens of another vocabulary say.

        Returns:
            Ids; None where the tokenizer has no word for the beginning.
        """
        found: dict[bytes, int | None] = {piece: self.ids.get(piece) for piece in pieces}
        missing = [piece for piece, id_ in found.items() if id_ is None]
        texts = {piece: text for piece in missing if (text := _text(piece)) is not None}
        for piece in missing:
            if piece not in texts:
                found[piece] = self._longest_start(piece)
        for before in _BEFORE if self.spaces_are_tokens else _BEFORE[1:]:
            encoded = self._encode([before + text for text in texts.values()])
            settled = []
            for piece, encoding in zip(texts, encoded, strict=True):
                place = next(
                    (k for k, (_, end) in enumerate(encoding.offsets) if end > len(before)), None
                )
                if place is not None and encoding.offsets[place][0] >= len(before):
                    id_ = encoding.ids[place]
                    found[piece] = None if self.of[id_] is None else id_
                    settled.append(piece)
            for piece in settled:
                del texts[piece]
        return [found[piece] for piece in pieces]

    def _encode(self, texts: list[str]) -> Iterable[Any]:
        encoded: Iterable[Any] = self.tokenizer.backend_tokenizer.encode_batch(
            texts, add_special_tokens=False
        )
        return encoded

    def _longest_start(self, piece: bytes) -> int | None:
        """Of bytes that are no text: a part of a character."""
        starts = (piece[:size] for size in range(len(piece) - 1, 0, -1))
        return next((self.ids[start] for start in starts if start in self.ids), None)


def _kinds(decoder: Any) -> set[str]:
    """The types of decoder a tokenizer is made of, and `▁` where one of them replaces that."""
    if decoder is None:
        return set()
    kinds = {decoder["type"]}
    if decoder["type"] == "Replace" and decoder["pattern"].get("String") == _SPACE:
        kinds.add(_SPACE)
    for part in decoder.get("decoders", ()):
        kinds |= _kinds(part)
    return kinds


def _alphabet() -> dict[str, int]:
    """The character that byte-level BPE writes for each byte (Radford et al. 2019, GPT-2).

    Printable bytes of Latin-1 stand for themselves, the others for characters from 256 on.
    """
    plain = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {
        chr(256 + number): byte for number, byte in enumerate(others)
    }


_ALPHABET = _alphabet()


def _from_alphabet(token: str) -> bytes | None:
    if any(character not in _ALPHABET for character in token):
        return None
    return bytes(_ALPHABET[character] for character in token)


def _from_pieces(token: str) -> bytes:
    byte = _BYTE.fullmatch(token)
    return bytes([int(byte[1], 16)]) if byte else token.replace(_SPACE, " ").encode()


def _decoded(
    tokenizer: Any, tokens: Mapping[int, str], special: set[int]
) -> dict[int, bytes | None]:
    """What each token adds to a word before it."""
    ordinary = sorted(tokens.keys() - special)
    word = next((id_ for id_ in ordinary if tokens[id_].isalpha()), ordinary[0])
    decode = tokenizer.backend_tokenizer.decode
    before: str = decode([word], skip_special_tokens=False)
    said: dict[int, bytes | None] = {}
    for id_ in tokens:
        text: str = decode([word, id_], skip_special_tokens=False)
        said[id_] = text[len(before) :].encode() if text.startswith(before) else None
    return said


def _text(piece: bytes) -> str | None:
    try:
        return piece.decode()
    except UnicodeDecodeError:
        return None
