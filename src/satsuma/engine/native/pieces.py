"""Reading plain ASCII texts in C: a tenth of what the tokenizers library takes, on any core.

`pieces.h` says what the functions do.
"""

from __future__ import annotations

import ctypes
import re
import threading
import weakref
from collections.abc import Mapping, Sequence
from ctypes import c_char_p, c_int64, c_void_p
from dataclasses import dataclass
from functools import cache
from itertools import accumulate

import numpy as np

from satsuma.engine.native.library import LIBRARY_PATH
from satsuma.errors import EngineError
from satsuma.types import IntArray, TokenIds, Tokens

# A short text is read before another thread would have given the interpreter's lock back.
_KEEPS_LOCK_BYTES = 4_000
_TEXTS_AT_ONCE = 32
_LONGEST_WORD = 256
_MOST_FRAME = 8


@dataclass(frozen=True, slots=True)
class WordPieces:
    """BERT's scheme, as a tokenizer's own file has it.

    Attributes:
        ids: of each piece; one that goes on with a word has `going_on` before it.
        going_on: such as `##`.
        unknown_id: of a word without known pieces, or of too many letters.
        longest_word: letters of a word that is read at all.
        lowers: whether case is lost.
        special: what stands for one token wherever it is written, such as `[SEP]`.
        before: ids before each text.
        after: ids after it.
    """

    ids: Mapping[str, int]
    going_on: str
    unknown_id: int
    longest_word: int
    lowers: bool
    special: tuple[str, ...]
    before: TokenIds
    after: TokenIds

    @property
    def is_usual(self) -> bool:
        """Whether the C can read by it."""
        has_room = len(self.before) + len(self.after) <= _MOST_FRAME
        is_told_apart = self.going_on.isascii() and len(self.going_on) > 1  # from a lone sign
        is_whole = self.unknown_id >= 0 and is_told_apart
        return has_room and is_whole and self.longest_word <= _LONGEST_WORD


class PieceReader:
    """Reads texts by a vocabulary. Thread-safe."""

    def __init__(self, pieces: WordPieces, max_tokens: int) -> None:
        """Copy the vocabulary.

        Args:
            pieces: it and its rules.
            max_tokens: longest item, what is put around it included.

        Raises:
            EngineError: if there is no compiled library, or no memory.
        """
        self._keeping, self._releasing = _load()
        self._max_tokens = max_tokens
        self._rooms = _Rooms(max_tokens)
        special = "|".join(map(re.escape, pieces.special))
        self._find_special = re.compile(special, re.IGNORECASE).search
        self._beginnings = tuple({one[0] for one in pieces.special})
        made = _make(self._releasing, pieces)
        if not made:
            raise EngineError("There is no memory for a vocabulary.")
        self._vocabulary = c_void_p(made)
        freeing = weakref.finalize(self, self._releasing.free_vocabulary, self._vocabulary)
        freeing.atexit = False  # a thread may still be reading

    def read(self, texts: Sequence[str]) -> list[Tokens | None]:
        """Read each text; None for one that is not plain ASCII, or has a special token."""
        items: list[Tokens | None] = []
        for start in range(0, len(texts), _TEXTS_AT_ONCE):
            items += self._read_some(texts[start : start + _TEXTS_AT_ONCE])
        return items

    def _read_some(self, texts: Sequence[str]) -> list[Tokens | None]:
        letters = "".join(texts)
        if not self._is_plain(letters):
            return self._read_plain(texts)
        room = self._rooms.get()
        room.ends[: len(texts)] = list(accumulate(map(len, texts)))
        library = self._keeping if len(letters) <= _KEEPS_LOCK_BYTES else self._releasing
        given = (letters.encode(), room.ends_at, len(texts), self._max_tokens)
        library.read_texts(self._vocabulary, *given, room.ids_at, room.told_at)
        return _cut(room.ids, room.told[: 2 * len(texts)].tolist())

    def _read_plain(self, texts: Sequence[str]) -> list[Tokens | None]:
        """Read the plain ones of some texts, each by itself."""
        return [self._read_some([one])[0] if self._is_plain(one) else None for one in texts]

    def _is_plain(self, text: str) -> bool:
        """Tell whether words and signs are all that is in a text; most have no "[" at all."""
        may_be_special = any(one in text for one in self._beginnings)
        return text.isascii() and not (may_be_special and self._find_special(text))


