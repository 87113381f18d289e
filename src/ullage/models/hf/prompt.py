"""Conversations to token ids, and token ids back to text.

With a chat template, the rendered conversation is tokenised without adding special tokens: the
template writes its own, and a second BOS changes every reply. Without one, the conversation is
rendered plainly, with whatever BOS the tokenizer adds to text:

    System text

    User: a question
    Assistant: an answer
    User: another question
    Assistant:

and a reply ends where the model starts to write the next ``User:`` turn.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import jinja2

from ullage.models.types import Message

_SPEAKERS = {"user": "User: ", "assistant": "Assistant: "}
PLAIN_STOP = "\nUser:"
"""What ends a reply under the plain rendering."""


class PromptError(Exception):
    """A conversation that cannot be put to this model; the message is short and stable."""


class Prompter:
    """Renders, tokenises and detokenises for one tokenizer.

    Args:
        tokenizer: a `transformers` tokenizer.
        chat_template: Jinja source that replaces the tokenizer's own template.
    """

    def __init__(self, tokenizer: Any, chat_template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self._template: str | None = chat_template or tokenizer.chat_template
        self._token_texts: dict[int, str] = {}
        self._anchor = self._ids("a")

    @property
    def plain(self) -> bool:
        """Whether there is no chat template, so that the plain rendering is used."""
        return self._template is None

    def render(self, messages: Sequence[Message]) -> str:
        """The text a conversation is put to the model as.

        Raises:
            PromptError: the chat template refuses the conversation.
        """
        if not messages:
            raise PromptError("empty conversation")
        if self.plain:
            return _plain(messages)
        turns = [{"role": message.role, "content": message.content} for message in messages]
        goes_on = messages[-1].role == "assistant" and bool(messages[-1].content)
        if messages[-1].role == "assistant" and not goes_on:
            turns.pop()
        try:
            text = self._tokenizer.apply_chat_template(
                turns,
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=not goes_on,
                continue_final_message=goes_on,
            )
        except (jinja2.TemplateError, ValueError, TypeError) as error:
            reason = " ".join(str(error).split())[:120]
            raise PromptError(f"chat template refuses the conversation: {reason}") from error
        return str(text)

    def prompt(self, messages: Sequence[Message]) -> list[int]:
        """Token ids of a conversation, ready for the model's next words; never empty.

        Raises:
            PromptError: as `render`, or nothing is left to send.
        """
        text = self.render(messages)
        ids = self._ids(text)
        if self.plain:
            ids = self._bos(text, ids) + ids
        if not ids:
            raise PromptError("the conversation has no tokens")
        return ids

    def continuation(self, messages: Sequence[Message], continuation: str) -> list[int]:
        """Token ids of `continuation` as the next words after `prompt(messages)`.

        The prompt's tokens stay what they are, as they do when the model writes. Where tokenising
        prompt and continuation together leaves them alone, the rest is the continuation; where it
        would merge across the boundary, the continuation is tokenised by itself, as in the middle
        of a text. Under the plain rendering a space goes before it, which is how a model that
        follows ``Assistant:`` would start.
        """
        if not continuation:
            return []
        text = self.render(messages)
        if text.endswith("Assistant:") and self.plain and not continuation[0].isspace():
            continuation = " " + continuation
        before, joint = self._ids(text), self._ids(text + continuation)
        if joint[: len(before)] == before:
            return joint[len(before) :]
        anchored = self._ids("a" + continuation)
        if anchored[: len(self._anchor)] == self._anchor:
            return anchored[len(self._anchor) :]
        return self._ids(continuation)

    def text(self, ids: Sequence[int]) -> str:
        """The text of generated tokens, special ones left out.

        Decodes all of them at once: bytes of one character may be spread over several tokens.
        """
        return str(
            self._tokenizer.decode(
                list(ids), skip_special_tokens=True, clean_up_tokenization_spaces=False
            )
        )

    def token(self, token: int) -> str:
        """The text of one token as it stands within a text, its leading space included.

        A token that is part of a character reads as U+FFFD.
        """
        if token not in self._token_texts:
            whole = self._decode([*self._anchor, token])
            start = self._decode(self._anchor)
            self._token_texts[token] = (
                whole[len(start) :] if whole.startswith(start) else self._decode([token])
            )
        return self._token_texts[token]

    def _decode(self, ids: list[int]) -> str:
        return str(self._tokenizer.decode(ids, clean_up_tokenization_spaces=False))

    def _ids(self, text: str) -> list[int]:
        return list(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _bos(self, text: str, ids: list[int]) -> list[int]:
        """The BOS that the tokenizer puts before plain text, if it does."""
        bos = self._tokenizer.bos_token_id
        if bos is None or ids[:1] == [bos]:
            return []
        return [bos] if list(self._tokenizer(text)["input_ids"])[:1] == [bos] else []


def _plain(messages: Sequence[Message]) -> str:
    """The rendering for models without a chat template; see the module's docstring."""
    lines = [
        message.content + "\n"
        if message.role == "system"
        else _SPEAKERS[message.role] + message.content
        for message in messages
    ]
    if messages[-1].role != "assistant":
        lines.append("Assistant:")
    elif not messages[-1].content:
        lines[-1] = "Assistant:"
    return "\n".join(lines)
