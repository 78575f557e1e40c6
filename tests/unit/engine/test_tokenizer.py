"""Truncation, counting, and texts of any size, with a real tokenizer."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import tokenizers
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from satsuma.engine.load import LoadedModel
from satsuma.engine.native import pieces
from satsuma.engine.native.pieces import PieceReader
from satsuma.engine.tokenizer import Tokenizer
from satsuma.engine.words import KnownWords
from satsuma.errors import InvalidInputError, UnsupportedModelError
from satsuma.store.manifest import ModelFiles

CLS, SEP, UNKNOWN = 101, 102, 100


@pytest.fixture
def tokenizer(all_minilm: LoadedModel) -> Tokenizer:
    """The real one, of at most 256 tokens."""
    return all_minilm.tokenizer


def test_tokens_are_counted_with_their_marks(tokenizer: Tokenizer) -> None:
    """[CLS] and [SEP] count, as the service bills them."""
    (tokens,) = tokenizer.tokenize(["hello world"])
    assert tokens.ids.tolist() == [CLS, 7592, 2088, SEP]
    assert not tokens.is_truncated


@pytest.mark.parametrize("has_own", [True, False])
def test_texts_are_put_into_lower_case_where_that_is_asked_for(
    tmp_path: Path,
    has_own: bool,
) -> None:
    """Before the tokenizer's own normaliser, if it has one; spans are those of the text."""
    model = tokenizers.models.WordLevel({"?": 0, "one": 1, "One": 2, "two": 3}, unk_token="?")
    plain = tokenizers.Tokenizer(model)
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if has_own:
        plain.normalizer = tokenizers.normalizers.NFC()
    plain.save(str(tmp_path / "tokenizer.json"))
    as_it_is, lowered = (
        Tokenizer(tmp_path / "tokenizer.json", 8, lowercases=lowercases)
        for lowercases in (False, True)
    )
    assert as_it_is.tokenize(["One TWO"])[0].ids.tolist() == [2, 0]
    assert lowered.tokenize(["One TWO"])[0].ids.tolist() == [1, 3]
    assert lowered.locate(["One TWO"])[0].spans == ((0, 3), (4, 7))


@pytest.mark.parametrize("num_words", [254, 255, 5000])
def test_truncation_keeps_the_marks(tokenizer: Tokenizer, num_words: int) -> None:
    """A text of 254 words fits exactly; longer ones lose their end, not [SEP]."""
    (tokens,) = tokenizer.tokenize([" ".join(["word"] * num_words)])
    assert len(tokens) == 256
    assert (tokens.ids[0], tokens.ids[-1]) == (CLS, SEP)
    assert tokens.is_truncated == (num_words > 254)


@pytest.mark.parametrize(
    "ids", [(7592, 2088), (CLS, 7592, 2088, SEP), (CLS, 7592, 2088), (7592, 2088, SEP)]
)
def test_token_ids_stand_for_their_text(tokenizer: Tokenizer, ids: tuple[int, ...]) -> None:
    """With or without the marks, beside texts or alone."""
    text, given = tokenizer.tokenize(["hello world", ids])
    assert given.ids.tolist() == text.ids.tolist()
    assert not given.is_truncated


def test_a_tokenizer_without_marks_adds_none_to_token_ids(tmp_path: Path) -> None:
    """What it puts around a text is what it puts around ids."""
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a": 0, "b": 1, "?": 2}, "?"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    plain.save(str(tmp_path / "tokenizer.json"))
    text, given = Tokenizer(tmp_path / "tokenizer.json", 8).tokenize(["a b", (0, 1)])
    assert given.ids.tolist() == text.ids.tolist() == [0, 1]


def test_texts_and_token_ids_keep_their_order(tokenizer: Tokenizer) -> None:
    """However they are mixed."""
    mixed = tokenizer.tokenize([(7592,), "world", (7592, 2088), "hello"])
    assert [one.ids.tolist()[1:-1] for one in mixed] == [[7592], [2088], [7592, 2088], [7592]]


@pytest.mark.parametrize("num_ids", [254, 255, 5000])
def test_token_ids_are_cut_as_texts_are(tokenizer: Tokenizer, num_ids: int) -> None:
    """At the same place, and it is told."""
    (tokens,) = tokenizer.tokenize([(CLS, *(7592 for _ in range(num_ids)), SEP)])
    assert len(tokens) == 256
    assert (tokens.ids[0], tokens.ids[-1]) == (CLS, SEP)
    assert tokens.is_truncated == (num_ids > 254)


