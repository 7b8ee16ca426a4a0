"""Keep text text: a tokenizer reads words such as ``</s>`` as its tokens of control wherever they are written."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Sequence
from functools import cached_property
from typing import Any

from mrharm.texts import keep_visible

_TAG = re.compile(r"<[^<>'\"\s]+>|\[/?[A-Z_]+\]")


class ControlTokens:
    """A tokenizer's tokens of control (end, padding, turns of a chat), and text in which none of them is read.

    An unknown token is none of them: letters that the tokenizer does not know are words like any other.

    Args:
        tokenizer: of any kind that transformers loads.
        template: a chat template; the tags that it writes may not be spelled either, tokens or not.
    """

    def __init__(self, tokenizer: Any, template: str = "") -> None:
        self._tokenizer = tokenizer
        added = {
            number: token.content.strip()
            for number, token in tokenizer.added_tokens_decoder.items()
            if token.special or _TAG.fullmatch(token.content.strip())
        }
        unknown = {tokenizer.unk_token_id} - {tokenizer.bos_token_id, tokenizer.eos_token_id}
        self._special = {*added, *tokenizer.all_special_ids}
        self._ids = self._special - unknown
        markup = {*added.values(), *tokenizer.all_special_tokens, *_TAG.findall(template)} - {""}
        # Longest first; in any case, because some tokenizers put all in lower case.
        longest_first = sorted(markup, key=len, reverse=True)
        self._markup = re.compile("|".join(map(re.escape, longest_first)) or "(?!)", re.IGNORECASE)

    def select(self, ids: Iterable[int]) -> list[int]:
        """Select the tokens of control among token ids, in order."""
        return [number for number in ids if number in self._ids]

    def escape(self, text: str) -> str:
        """Put a space into each token of control that a text spells, before its last character: it stays legible.

        Many tokenizers fold letters first (NFKC, as SentencePiece does), so that a token in fullwidth letters is one.
        """
        folded = keep_visible(unicodedata.normalize("NFKC", text))
        if len(self._markup.findall(folded)) > len(self._markup.findall(text)):
            text = folded
        return self._markup.sub(lambda match: f"{match[0][:-1]} {match[0][-1]}", text)

    def encode(self, text: str) -> list[int]:
        """Tokenise a text without begin and end tokens: no id is a token of control, whatever the text spells.

        A text that spells none is tokenised as it is.
        """
        ids = self._tokenize(text)
        if self._special.isdisjoint(ids):
            return ids
        # What another folding than `escape`'s makes of letters is replaced token by token.
        ids = self._tokenize(self.escape(text))
        return [piece for number in ids for piece in self._spellings.get(number, (number,))]

    @cached_property
    def _spellings(self) -> dict[int, Sequence[int]]:
        """Return the id of each token of control -> the ids of its name as text."""
        names = {number: self._tokenizer.convert_ids_to_tokens(number) for number in self._ids}
        rows = {number: self._tokenize(self.escape(name)) for number, name in names.items()}
        # A token of one letter cannot be broken: it is left out.
        return {number: row if self._ids.isdisjoint(row) else () for number, row in rows.items()}

    def _tokenize(self, text: str) -> list[int]:
        # Some vocabularies hold tokens of control as words, too: splitting does not reach those.
        options = {"add_special_tokens": False, "split_special_tokens": True, "verbose": False}
        ids: list[int] = self._tokenizer(text, **options)["input_ids"]
        return ids
