"""Text -> Tokens: truncation at the model's limit, keeping [CLS] and [SEP], and counting."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import tokenizers

from satsuma.engine.words import find_frame, find_words
from satsuma.errors import InvalidInputError, UnsupportedModelError
from satsuma.types import TextTokens, TokenIds, Tokens

# A long text is cut before it is tokenised, so that 50 MB cost milliseconds. English has 4 to 5
# characters a token, so the first cut nearly always leaves more than fits; where it does not
# (white space, words too long for the vocabulary) the second one decides.
_CUTS_CHARACTERS_PER_TOKEN = (16, 256)


class Tokenizer:
    """A model's tokenizer at the model's limit. Thread-safe; releases the GIL while it works."""

    def __init__(
        self,
        tokenizer_json: Path,
        max_tokens: int,
        *,
        lowercases: bool = False,
        num_known: int | None = None,
    ) -> None:
        """Read tokenizer.json.

        Args:
            tokenizer_json: the file as Hugging Face's tokenizers library writes it.
            max_tokens: longest item, [CLS] and [SEP] included.
            lowercases: put texts into lower case before anything else is done to them.
            num_known: rows of the model's table of words, where the tokenizer may have more.

        Raises:
            UnsupportedModelError: if the file is damaged, or of an unknown kind.
        """
        name = f"{tokenizer_json.parent.name}/{tokenizer_json.name}"  # clients may read this
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_json))
            self._tokenizer.no_padding()
            self._tokenizer.no_truncation()
            if lowercases:
                _put_lowercasing_first(self._tokenizer)
            self._frame = find_frame(self._tokenizer)
        except Exception as error:  # the library raises bare Exception
            message = f"{name} is not a tokenizer that can be read: {error}"
            raise UnsupportedModelError(message) from error
        if max_tokens <= self._frame.length:
            raise UnsupportedModelError(
                f"{name} puts {self._frame.length} tokens around each text, and the model takes "
                f"{max_tokens} in all."
            )
        self._words = find_words(self._tokenizer, self._frame, max_tokens)
        self._tokenizer.enable_truncation(max_tokens)
        added = self._tokenizer.get_added_tokens_decoder().items()
        self.special_ids = frozenset(one for one, token in added if token.special)
        self.max_tokens = max_tokens
        num_words = self._tokenizer.get_vocab_size()
        self.vocab_size = num_words if num_known is None else min(num_words, num_known)
        self._has_unknown = self.vocab_size < num_words

    def tokenize(self, texts: Sequence[str | TokenIds]) -> list[Tokens]:
        """Tokenise each text; each item's ids are what they would be alone.

        Beyond 256 characters a token of the model's limit, a text is not looked at. What comes
        as token ids gets [CLS] and [SEP] where they are missing, and is cut like a text.

        Raises:
            InvalidInputError: if a token id is not in the vocabulary, or a text has no token, or
                one that the model does not know.
        """
        most = _CUTS_CHARACTERS_PER_TOKEN[0] * self.max_tokens
        short = [text for text in texts if isinstance(text, str) and len(text) <= most]
        read = iter(self._words.read(short))
        known = [
            (next(read) if len(text) <= most else None)
            if isinstance(text, str)
            else self._frame_ids(text, index)
            for index, text in enumerate(texts)
        ]
        unknown = [
            text
            for text, one in zip(texts, known, strict=True)
            if one is None and isinstance(text, str)
        ]
        rest = iter(self._tokenize_texts(unknown)) if unknown else iter(())
        return self._checked([next(rest) if one is None else one for one in known])

    def locate(self, texts: Sequence[str]) -> list[TextTokens]:
        """Tokenise each text as `tokenize` does, and tell where in it each token lies.

        Takes a few times as long, so it is for looking, not for embedding.
        """
        limit = _CUTS_CHARACTERS_PER_TOKEN[1] * self.max_tokens
        encodings = self._tokenizer.encode_batch([text[:limit] for text in texts])
        return [
            TextTokens(len(tokens), tokens.is_truncated, _spans(encoding))
            for tokens, encoding in zip(self.tokenize(texts), encodings, strict=True)
        ]

    def tokenize_pairs(self, query: str, contexts: Sequence[str]) -> list[Tokens]:
        """Tokenise a query with each of several texts, as a classifier of pairs wants them.

        A pair that is too long is cut at its longer text's end. Beyond 16 characters a token of the
        limit, the query is not looked at: it is read as often as there are contexts.

        Raises:
            InvalidInputError: if a pair has a token that the model does not know.
        """
        few, limit = (number * self.max_tokens for number in _CUTS_CHARACTERS_PER_TOKEN)
        left, rights = _cut(query, few), [_cut(context, limit) for context in contexts]
        pairs = [(left.beginning, right.beginning) for right in rights]
        encodings = self._tokenizer.encode_batch_fast(pairs)
        return self._checked(
            [
                _to_tokens(encoding, is_cut=left.loses_words or right.loses_words)
                for encoding, right in zip(encodings, rights, strict=True)
            ]
        )

    def count(self, text: str) -> int:
        """Count all tokens of a text, those beyond the limit too.

        Beyond 256 characters a token of the limit, it is not looked at.
        """
        cut = _cut(text, _CUTS_CHARACTERS_PER_TOKEN[1] * self.max_tokens)
        encoding = self._tokenizer.encode_batch_fast([cut.beginning])[0]
        length = self._frame.length
        return len(encoding.ids) + sum(len(one.ids) - length for one in encoding.overflowing)

    def _checked(self, items: list[Tokens]) -> list[Tokens]:
        """Refuse a text without tokens, and a token that the model has not, such as an image's."""
        if self._has_unknown or not self._frame.length:
            for index, item in enumerate(items):
                if not len(item):
                    raise InvalidInputError(f"the model reads no token in text {index}")
                wrong = int(item.ids.max())
                if wrong >= self.vocab_size:
                    token = self._tokenizer.id_to_token(wrong)
                    message = f"the model does not know the token {token} of text {index}"
                    raise InvalidInputError(message)
        return items

    def _frame_ids(self, ids: TokenIds, index: int) -> Tokens:
        read = ids[: self.max_tokens + 2]  # what is cut off is not looked at
        wrong = next((one for one in read if not 0 <= one < self.vocab_size), None)
        if wrong is not None:
            raise InvalidInputError(
                f"token id {wrong} of text {index} is not in the model's vocabulary of "
                f"{self.vocab_size}; send ids of this model's own tokenizer, or send the text",
                param="input",
            )
        return self._frame.put_around(self._frame.strip_from(ids), self.max_tokens)

    def _tokenize_texts(self, texts: Sequence[str]) -> list[Tokens]:
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


def _put_lowercasing_first(tokenizer: tokenizers.Tokenizer) -> None:
    own = tokenizer.normalizer
    if isinstance(own, tokenizers.normalizers.BertNormalizer) and own.lowercase:
        return
    lowercase = tokenizers.normalizers.Lowercase()
    steps = [lowercase] if own is None else [lowercase, own]
    tokenizer.normalizer = tokenizers.normalizers.Sequence(steps)


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


def _spans(encoding: tokenizers.Encoding) -> tuple[tuple[int, int], ...]:
    marked = zip(encoding.offsets, encoding.special_tokens_mask, strict=True)
    return tuple(span for span, is_special in marked if not is_special)


def _to_tokens(encoding: tokenizers.Encoding, *, is_cut: bool) -> Tokens:
    ids = np.array(encoding.ids, dtype=np.int64)  # (T,)
    return Tokens(ids=ids, is_truncated=is_cut or bool(encoding.overflowing))