@pytest.mark.parametrize("wrong", [-1, 30522, 100277, 2**63])
def test_unknown_token_ids_are_refused(tokenizer: Tokenizer, wrong: int) -> None:
    """Those of another model's tokenizer, say."""
    with pytest.raises(InvalidInputError, match=f"token id {wrong} of text 1 is not in"):
        tokenizer.tokenize(["a", (7592, wrong)])


def test_a_token_that_the_model_does_not_know_is_refused(all_minilm_files: ModelFiles) -> None:
    """Some tokenizers have a few more than the model: of an image, say. Nothing else is refused."""
    tokenizer_json = all_minilm_files.folder / "tokenizer.json"
    smaller = Tokenizer(tokenizer_json, 16, num_known=2089)  # up to "world"
    assert len(smaller.tokenize(["world"])[0]) == 3
    with pytest.raises(InvalidInputError, match="does not know the token hello of text 1"):
        smaller.tokenize(["world", "hello"])
    with pytest.raises(InvalidInputError, match="does not know the token hello of text 1"):
        smaller.tokenize_pairs("world", ["world", "hello"])
    with pytest.raises(InvalidInputError, match="token id 7592"):
        smaller.tokenize([(7592,)])


def test_a_text_without_a_token_is_refused(tmp_path: Path) -> None:
    """Where nothing is put around it; there would be nothing to make a vector of."""
    plain = tokenizers.Tokenizer(tokenizers.models.WordLevel({"?": 0, "one": 1}, unk_token="?"))
    plain.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    plain.save(str(tmp_path / "tokenizer.json"))
    bare = Tokenizer(tmp_path / "tokenizer.json", 8)
    assert bare.tokenize(["one"])[0].ids.tolist() == [1]
    with pytest.raises(InvalidInputError, match="no token in text 1"):
        bare.tokenize(["one", " "])


def test_neighbours_do_not_change_a_texts_tokens(tokenizer: Tokenizer) -> None:
    """No padding, whatever tokenizer.json asks for."""
    texts = ["a", "a much longer text than its neighbours", "b c"]
    together = [tokens.ids.tolist() for tokens in tokenizer.tokenize(texts)]
    assert together == [tokenizer.tokenize([text])[0].ids.tolist() for text in texts]


@pytest.mark.parametrize(
    "beginning", ["word " * 3000, " " * 20_000 + "late words " * 3000, "a" * 9000 + " word" * 900]
)
def test_a_cut_text_gives_the_same_tokens(all_minilm_files: ModelFiles, beginning: str) -> None:
    """The cut by characters leaves every token that counts."""
    limited = Tokenizer(all_minilm_files.folder / "tokenizer.json", 256)
    whole = Tokenizer(all_minilm_files.folder / "tokenizer.json", 100_000)
    (tokens,) = limited.tokenize([beginning])
    expected = whole.tokenize([beginning])[0].ids[:255].tolist()
    assert tokens.ids[:255].tolist() == expected


class Spy:
    """The tokenizers library's tokenizer, counting what it is given."""

    def __init__(self, inner: Any) -> None:
        """Stand before the real one."""
        self._inner = inner
        self.num_characters = 0

    def encode_batch_fast(self, texts: list[str]) -> Any:
        """Count, and pass on."""
        self.num_characters += sum(map(len, texts))
        return self._inner.encode_batch_fast(texts)


