"""Render chat messages as the one text a local model reads, in which no message can write structure.

A tokenizer reads ``<|im_end|>`` as the end of a message in any place, on a meme too. So all that reads as structure is
broken in a message's words, and the control tokens of the chat are compared with those of a chat of plain words.
"""

from __future__ import annotations

import re
import unicodedata
from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from itertools import chain, count
from typing import Any

from mrharm.errors import InputError
from mrharm.llm import CallError, Picture
from mrharm.texts import keep_visible

Turn = tuple[str, list["str | Picture"]]  # a role, and what it says

# What templates may be told: not to think first, which would take all the tokens an answer may have; and one date,
# where they would write today's and ask another question every day.
_VARIABLES = {"enable_thinking": False, "date_string": "26 Jul 2024"}
_PROBES = (("system", "user", "assistant", "user"), ("user", "assistant", "user"), ("user",))
_TAG = re.compile(r"[<\[]\S+[>\]]")


class Chats:
    """A model's chat template, and what reads as structure in it.

    That is every added token of the tokenizer (ends of turns, places of pictures, all special ones), the processor's
    own placeholders, and, for templates that mark turns in plain words (``[/INST]``, ``ASSISTANT:``), those words.

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
        self._template = _template(front) or _template(tokenizer)
        if not self._template:
            raise InputError(
                f"{source}: its tokenizer has no chat template; expected an instruct model (its name often ends in "
                "-Instruct, -it or -chat), or a chat_template.jinja in the folder"
            )
        self._variables = {name: value for name, value in _VARIABLES.items() if name in self._template}
        added = {
            number: token.content
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special or _is_markup(token.content, self._template)
        }
        # A letter that it does not know is a word like any other, unless the end of a turn stands for it too.
        unknown = {tokenizer.unk_token_id} - {tokenizer.bos_token_id, tokenizer.eos_token_id}
        self._control_ids = {*added, *tokenizer.all_special_ids} - unknown
        tokens = {*added.values(), *tokenizer.all_special_tokens}
        tokens |= {
            text for name, text in vars(front).items() if name.endswith("_token") and isinstance(text, str)
        }
        self._structural = _any_of(tokens)
        self._merges_system, bare = self._probe()
        self._structural = _any_of(tokens | _markers(bare, _any_of(tokens)))
        self.thinks = "</think>" in self._template

    def text(self, messages: Sequence[Mapping[str, Any]]) -> tuple[str, list[Picture]]:
        """Return the text of a chat, up to where the answer begins, and its pictures in order.

        Raises:
            InputError: a picture for a model that sees none.
            CallError: a message of another form, one the template does not take, or one whose words read as
                structure whatever is done.
        """
        turns = [(str(message["role"]), _parts(message["content"])) for message in messages]
        turns = _merge_system(turns) if self._merges_system else turns
        contents = chain.from_iterable(parts for _, parts in turns)
        pictures = [part for part in contents if isinstance(part, Picture)]
        if pictures and not self._takes_pictures:
            raise InputError(
                f"{self._source} reads text alone; show it captions (--evidence caption), or name a model that sees"
            )
        try:
            bare = self._structure(self._render(_replace_texts(turns)))
            # A tokenizer may fold letters before it looks for its tokens; the words are folded only where it does.
            for spelled in (turns, _map_texts(turns, _fold_letters)):
                text = self._render(_map_texts(spelled, self._break_markup))
                if self._structure(text) == bare:
                    return text, pictures
        except Exception as error:  # a template raises what it likes
            raise CallError(
                f"the model's chat template does not take it ({type(error).__name__}: {str(error)[:120]})",
                "bad_request",
            ) from None
        raise CallError(
            "its words read as the structure of the chat; expected words that are no control tokens",
            "bad_request",
        )

    def _break_markup(self, words: str) -> str:
        """Put a space before the last character of all that reads as structure; the words stay legible."""
        for _ in range(4):  # a broken text may read as other structure
            words, count = self._structural.subn(lambda match: f"{match[0][:-1]} {match[0][-1]}", words)
            if not count:
                break
        return words

    def _structure(self, text: str) -> tuple[list[int], list[str]]:
        """Return all that separates messages, in order: the control tokens, and the structural texts."""
        ids = self._tokenizer(text, add_special_tokens=False)["input_ids"]
        controls = [number for number in ids if number in self._control_ids]
        return controls, [markup.casefold() for markup in self._structural.findall(text)]

    def _render(self, turns: Iterable[Turn]) -> str:
        chat = [
            {
                "role": role,
                "content": [_content_part(part) for part in parts]
                if self._takes_pictures
                else _join_parts(parts),
            }
            for role, parts in turns
        ]
        return str(
            self._front.apply_chat_template(
                chat,
                chat_template=self._template,
                tokenize=False,
                add_generation_prompt=True,
                **self._variables,
            )
        )

    def _probe(self) -> tuple[bool, list[str]]:
        """Return whether system messages are merged into the user's, and what the template writes around messages.

        Some templates refuse a system message and some drop it silently, so each message is searched for.
        """
        trouble = "it leaves out what the user says"
        for roles in _PROBES:
            turns = _replace_texts([(role, [role]) for role in roles])
            try:
                rest, around = self._render(turns), []
            except Exception as error:  # a template raises what it likes
                trouble = f"{type(error).__name__}: {str(error)[:120]}"
                continue
            for _, (words,) in turns:
                before, match, rest = rest.partition(str(words))
                if not match:
                    break
                around.append(before)
            else:
                return "system" not in roles, [*around, rest]
        raise InputError(
            f"{self._source}: its chat template cannot be used ({trouble}); expected an instruct model's"
        )


def _template(front: Any) -> str | None:
    template = getattr(front, "chat_template", None)
    return template.get("default") if isinstance(template, dict) else template


def _any_of(texts: Iterable[str]) -> re.Pattern[str]:
    """Compile a pattern of any of the texts, longest first, in any case: some tokenizers put all in lower case."""
    by_first: dict[str, list[str]] = defaultdict(
        list
    )  # some tokenizers have thousands: most letters begin none
    for text in sorted({text.strip() for text in texts} - {""}, key=lambda text: (-len(text), text)):
        by_first[text[0]].append(re.escape(text[1:]))
    groups = (f"{re.escape(first)}(?:{'|'.join(rest)})" for first, rest in by_first.items())
    return re.compile("|".join(groups) or "(?!)", re.IGNORECASE)


def _is_markup(token: str, template: str) -> bool:
    """Tell whether an added token that is not special is markup; others are ordinary text: spaces, rare letters."""
    text = token.replace("\u2581", " ").strip()  # how SentencePiece writes a space
    return len(text) > 1 and bool(_TAG.fullmatch(text) or (text in template and re.search(r"[^\w\s]", text)))


def _markers(around: Iterable[str], tokens: re.Pattern[str]) -> set[str]:
    """Return the plain words by which a template marks turns; next to a token, a bare word such as "user" is none."""
    markers: set[str] = set()
    for between in around:
        pieces = tokens.split(between)
        lines = {line.strip() for piece in pieces for line in piece.splitlines()}
        markers |= {line for line in lines if len(pieces) == 1 or re.search(r"[^\w\s]", line)}
        markers |= {tag for piece in pieces for tag in _TAG.findall(piece)}
    return {marker for marker in markers if len(marker) > 1}


def _parts(content: Any) -> list[str | Picture]:
    parts: list[str | Picture] = []
    for part in [content] if isinstance(content, str) else content:
        words = part.get("text") if isinstance(part, Mapping) else part
        if not isinstance(words, str | Picture):
            raise CallError(
                f"expected texts and pictures in a message; got {str(part)[:60]!r}", "bad_request"
            )
        parts.append(words)
    return parts


def _content_part(part: str | Picture) -> dict[str, str]:
    return {"type": "image"} if isinstance(part, Picture) else {"type": "text", "text": part}


def _join_parts(parts: list[str | Picture]) -> str:
    return "\n".join(str(part) for part in parts)


def _merge_system(turns: Sequence[Turn]) -> list[Turn]:
    """Put the words of the system messages at the head of the first message of another role."""
    system = list(chain.from_iterable(parts for role, parts in turns if role == "system"))
    rest = [turn for turn in turns if turn[0] != "system"]
    if not system:
        return rest
    role, parts = rest.pop(0) if rest else ("user", [])
    head = _join_parts(system)
    if parts and isinstance(parts[0], str):
        return [(role, [f"{head}\n\n{parts[0]}", *parts[1:]]), *rest]
    return [(role, [head, *parts]), *rest]


def _map_texts(turns: Iterable[Turn], change: Callable[[str], str]) -> list[Turn]:
    return [
        (role, [part if isinstance(part, Picture) else change(part) for part in parts])
        for role, parts in turns
    ]


def _replace_texts(turns: Sequence[Turn]) -> list[Turn]:
    """Replace each text of a chat by a word that no template writes and no tokenizer reads as structure."""
    numbers = count()
    return _map_texts(turns, lambda words: f"Words{next(numbers):03d}x" if words.strip() else words)


def _fold_letters(words: str) -> str:
    """Replace variants of letters by the plain ones that a tokenizer may make of them, and drop hidden characters."""
    return keep_visible(unicodedata.normalize("NFKC", words))
