"""Long texts -> chunks that the model reads whole. Pure.

A chunk is a piece of its text, from a character to a character, so that its vector is that of the
piece embedded alone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from satsuma.engine.spans import Span

FindSpans = Callable[[str], Sequence[Span]]
_NUM_SPECIAL_TOKENS = 2  # [CLS] and [SEP], which count in a chunk's length


@dataclass(frozen=True, slots=True)
class Chunk:
    """A piece of a text.

    Attributes:
        number: from 0, in the text's order.
        start: its first character, counted from 0.
        end: the character after its last.
    """

    number: int
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Chunker:
    """How texts are cut.

    Attributes:
        find_spans: the model's tokens of a text.
        chunk_tokens: longest chunk, [CLS] and [SEP] included.
        overlap_tokens: how much of a chunk the next one begins with, at most.
    """

    find_spans: FindSpans
    chunk_tokens: int
    overlap_tokens: int = 0

    def cut(self, text: str) -> list[Chunk]:
        """Cut a text; one without any token is one chunk."""
        spans = self.find_spans(text)
        room = self.chunk_tokens - _NUM_SPECIAL_TOKENS
        if len(spans) <= room:
            return [Chunk(0, 0, len(text))]
        begin_words = bytes(span.begins_word for span in spans)
        runs = cut_spans(begin_words, room, self.overlap_tokens)
        return [
            Chunk(number, spans[begin].start, spans[end - 1].end)
            for number, (begin, end) in enumerate(runs)
        ]


def cut_spans(begins_word: Sequence[int], room: int, overlap: int) -> Iterator[tuple[int, int]]:
    """Cut a run of tokens into runs that begin and end with words.

    A word that is longer than the room is cut all the same. Every token is in some run.

    Args:
        begins_word: of each token, whether a word begins with it.
        room: tokens of a run, at most.
        overlap: tokens that a run shares with the one before, at most; less than `room`.

    Yields:
        First token, and the one after the last.
    """
    begin, end = 0, _word_end(begins_word, 0, room)
    while True:
        yield begin, end
        if end == len(begins_word):
            return
        first = max(end - overlap, begin + 1)
        starts = (place for place in range(first, end) if begins_word[place])
        runs = ((start, _word_end(begins_word, start, room)) for start in (*starts, end))
        begin, end = next(run for run in runs if run[1] > end)  # the last one always gets on


def _word_end(begins_word: Sequence[int], begin: int, room: int) -> int:
    """End a run with a word, if one ends within the room; else where the room ends."""
    end = min(begin + room, len(begins_word))
    if end == len(begins_word):
        return end
    return next((place for place in range(end, begin, -1) if begins_word[place]), end)
