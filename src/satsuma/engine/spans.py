"""Where a text's tokens lie in it: what cutting a long text into chunks needs."""

from __future__ import annotations

import re
from array import array
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple, overload

import tokenizers

from satsuma.errors import UnsupportedModelError

# A long text is looked at piece by piece, so that memory stays small. A piece ends with a word.
_PIECE_CHARACTERS = 50_000
_GAP = re.compile(r"\s")


class Span(NamedTuple):
    """One token's place in its text.

    Attributes:
        start: its first character, counted from 0.
        end: the character after its last.
        begins_word: whether a word begins with it.
    """

    start: int
    end: int
    begins_word: bool


class Spans(Sequence[Span]):
    """Spans of a text, in nine bytes each: a book has millions."""

    def __init__(self) -> None:
        """Begin with none."""
        self._starts, self._ends, self._begin_words = array("i"), array("i"), bytearray()

    def add(self, span: Span) -> None:
        """Put one at the end."""
        self._starts.append(span.start)
        self._ends.append(span.end)
        self._begin_words.append(span.begins_word)

    def __len__(self) -> int:
        """Count them."""
        return len(self._starts)

    @overload
    def __getitem__(self, place: int) -> Span: ...
    @overload
    def __getitem__(self, place: slice) -> Sequence[Span]: ...
    def __getitem__(self, place: int | slice) -> Span | Sequence[Span]:
        """Give one, or some."""
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        return Span(self._starts[place], self._ends[place], bool(self._begin_words[place]))


class SpanFinder:
    """A model's tokenizer, asked for places instead of ids. Thread-safe."""

    def __init__(self, tokenizer_json: Path) -> None:
        """Read tokenizer.json.

        Raises:
            UnsupportedModelError: if the file is damaged, or of an unknown kind.
        """
        try:
            self._tokenizer = tokenizers.Tokenizer.from_file(str(tokenizer_json))
        except Exception as error:  # the library raises bare Exception
            message = f"{tokenizer_json.name} is not a tokenizer that can be read: {error}"
            raise UnsupportedModelError(message) from error
        self._tokenizer.no_padding()
        self._tokenizer.no_truncation()

    def find(self, text: str) -> Spans:
        """Find every token of a text, without [CLS] and [SEP]."""
        spans = Spans()
        begin = 0
        while begin < len(text):
            end = _piece_end(text, begin)
            for span in self._find(text[begin:end], begin):
                spans.add(span)
            begin = end
        return spans

    def _find(self, piece: str, offset: int) -> list[Span]:
        encoding = self._tokenizer.encode(piece, add_special_tokens=False)
        words = encoding.word_ids
        before = [None, *words[:-1]]
        return [
            Span(offset + start, offset + end, word is None or word != previous)
            for (start, end), word, previous in zip(encoding.offsets, words, before, strict=True)
        ]


def _piece_end(text: str, begin: int) -> int:
    """End a piece at white space, where some comes before long."""
    if len(text) - begin <= _PIECE_CHARACTERS:
        return len(text)
    gap = _GAP.search(text, begin + _PIECE_CHARACTERS, begin + 2 * _PIECE_CHARACTERS)
    return gap.start() if gap else begin + 2 * _PIECE_CHARACTERS
