from __future__ import annotations

import re
from pathlib import Path

import pytest

from satsuma.errors import ConfigurationError, ModelNotFoundError
from satsuma.store.catalog import bundled_catalog, load_catalog
from satsuma.types import Pooling

BASE = "@cf/baai/bge-base-en-v1.5"
MINILM = "@hf/sentence-transformers/all-minilm-l6-v2"


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        (BASE, BASE),
        ("cf/baai/bge-base-en-v1.5", BASE),
        ("@hf/baai/bge-base-en-v1.5", BASE),
        ("@hf/BAAI/bge-base-en-v1.5", BASE),
        ("hf/baai/bge-small-en-v1.5", "@cf/baai/bge-small-en-v1.5"),
        ("@hf/sentence-transformers/all-MiniLM-L6-v2", MINILM),
        ("@HF/Acme/Tiny", "@hf/acme/tiny"),
        ("@cf/acme/unheard-of", "@cf/acme/unheard-of"),
        ("@local/My_model-1.0", "@local/My_model-1.0"),
        ("local/mine", "@local/mine"),
    ],
)
def test_names_have_one_spelling(name: str, expected: str) -> None:
    """A missing @, the case of @hf and aliases lead to the canonical id."""
    assert bundled_catalog().canonical_id(name) == expected


@pytest.mark.parametrize(
    "name",
    [
        "",
        "@",
        "bge-base",
        "BAAI/bge-base-en-v1.5",
        "@cf/baai",
        "@cf/baai/bge/extra",
        "@cf/../../etc",
        "@hf/acme/..",
        "@hf/../passwd",
        "@hf/acme/a..b",
        "@hf/acme/.hidden",
        "@local/",
        "@local/..",
        "@local/.hidden",
        "@local/a/b",
        "@local/a%2fb",
        "@local/a b",
        "@local/a\n",
        "@local/cf",
        "@local/hf",
        "@cf/baai/bge-base-en-v1.5\0",
    ],
)
def test_names_of_no_known_form_are_refused(name: str) -> None:
    """What could leave the models' folder, or is no id at all, is no model."""
    with pytest.raises(ModelNotFoundError, match="is not a model id"):
        bundled_catalog().canonical_id(name)


def test_catalog_has_published_limits() -> None:
    """Dimensions, limits and poolings are Cloudflare's."""
    rows = [(m.id, m.hidden_size, m.max_tokens, m.pooling) for m in bundled_catalog().manifests]
    assert rows == [
        ("@cf/baai/bge-small-en-v1.5", 384, 512, Pooling.MEAN),
        (BASE, 768, 512, Pooling.MEAN),
        ("@cf/baai/bge-large-en-v1.5", 1024, 512, Pooling.MEAN),
        (MINILM, 384, 256, Pooling.MEAN),
    ]


def test_catalog_has_a_digest_of_every_file() -> None:
    """Each file has a sha256, each model an immutable revision and the three required files."""
    for manifest in bundled_catalog().manifests:
        assert re.fullmatch(r"[0-9a-f]{40}", manifest.revision)
        assert {"config.json", "tokenizer.json", "model.safetensors"} <= {
            file.path for file in manifest.files
        }
        assert all(re.fullmatch(r"[0-9a-f]{64}", file.sha256 or "") for file in manifest.files)


def test_size_is_unknown_without_the_weights_size() -> None:
    """A sum that would leave the weights out is not given."""
    large = bundled_catalog().find("@cf/baai/bge-large-en-v1.5")
    base = bundled_catalog().find(BASE)
    assert large is not None
    assert base is not None
    assert large.size_bytes == 0
    assert base.size_bytes == 437955512 + 711396 + 777


def test_every_bundled_model_has_published_vectors() -> None:
    """A self-test has something to compare with, and its source."""
    for manifest in bundled_catalog().manifests:
        vectors = bundled_catalog().published_vectors(manifest.id)
        assert vectors
        assert all(v.source and v.text and 3 <= len(v.first) <= 5 for v in vectors)
        assert any(v.is_certain for v in vectors)


def test_a_doubtful_vector_is_marked() -> None:
    """The page of one vector of bge-base leaves a doubt, and only that one."""
    vectors = bundled_catalog().published_vectors(BASE)
    assert [v.text for v in vectors if not v.is_certain] == ["The weather is sunny"]


def test_published_vectors_follow_aliases() -> None:
    """An alias has the vectors of its model, and an unknown model none."""
    catalog = bundled_catalog()
    by_alias = catalog.published_vectors("hf/baai/bge-base-en-v1.5")
    assert by_alias == catalog.published_vectors(BASE)
    assert catalog.published_vectors("@hf/acme/tiny") == ()


def test_a_folders_own_catalog_comes_first(tmp_path: Path) -> None:
    """It adds models, and replaces the bundled entry of the same id."""
    (tmp_path / "catalog.toml").write_text(
        """
        [[model]]
        id = "@cf/baai/bge-base-en-v1.5"
        repository = "acme/mine"
        revision = "1"
        [[model.file]]
        path = "config.json"
        """
    )
    catalog = load_catalog(tmp_path)
    own = catalog.find("@cf/baai/bge-base-en-v1.5")
    assert own is not None
    assert own.repository == "acme/mine"
    assert len(catalog.manifests) == len(bundled_catalog().manifests)


@pytest.mark.parametrize("content", ["x", "[model]\nid = 1", "[[model]]\nid = 'a'"])
def test_a_broken_catalog_is_named(tmp_path: Path, content: str) -> None:
    """With the page that shows its form."""
    (tmp_path / "catalog.toml").write_text(content)
    with pytest.raises(ConfigurationError, match=r"catalog\.toml is not a catalog.*docs/models"):
        load_catalog(tmp_path)
