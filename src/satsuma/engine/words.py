"""Words of plain texts -> token ids, where a tokenizer lets words be read one by one.

That is BERT's scheme. Any other tokenizer, and any other text, is left to the tokenizers library.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple, Protocol

import numpy as np
import tokenizers

from satsuma.engine.native.pieces import PieceReader, WordPieces
from satsuma.errors import EngineError
from satsuma.types import TokenIds, Tokens

_LOGGER = logging.getLogger(__name__)

# Plain ASCII without "[", which may begin a special token such as [SEP].
_PLAIN = re.compile(r"[\t\n\r -Z\\-~]*")
_SPECIAL = re.compile(r"\[[!-~]*")  # such as "[SEP]": written in one way alone
_WORD = re.compile(r"[A-Za-z0-9]+|[!-/:-@\[-`{-~]")
_MAX_WORDS = 50_000  # kept in memory: some 5 MB
_MAX_KEPT_CHARACTERS = 32  # of a word that is kept


class Words(Protocol):
    """Reads plain texts."""

    def read(self, texts: Sequence[str]) -> list[Tokens | None]:
        """Read each text; None for one that is for the library."""
        ...


class Frame(NamedTuple):
    """What the model wants around an item's own tokens: [CLS] before, [SEP] after."""

    before: TokenIds
    after: TokenIds

    @property
    def length(self) -> int:
        """Tokens of it."""
        return len(self.before) + len(self.after)

    def strip_from(self, ids: TokenIds) -> TokenIds:
        """Take away what is around ids that may be framed."""
        num_before, num_after = len(self.before), len(self.after)
        if num_before and ids[:num_before] == self.before:
            ids = ids[num_before:]
        if num_after and ids[-num_after:] == self.after:
            ids = ids[:-num_after]
        return ids

    def put_around(self, ids: Sequence[int], max_tokens: int) -> Tokens:
        """Frame bare ids, cut to the limit."""
        room = max_tokens - self.length
        framed = np.array([*self.before, *ids[:room], *self.after], dtype=np.int64)  # (T,)
        return Tokens(ids=framed, is_truncated=len(ids) > room)


def find_frame(tokenizer: tokenizers.Tokenizer) -> Frame:
    """See what the tokenizer puts around a word."""
    encoding = tokenizer.encode("a")
    ids, is_special = tuple(encoding.ids), encoding.special_tokens_mask
    if 0 not in is_special:
        return Frame((), ())
    start, length = is_special.index(0), is_special.count(0)
    return Frame(ids[:start], ids[start + length :])


class KnownWords:
    """The words of plain ASCII text that came before, and their ids.

    In BERT's scheme a word's ids do not depend on its neighbours, and in plain ASCII words are told
    by a regular expression. So a text of known words costs a fifth of what the library takes, and
    keeps the interpreter's lock, which would be slow to come back. Stands in for `PieceReader`
    where there is no compiled library.
    """

    def __init__(self, tokenizer: tokenizers.Tokenizer, frame: Frame, max_tokens: int) -> None:
        """Start with no words; the tokenizer's scheme has to be BERT's."""
        self._tokenizer = tokenizer
        self._frame = frame
        self._max_tokens = max_tokens
        self._lowers = tokenizer.normalizer.lowercase
        self._ids: dict[str, list[int]] = {}

    def read(self, texts: Sequence[str]) -> list[Tokens | None]:
        """Read each text; None for one that is not plain."""
        return [self._read(text) for text in texts]

    def _read(self, text: str) -> Tokens | None:
        ids = self._find(text)
        return None if ids is None else self._frame.put_around(ids, self._max_tokens)

    def _find(self, text: str) -> list[int] | None:
        """Give a text's ids without [CLS] and [SEP]; None if it is not plain."""
        if not _PLAIN.fullmatch(text):
            return None
        words = _WORD.findall(text.lower() if self._lowers else text)
        try:
            return list(chain.from_iterable(map(self._ids.__getitem__, words)))
        except KeyError:
            known = self._learn(words)
            return list(chain.from_iterable(map(known.__getitem__, words)))

    def _learn(self, words: list[str]) -> dict[str, list[int]]:
        """Ask the library for the words that are new."""
        known = {word: self._ids.get(word) for word in words}
        new = [word for word, ids in known.items() if ids is None]
        encodings = self._tokenizer.encode_batch_fast(new, add_special_tokens=False)
        learnt = {word: one.ids for word, one in zip(new, encodings, strict=True)}
        if len(self._ids) + len(learnt) > _MAX_WORDS:
            self._ids.clear()
        self._ids.update((w, ids) for w, ids in learnt.items() if len(w) <= _MAX_KEPT_CHARACTERS)
        return {word: learnt[word] if ids is None else ids for word, ids in known.items()}


class NoWords:
    """Reads nothing: every text is for the library."""

    def read(self, texts: Sequence[str]) -> list[Tokens | None]:
        """Read none."""
        return [None] * len(texts)


def find_words(tokenizer: tokenizers.Tokenizer, frame: Frame, max_tokens: int) -> Words:
    """Choose the quickest reader that gives what the library gives."""
    if not _reads_words(tokenizer):
        return NoWords()
    pieces = _word_pieces(tokenizer, frame)
    try:
        if pieces.is_usual:
            return PieceReader(pieces, max_tokens)
    except EngineError as error:
        _LOGGER.info("%s", error)
    return KnownWords(tokenizer, frame, max_tokens)


def _reads_words(tokenizer: tokenizers.Tokenizer) -> bool:
    """Tell whether a word's ids depend on it alone."""
    added = (token.content for token in tokenizer.get_added_tokens_decoder().values())
    return (
        isinstance(tokenizer.normalizer, tokenizers.normalizers.BertNormalizer)
        and isinstance(tokenizer.pre_tokenizer, tokenizers.pre_tokenizers.BertPreTokenizer)
        and isinstance(tokenizer.model, tokenizers.models.WordPiece)
        and all(map(_SPECIAL.fullmatch, added))
    )


def _word_pieces(tokenizer: tokenizers.Tokenizer, frame: Frame) -> WordPieces:
    model, ids = tokenizer.model, tokenizer.get_vocab(with_added_tokens=False)
    return WordPieces(
        ids=ids,
        going_on=model.continuing_subword_prefix,
        unknown_id=ids.get(model.unk_token, -1),
        longest_word=model.max_input_chars_per_word,
        lowers=tokenizer.normalizer.lowercase,
        special=tuple(one.content for one in tokenizer.get_added_tokens_decoder().values()),
        before=frame.before,
        after=frame.after,
    )