@pytest.mark.parametrize("character", ["word ", "a", " ", "漢", "é", "\u0301", "\x00", "🍊"])
def test_little_of_fifty_megabytes_is_tokenised(
    all_minilm_files: ModelFiles, character: str
) -> None:
    """All of it would take seconds."""
    tokenizer = Tokenizer(all_minilm_files.folder / "tokenizer.json", 256)
    spy: Any = Spy(tokenizer._tokenizer)
    tokenizer._tokenizer = spy
    (tokens,) = tokenizer.tokenize([character * (50_000_000 // len(character.encode()))])
    assert spy.num_characters <= (16 + 256) * 256
    assert len(tokens) <= 256
    assert tokens.is_truncated == (character != " ")


@pytest.mark.parametrize(
    ("text", "is_truncated"),
    [
        ("word " * 254 + " " * 9_000, False),
        ("word " * 254 + "\n\t" * 9_000, False),
        ("word " + " " * 100_000, False),
        ("word " * 254 + " " * 9_000 + "word", True),
        ("word " * 254 + " " * 100_000 + "word", True),
    ],
)
def test_white_space_alone_is_no_loss(
    tokenizer: Tokenizer, text: str, *, is_truncated: bool
) -> None:
    """A text is truncated where more than white space is cut off."""
    (tokens,) = tokenizer.tokenize([text])
    assert tokens.is_truncated == is_truncated


@pytest.mark.parametrize("content", ["", "{}", "not json"])
def test_a_damaged_tokenizer_is_refused(tmp_path: Path, content: str) -> None:
    """The message names the file, and not where the server keeps it."""
    (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UnsupportedModelError, match=r"tokenizer\.json") as caught:
        Tokenizer(tmp_path / "tokenizer.json", 256)
    assert str(tmp_path) not in str(caught.value)


@pytest.fixture(scope="module")
def library(all_minilm_files: ModelFiles, all_minilm: LoadedModel) -> tokenizers.Tokenizer:
    """The library's own way, of as many tokens at most."""
    one = tokenizers.Tokenizer.from_file(str(all_minilm_files.folder / "tokenizer.json"))
    one.no_padding()
    one.enable_truncation(all_minilm.tokenizer.max_tokens)
    return one


PIECES = st.one_of(
    st.text(st.characters(max_codepoint=127), max_size=12),
    st.text(st.characters(codec="utf-8"), max_size=4),
    st.sampled_from(
        [
            "hello",
            "World",
            "[SEP]",
            "##ing",
            "[unused1]",
            "[a](b)",
            "[sep]",
            "[UNK]",
            "don't",
            "a" * 120,
            "\x00b",
        ]
    ),
)


@pytest.fixture(scope="module")
def without_library(all_minilm_files: ModelFiles) -> Tokenizer:
    """As where nothing was compiled."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "LIBRARY_PATH", Path("/nowhere.so"))
        pieces._load.cache_clear()
        made = Tokenizer(all_minilm_files.folder / "tokenizer.json", 256)
    pieces._load.cache_clear()
    assert isinstance(made._words, KnownWords)
    return made


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(st.lists(PIECES, max_size=30), st.sampled_from([" ", "\n", "-", ""]))
def test_known_words_give_what_the_library_gives(
    without_library: Tokenizer, library: tokenizers.Tokenizer, parts: list[str], between: str
) -> None:
    """The short way and the library's own agree, on whatever text."""
    text = between.join(parts)
    expected = library.encode(text)
    for _ in range(2):  # with words that are new, then with the same words known
        (tokens,) = without_library.tokenize([text])
        assert tokens.ids.tolist() == expected.ids
        assert tokens.is_truncated == bool(expected.overflowing)


@settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(
    st.lists(
        st.tuples(st.lists(PIECES, max_size=30), st.sampled_from([" ", "\n", "-", ""])), max_size=70
    )
)
def test_texts_read_in_c_are_what_the_library_gives(
    tokenizer: Tokenizer,
    library: tokenizers.Tokenizer,
    drawn: list[tuple[list[str], str]],
) -> None:
    """Whatever texts come together, and however many."""
    assert isinstance(tokenizer._words, PieceReader)
    texts = [between.join(parts) for parts, between in drawn]
    for tokens, text in zip(tokenizer.tokenize(texts), texts, strict=True):
        expected = library.encode(text)
        assert tokens.ids.tolist() == expected.ids
        assert tokens.is_truncated == bool(expected.overflowing)


@pytest.mark.parametrize("lowers", [True, False])
def test_small_vocabularies_are_read_in_c(tmp_path: Path, *, lowers: bool) -> None:
    """Of any pieces and limits, with case and without, and with other marks than BERT's."""
    vocabulary = {"[UNK]": 0, "ab": 1, "a": 2, "##b": 3, "##bc": 4, "!": 5, "A": 6, "[X]": 7}
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]", max_input_chars_per_word=4)
    )
    made.normalizer = tokenizers.normalizers.BertNormalizer(lowercase=lowers)
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="[X] $A", special_tokens=[("[X]", 7)]
    )
    made.save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path / "tokenizer.json", 6)
    assert isinstance(tokenizer._words, PieceReader)
    made.enable_truncation(6)
    texts = ["ab", "abc abbbb", "Ab!A", "abbc", "zz a", "!!!!!", "!!!!!!", "", " ", "a b"]
    for tokens, text in zip(tokenizer.tokenize(texts), texts, strict=True):
        expected = made.encode(text)
        assert (tokens.ids.tolist(), text) == (expected.ids, text)
        assert tokens.is_truncated == bool(expected.overflowing)


