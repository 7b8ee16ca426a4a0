"""Render chat messages as the text a local model reads, in which no message can write the structure of the chat."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from mrharm.control_tokens import ControlTokens
from mrharm.errors import InputError
from mrharm.llm import CallError, Picture

Turn = tuple[str, list[str | Picture]]  # a role, and the texts and pictures of its message
# What templates may be told: not to think first, which would take all the tokens an answer may have; and one date,
# where they would write today's and ask another question every day.
_VARIABLES = {"enable_thinking": False, "date_string": "26 Jul 2024"}


class Chats:
    """A model's chat template, in which messages stay apart whatever they say.

    Args:
        front: the processor of a vision-language model, or a tokenizer.
        tokenizer: the processor's, or the same tokenizer.
        source: the model's name, for messages.

    Raises:
        InputError: no chat template, or one that cannot put a user's message.
    """

    def __init__(self, front: Any, tokenizer: Any, source: str) -> None:
        self._front, self._tokenizer, self._source = front, tokenizer, source
        self._takes_pictures = front is not tokenizer
        template = _template(front) or _template(tokenizer)
        if not template:
            raise InputError(
                f"{source}: its tokenizer has no chat template; expected an instruct model (its name often ends in "
                "-Instruct, -it or -chat), or a chat_template.jinja in the folder"
            )
        self.thinks = "</think>" in template
        self._options = {name: value for name, value in _VARIABLES.items() if name in template}
        self._options |= {"chat_template": template, "tokenize": False, "add_generation_prompt": True}
        self._controls = ControlTokens(tokenizer, template)
        self._merges_system = not self._takes_system()

    def text(self, messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[Picture]]:
        """Return the text of a chat, up to where the answer begins, and its pictures in order.

        Raises:
            InputError: a picture for a model that sees none.
            CallError: a message of another form, one the template does not take, or one whose words the tokenizer
                reads as control tokens all the same.
        """
        turns = [(str(message["role"]), _parts(message["content"])) for message in messages]
        contents = [part for _, parts in turns for part in parts]
        pictures = [part for part in contents if isinstance(part, Picture)]
        if pictures and not self._takes_pictures:
            raise InputError(
                f"{self._source} reads text alone; show it captions (--evidence caption), or name a model that sees"
            )
        if self._merges_system and len(turns) > 1 and turns[0][0] == "system":
            (_, system), (role, parts), *later = turns
            turns = [(role, [*system, "\n\n", *parts]), *later]
        try:
            text = self._render(turns)
            # What the template itself writes, around messages of one harmless word.
            empty = self._render([(role, [_blank(part) for part in parts]) for role, parts in turns])
        except Exception as error:  # a template raises what it likes
            raise CallError(
                f"the model's chat template does not take it ({type(error).__name__}: {str(error)[:120]})",
                "bad_request",
            ) from None
        if self._list_controls(text) != self._list_controls(empty):
            raise CallError("the tokenizer reads its words as control tokens of the chat", "bad_request")
        return text, pictures

    def _render(self, turns: Sequence[Turn]) -> str:
        chat: list[dict[str, Any]] = []
        for role, parts in turns:
            content: Any = [
                {"type": "image"}
                if isinstance(part, Picture)
                else {"type": "text", "text": self._controls.escape(part)}
                for part in parts
            ]
            if not self._takes_pictures:
                content = "".join(part["text"] for part in content)
            chat.append({"role": role, "content": content})
        return str(self._front.apply_chat_template(chat, **self._options))

    def _list_controls(self, text: str) -> list[int]:
        return self._controls.select(self._tokenizer(text, add_special_tokens=False)["input_ids"])

    def _takes_system(self) -> bool:
        """Tell whether the template writes system messages: some refuse one, and some drop it silently."""
        trouble = "it leaves out what the user says"
        for roles in (("system", "user"), ("user",)):
            try:
                text = self._render([(role, [f"Words of the {role}"]) for role in roles])
            except Exception as error:  # a template raises what it likes
                trouble = f"{type(error).__name__}: {str(error)[:120]}"
                continue
            if all(f"Words of the {role}" in text for role in roles):
                return "system" in roles
        raise InputError(
            f"{self._source}: its chat template cannot be used ({trouble}); expected an instruct model's"
        )


def _template(front: Any) -> str | None:
    template = getattr(front, "chat_template", None)
    return template.get("default") if isinstance(template, dict) else template


def _parts(content: Any) -> list[str | Picture]:
    """Return the texts and pictures of a message's content."""
    parts: list[str | Picture] = []
    for part in [content] if isinstance(content, str) else content:
        words = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(words, str | Picture):
            raise CallError(
                f"expected texts and pictures in a message; got {str(part)[:60]!r}", "bad_request"
            )
        parts.append(words)
    return parts


def _blank(part: str | Picture) -> str | Picture:
    return "w" if isinstance(part, str) and part.strip() else part
