"""Text -> Tokens: truncation at the model's limit, keeping [CLS] and [SEP], and counting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tokenizers

from satsuma.errors import UnsupportedModelError
from satsuma.types import Tokens

# A long text is cut before it is tokenised, so that 50 MB cost milliseconds. English has 4 to 5
# characters a token, so the first cut nearly always leaves more than fits; where it does not
# (white space, words too long for the vocabulary) the second one decides.
_CUTS_CHARACTERS_PER_TOKEN = (16, 256)


class Tokenizer:
    """A model's tokenizer at the model's limit. Thread-safe; releases the GIL while it works."""

    def __init__(self, tokenizer_json: Path, max_tokens: int) -> None:
        """Read tokenizer.json.

        Args:
            tokenizer_json: the file as Hugging Face's tokenizers library writes it.
            max_tokens: longest item, [CLS] and [SEP] included.

        Raises:
            UnsupportedModelError: if the file is damaged, or of an unknown kind.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_json))
        except Exception as error:  # the library raises bare Exception
            name = f"{tokenizer_json.parent.name}/{tokenizer_json.name}"  # clients may read this
            message = f"{name} is not a tokenizer that can be read: {error}"
            raise UnsupportedModelError(message) from error
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(max_tokens)
        self.max_tokens = max_tokens

    def tokenize(self, texts: Sequence[str]) -> list[Tokens]:
        """Tokenise each text; each item's ids are what they would be alone.

        Beyond 256 characters a token of the model's limit, a text is not looked at.
        """
        limit = _CUTS_CHARACTERS_PER_TOKEN[0] * self.max_tokens
        cuts = [_cut(text, limit) for text in texts]
        encodings = self._tokenizer.encode_batch_fast([cut.beginning for cut in cuts])
        return [
            self._look_further(text, cut, _to_tokens(encoding, is_cut=cut.loses_words))
            for text, cut, encoding in zip(texts, cuts, encodings, strict=True)
        ]

    def _look_further(self, text: str, first: _Cut, tokens: Tokens) -> Tokens:
        """Tokenise more of a text whose first cut did not fill the model's limit."""
        if not first.loses_words or len(tokens) == self.max_tokens:
            return tokens
        cut = _cut(text, _CUTS_CHARACTERS_PER_TOKEN[1] * self.max_tokens)
        encoding = self._tokenizer.encode_batch_fast([cut.beginning])[0]
        return _to_tokens(encoding, is_cut=cut.loses_words)


class _Cut(NamedTuple):
    """A text's beginning, and whether more than white space follows it."""

    beginning: str
    loses_words: bool


def _cut(text: str, max_characters: int) -> _Cut:
    """Keep a text's beginning, to the end of a word where one ends nearby."""
    if len(text) <= max_characters:
        return _Cut(text, loses_words=False)
    end = text.rfind(" ", max_characters // 2, max_characters)
    end = end if end > 0 else max_characters
    return _Cut(text[:end], loses_words=not text[end:].isspace())


def _to_tokens(encoding: tokenizers.Encoding, *, is_cut: bool) -> Tokens:
    ids = np.array(encoding.ids, dtype=np.int64)  # (T,)
    return Tokens(ids=ids, is_truncated=is_cut or bool(encoding.overflowing))