@pytest.mark.parametrize(
    ("prefix", "special", "text"),
    [("\u2581", "[X]", "hello"), ("@", "[X]", "@ hello"), ("##", "[\u00e9]", "hell [e]")],
)
def test_unusual_vocabularies_give_what_the_library_gives(
    tmp_path: Path, prefix: str, special: str, text: str
) -> None:
    """A prefix that is no ASCII or a lone sign; a special token that is written in several ways."""
    vocabulary = {"[UNK]": 0, "hell": 1, f"{prefix}o": 2, "@": 3, "[": 4, "e": 5, "]": 6}
    made = tokenizers.Tokenizer(
        tokenizers.models.WordPiece(vocabulary, unk_token="[UNK]", continuing_subword_prefix=prefix)
    )
    made.normalizer = tokenizers.normalizers.BertNormalizer()
    made.pre_tokenizer = tokenizers.pre_tokenizers.BertPreTokenizer()
    made.add_tokens([tokenizers.AddedToken(special, normalized=True)])
    made.save(str(tmp_path / "tokenizer.json"))
    (tokens,) = Tokenizer(tmp_path / "tokenizer.json", 8).tokenize([text])
    assert tokens.ids.tolist() == made.encode(text).ids


def test_threads_read_beside_each_other(tokenizer: Tokenizer) -> None:
    """Each has arrays of its own to read into."""
    groups = [[f"{word} " * n for n in range(1, 60)] for word in ("red", "green", "blue", "grey")]
    alone = [[one.ids.tolist() for one in tokenizer.tokenize(group)] for group in groups]
    with ThreadPoolExecutor(4) as pool:
        together = list(pool.map(tokenizer.tokenize, groups * 50))
    for number, read in enumerate(together):
        assert [one.ids.tolist() for one in read] == alone[number % 4]


def test_another_kind_of_tokenizer_is_left_to_the_library(tmp_path: Path) -> None:
    """Only BERT's scheme lets words be looked up one by one."""
    bytewise = tokenizers.Tokenizer(tokenizers.models.WordLevel({"a b": 0, "?": 1}, "?"))
    bytewise.save(str(tmp_path / "tokenizer.json"))
    (tokens,) = Tokenizer(tmp_path / "tokenizer.json", 8).tokenize(["a b"])
    assert tokens.ids.tolist() == [0]


