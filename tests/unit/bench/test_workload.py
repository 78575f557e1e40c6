import pytest
from hypothesis import given
from hypothesis import strategies as st

from satsuma.bench.random_model import SHAPES, find_tokenizer_json, tensor_shapes
from satsuma.bench.workload import WORDS, WORKLOADS, text_flops, workload_flops
from satsuma.engine.tokenizer import Tokenizer


@pytest.fixture(scope="module")
def tokenizer() -> Tokenizer:
    """Load the real tokenizer."""
    return Tokenizer(find_tokenizer_json(), max_tokens=512)


@pytest.mark.parametrize("name", WORKLOADS)
def test_texts_have_exactly_the_lengths_that_the_name_says(name: str, tokenizer: Tokenizer) -> None:
    """Every text of every workload tokenises to its exact length, and none is truncated."""
    workload = WORKLOADS[name]
    items = tokenizer.tokenize(workload.texts(variant=3))
    assert [len(tokens) for tokens in items] == list(workload.lengths)
    assert not any(tokens.is_truncated for tokens in items)


@pytest.mark.parametrize("name", [name for name in WORKLOADS if name != "mixed"])
def test_names_count_texts_and_tokens(name: str) -> None:
    """`32x128` is 32 texts of 128 tokens."""
    num_texts, length = map(int, name.split("x"))
    assert WORKLOADS[name].lengths == (length,) * num_texts


def test_mixed_spans_8_to_255_tokens() -> None:
    """The mixed workload has 32 texts from 8 to 255 tokens, not sorted."""
    lengths = list(WORKLOADS["mixed"].lengths)
    assert (len(lengths), min(lengths), max(lengths)) == (32, 8, 255)
    assert lengths != sorted(lengths)


def test_variants_differ_in_words_and_repeat_themselves() -> None:
    """No cache of texts can answer for the engine, and every run asks the same."""
    workload = WORKLOADS["3x11"]
    assert workload.texts(0) != workload.texts(1)
    assert workload.texts(1) == workload.texts(1)


def test_words_are_distinct() -> None:
    """No word is listed twice."""
    assert len(set(WORDS)) == len(WORDS)


def test_flops_of_a_bge_base_token() -> None:
    """bge-base needs 170 MFLOP a token in its products, and 4*L*H a layer in attention."""
    length = 128
    products = 12 * 2 * (4 * 768 * 768 + 2 * 768 * 3072)
    assert products == 169_869_312
    attention = 12 * 4 * length * 768
    assert text_flops(SHAPES["bge-base"], length) == length * (products + attention)


@pytest.mark.parametrize("name", SHAPES)
def test_products_take_two_flops_a_weight(name: str) -> None:
    """The products of one token multiply and add once for each weight of each linear layer."""
    shape = SHAPES[name]
    linear = [
        dims[0] * dims[1]
        for tensor, dims in tensor_shapes(shape)
        if tensor.startswith("encoder.") and len(dims) == 2
    ]
    attention = 4 * shape.hidden_size * shape.num_layers
    assert text_flops(shape, 1) == 2 * sum(linear) + attention


@given(st.lists(st.integers(1, 512), max_size=8))
def test_flops_of_a_workload_are_the_sum_of_its_texts(lengths: list[int]) -> None:
    """Texts share no arithmetic, whatever they are batched with."""
    shape = SHAPES["bge-small"]
    assert workload_flops(shape, lengths) == sum(text_flops(shape, one) for one in lengths)


def test_tokenizer_is_a_file_of_the_installed_package() -> None:
    """The vocabulary comes from a package, found by its metadata."""
    assert find_tokenizer_json().is_absolute()
    assert find_tokenizer_json().name == "tokenizer.json"