class _Room:
    """Where the C writes: arrays whose addresses are asked for once."""

    def __init__(self, max_tokens: int) -> None:
        self.ends = np.empty(_TEXTS_AT_ONCE, np.int64)
        self.told = np.empty(2 * _TEXTS_AT_ONCE, np.int64)
        self.ids = np.empty(_TEXTS_AT_ONCE * max_tokens, np.int64)
        self.ends_at, self.told_at = self.ends.ctypes.data, self.told.ctypes.data
        self.ids_at = self.ids.ctypes.data


class _Rooms(threading.local):
    """A room for each thread."""

    def __init__(self, max_tokens: int) -> None:
        self._max_tokens = max_tokens
        self._room: _Room | None = None

    def get(self) -> _Room:
        """Give the calling thread's."""
        if self._room is None:
            self._room = _Room(self._max_tokens)
        return self._room


def _cut(ids: IntArray, told: Sequence[int]) -> list[Tokens | None]:
    """Copy what was read, and cut it into items: they share one array of no more than their size.

    Args:
        ids: of all texts, one after another.
        told: two numbers of each, as `read_texts` in pieces.h says.
    """
    counts = told[::2]
    kept = ids[: sum(count for count in counts if count > 0)].copy()
    items: list[Tokens | None] = []
    start = 0
    for num_tokens, is_cut in zip(counts, told[1::2], strict=True):
        end = start + max(num_tokens, 0)
        items.append(Tokens(kept[start:end], bool(is_cut)) if num_tokens >= 0 else None)
        start = end
    return items


def _make(library: ctypes.CDLL, pieces: WordPieces) -> int | None:
    plain = {text: one for text, one in pieces.ids.items() if text.isascii()}
    cut = len(pieces.going_on)
    starting = {t: i for t, i in plain.items() if t and not t.startswith(pieces.going_on)}
    going = {t[cut:]: i for t, i in plain.items() if t.startswith(pieces.going_on) and t[cut:]}
    texts = [*starting, *going]
    ends = np.cumsum([len(text) for text in texts], dtype=np.int64)
    ids = np.array([*starting.values(), *going.values()], dtype=np.int64)
    frame = np.array([*pieces.before, *pieces.after], dtype=np.int64)
    made: int | None = library.make_vocabulary(
        "".join(texts).encode(),
        ends.ctypes.data,
        ids.ctypes.data,
        len(starting),
        len(texts),
        pieces.unknown_id,
        pieces.longest_word,
        pieces.lowers,
        frame.ctypes.data,
        len(pieces.before),
        len(pieces.after),
    )
    return made


@cache
def _load() -> tuple[ctypes.PyDLL, ctypes.CDLL]:
    """Load the library twice: calls of the first keep the interpreter's lock.

    Raises:
        EngineError: if this installation has none, or an older one.
    """
    try:
        keeping, releasing = ctypes.PyDLL(str(LIBRARY_PATH)), ctypes.CDLL(str(LIBRARY_PATH))
        for library in (keeping, releasing):
            _declare(library)
    except (OSError, AttributeError) as error:
        raise EngineError(f"Texts cannot be read in C: {error}") from error
    return keeping, releasing


def _declare(library: ctypes.CDLL) -> None:
    library.make_vocabulary.restype = c_void_p
    library.make_vocabulary.argtypes = [
        *(c_char_p, c_void_p, c_void_p),
        *(c_int64, c_int64, c_int64, c_int64, c_int64),
        *(c_void_p, c_int64, c_int64),
    ]
    library.free_vocabulary.restype = None
    library.free_vocabulary.argtypes = [c_void_p]
    library.read_texts.restype = None
    library.read_texts.argtypes = [
        *(c_void_p, c_char_p, c_void_p, c_int64, c_int64, c_void_p, c_void_p)
    ]