def test_words_are_forgotten_before_they_fill_the_memory(
    without_library: Tokenizer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And are learnt again, with the same ids."""
    tokenizer = without_library
    before = [one.ids.tolist() for one in tokenizer.tokenize(["red green", "blue " + "x" * 90])]
    monkeypatch.setattr("satsuma.engine.words._MAX_WORDS", 1)
    after = [
        one.ids.tolist() for one in tokenizer.tokenize(["red green", "cyan", "blue " + "x" * 90])
    ]
    assert [after[0], after[2]] == before
    assert isinstance(tokenizer._words, KnownWords)
    assert len(tokenizer._words._ids) <= 2


def test_tokens_are_located(tokenizer: Tokenizer) -> None:
    """By characters of the text as it was sent, accents and emoji included."""
    text = "Unbelievably naïve \N{TANGERINE}!"
    (found,) = tokenizer.locate([text])
    pieces = [text[start:end] for start, end in found.spans]
    assert pieces == ["Un", "bel", "ie", "va", "bly", "naïve", "\N{TANGERINE}", "!"]
    assert found.num_tokens == len(pieces) + 2
    assert not found.is_truncated


def test_locating_counts_as_tokenising_does(tokenizer: Tokenizer) -> None:
    """Also where a text is cut; spans end where the model stops reading."""
    texts = ["short", "word " * 254, "word " * 255, "a" * 300_000, " " * 100]
    located, tokenised = tokenizer.locate(texts), tokenizer.tokenize(texts)
    assert [one.num_tokens for one in located] == [len(one) for one in tokenised]
    assert [one.is_truncated for one in located] == [one.is_truncated for one in tokenised]
    assert [len(one.spans) for one in located] == [len(one) - 2 for one in tokenised]
    assert located[2].spans[-1] == (253 * 5, 253 * 5 + 4)


def sentencepiece_json(folder: Path) -> Path:
    """Write a small tokenizer of XLM-R's kind: pieces of text, and marks around a pair."""
    pieces = [("<s>", 0.0), ("<pad>", 0.0), ("</s>", 0.0), ("<unk>", 0.0)]
    pieces += [("\u2581", -3.0), ("\u2581hello", -2.0), ("\u2581world", -2.0), ("s", -4.0)]
    made = tokenizers.Tokenizer(tokenizers.models.Unigram(pieces, unk_id=3))
    made.pre_tokenizer = tokenizers.pre_tokenizers.Metaspace()
    made.post_processor = tokenizers.processors.TemplateProcessing(
        single="<s> $A </s>",
        pair="<s> $A </s> </s> $B </s>",
        special_tokens=[("<s>", 0), ("</s>", 2)],
    )
    made.add_special_tokens(["<s>", "<pad>", "</s>", "<unk>"])
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def test_sentencepiece_is_left_to_the_library(tmp_path: Path) -> None:
    """Pieces, and the marks that XLM-R has in the places of [CLS] and [SEP]."""
    tokenizer = Tokenizer(sentencepiece_json(tmp_path), max_tokens=8)
    (tokens,) = tokenizer.tokenize(["hello worlds"])
    assert tokens.ids.tolist() == [0, 5, 6, 7, 2]
    (framed,) = tokenizer.tokenize([(5, 6)])
    assert framed.ids.tolist() == [0, 5, 6, 2]


def test_a_query_is_paired_with_each_context(tmp_path: Path) -> None:
    """With the marks that the classifier wants between them, cut to its limit."""
    tokenizer = Tokenizer(sentencepiece_json(tmp_path), max_tokens=8)
    short, long = tokenizer.tokenize_pairs("hello", ["world", "world " * 50])
    assert (short.ids.tolist(), short.is_truncated) == ([0, 5, 2, 2, 6, 2], False)
    assert (len(long), long.is_truncated) == (8, True)
    assert long.ids.tolist()[:4] == [0, 5, 2, 2]


def test_a_long_query_is_cut_before_it_is_read_with_each_context(tokenizer: Tokenizer) -> None:
    """Beyond 16 characters a token it is not looked at; the pair is the same."""
    long, context = "word " * 1_000, ["a context"]
    (whole,) = tokenizer.tokenize_pairs(long, context)
    (longer,) = tokenizer.tokenize_pairs(long + "word " * 100_000, context)
    assert whole.is_truncated
    assert longer.is_truncated
    assert whole.ids.tolist() == longer.ids.tolist()


@pytest.mark.parametrize("max_tokens", [1, 2])
def test_a_limit_without_room_for_a_text_is_refused(
    all_minilm_files: ModelFiles, max_tokens: int
) -> None:
    """The marks alone would fill it."""
    with pytest.raises(UnsupportedModelError, match="puts 2 tokens around each text"):
        Tokenizer(all_minilm_files.folder / "tokenizer.json", max_tokens)


@pytest.mark.parametrize("num_words", [1, 254, 255, 1000])
def test_all_tokens_of_a_long_text_are_counted(tokenizer: Tokenizer, num_words: int) -> None:
    """Those that are cut off too; the marks once."""
    assert tokenizer.count("word " * num_words) == num_words + 2


def test_pieces_are_counted_too(tmp_path: Path) -> None:
    """With XLM-R's marks."""
    tokenizer = Tokenizer(sentencepiece_json(tmp_path), max_tokens=8)
    assert tokenizer.count("world " * 50) == len(
        Tokenizer(sentencepiece_json(tmp_path), max_tokens=500).tokenize(["world " * 50])[0]
    )
