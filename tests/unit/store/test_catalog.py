from __future__ import annotations

import re
from dataclasses import replace
from pathlib import Path

import pytest

from satsuma.errors import ConfigurationError, ModelNotFoundError
from satsuma.store.catalog import Catalog, bundled_catalog, bundled_tasks, load_catalog
from satsuma.store.manifest import Listing, Price
from satsuma.store.record import new_record, read_record, write_record
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
        ("@cf/baai/bge-m3", 1024, 8192, Pooling.CLS),
        ("@cf/baai/bge-reranker-base", 0, 512, None),
        ("@cf/qwen/qwen3-embedding-0.6b", 1024, 8192, Pooling.LAST_TOKEN),
        ("@cf/google/embeddinggemma-300m", 768, 2048, Pooling.MEAN),
        (MINILM, 384, 256, Pooling.MEAN),
    ]


DIGESTS_UNKNOWN = {  # nobody published those of these models' files, or of some of them
    "@cf/baai/bge-m3",
    "@cf/baai/bge-reranker-base",
}


def test_catalog_has_the_digests_that_were_published() -> None:
    """Each model has an immutable revision and the required files, most have every digest."""
    for manifest in bundled_catalog().manifests:
        assert re.fullmatch(r"[0-9a-f]{40}", manifest.revision)
        paths = {file.path for file in manifest.files}
        assert {"config.json", "tokenizer.json", manifest.weights_file} <= paths
        digests = [file.sha256 for file in manifest.files if file.sha256 is not None]
        assert all(re.fullmatch(r"[0-9a-f]{64}", one) for one in digests)
        assert len(digests) == len(manifest.files) or manifest.id in DIGESTS_UNKNOWN


def test_size_is_unknown_without_the_weights_size() -> None:
    """A sum that would leave the weights out is not given."""
    large = bundled_catalog().find("@cf/baai/bge-large-en-v1.5")
    base = bundled_catalog().find(BASE)
    assert large is not None
    assert base is not None
    assert large.size_bytes == 0
    assert base.size_bytes == 437955512 + 711396 + 777


def test_every_bundled_model_has_published_answers() -> None:
    """There is something to compare with, and its source; of text encoders, something certain."""
    catalog = bundled_catalog()
    for manifest in catalog.manifests:
        vectors = catalog.published_vectors(manifest.id)
        scores = catalog.published_scores(manifest.id)
        assert vectors or scores
        assert all(v.source and v.text and 2 <= len(v.first) <= 5 for v in vectors)
        assert all(s.source and len(s.texts) == len(s.scores) for s in scores)
        assert manifest.kind or any(v.is_certain for v in vectors)


def test_a_classifiers_logits_are_read_as_scores() -> None:
    """From 0 to 1, as satsuma answers."""
    (published,) = bundled_catalog().published_scores("@cf/baai/bge-reranker-base")
    assert published.scores == pytest.approx((0.9978866, 0.0251018), abs=1e-7)


def test_a_doubtful_vector_is_marked() -> None:
    """The page of one vector of bge-base leaves a doubt, and one was rounded on its way."""
    vectors = bundled_catalog().published_vectors(BASE)
    doubtful = [(v.text, v.pooling) for v in vectors if not v.is_certain]
    assert doubtful == [("The weather is sunny", "mean"), ("hello world", "mean")]


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


def test_listings_are_as_published() -> None:
    """Cloudflare's models have what Cloudflare says of them; others say nothing of it."""
    listings = {m.id: m.listing for m in bundled_catalog().manifests}
    assert listings[MINILM] is None
    assert listings[BASE] == Listing(
        id="429b9e8b-d99e-44de-91ad-706cf8183658",
        source=1,
        author="baai",
        task="Text Embeddings",
        created_at="2023-09-25 19:21:11.898",
        info="https://huggingface.co/BAAI/bge-base-en-v1.5",
        has_queue=True,
        prices=(Price("per M input tokens", 0.067, "USD"),),
    )
    cloudflares = [one for one in listings.values() if one is not None]
    assert [one.id for one in cloudflares] == [
        "57fbd08a-a4c4-411c-910d-b9459ff36c20",
        "429b9e8b-d99e-44de-91ad-706cf8183658",
        "01bc2fb0-4bca-4598-b985-d2584a3f46c0",
        "eed32bc1-8775-4985-89ce-dd1405508ad8",
        "145337e7-cec3-4ebb-8e78-16ddfc75e580",
        "cb254e3b-372b-4d4e-8526-ada79940427a",
        "15631501-2742-4346-a469-22fe202188a2",
    ]
    prices = [[price.price for price in one.prices] for one in cloudflares]
    assert prices == [[0.02], [0.067], [0.2], [0.0118], [0.0031], [0.012], []]
    assert [one.context_window for one in cloudflares] == [0, 0, 0, 60_000, 0, 8192, 0]


def test_every_listed_task_is_known() -> None:
    """A task has one id and one description, which the listings refer to by its name."""
    tasks = [task.name for task in bundled_tasks()]
    listings = [m.listing for m in bundled_catalog().manifests if m.listing is not None]
    assert {listing.task for listing in listings} == set(tasks)
    assert len(tasks) == len(set(tasks))


@pytest.mark.parametrize("least", ["768", "-1", "true", "'32'", "32.0"])
def test_refuses_a_narrowest_width_that_cannot_be(tmp_path: Path, least: str) -> None:
    """It is a whole number below the model's own width."""
    with pytest.raises(ConfigurationError, match=r"catalog\.toml is not a catalog"):
        _own(tmp_path, f"hidden_size = 768\nmin_dimensions = {least}")


def test_reads_a_kind_and_a_narrowest_width(tmp_path: Path) -> None:
    """As the bundled catalog has them."""
    model = _own(tmp_path, "hidden_size = 768\nmin_dimensions = 32\nkind = 'qwen3-embedding'").find(
        "@local/mine"
    )
    assert model is not None
    assert (model.min_dimensions, model.kind) == (32, "qwen3-embedding")


OWN = """
[[model]]
id = "@local/mine"
repository = ""
revision = ""
{more}
[[model.file]]
path = "config.json"
"""


def _own(folder: Path, more: str) -> Catalog:
    (folder / "catalog.toml").write_text(OWN.format(more=more))
    return load_catalog(folder)


@pytest.mark.parametrize(
    ("more", "dimensions"),
    [
        ("", ()),
        ("hidden_size = 768\ndimensions = [512, 256]", (512, 256)),
        ("hidden_size = 768\ndimensions = [767, 1]", (767, 1)),
        ("dimensions = [512]", (512,)),
        ("hidden_size = 0\ndimensions = [512]", (512,)),
        ("hidden_size = 768\ndimensions = []", ()),
    ],
)
def test_reads_the_widths_that_a_model_can_be_cut_to(
    tmp_path: Path, more: str, dimensions: tuple[int, ...]
) -> None:
    """Any, as long as they are below the model's own where that is known."""
    model = _own(tmp_path, more).find("@local/mine")
    assert model is not None
    assert model.dimensions == dimensions


@pytest.mark.parametrize(
    "more",
    [
        "hidden_size = 768\ndimensions = [768]",
        "hidden_size = 768\ndimensions = [512, 1024]",
        "dimensions = [0]",
        "dimensions = [-1]",
        "dimensions = [1.5]",
        "dimensions = [true]",
        "dimensions = ['512']",
        "dimensions = '512'",
        "dimensions = 512",
    ],
)
def test_refuses_widths_that_cannot_be(tmp_path: Path, more: str) -> None:
    """When the catalog is read, not when somebody asks for one."""
    with pytest.raises(ConfigurationError, match=r"catalog\.toml is not a catalog"):
        _own(tmp_path, more)


LISTED = "[model.listing]\nid='x'\nsource=1\nauthor='a'\ntask='t'\ninfo=''\n"
LISTED_AT = LISTED + "created_at='2026-01-01 00:00:00.000'\n"


@pytest.mark.parametrize(
    "more",
    [
        "listing = 'x'",
        "[model.listing]\nid = 'x'",
        LISTED,
        LISTED + "created_at='yesterday'",
        LISTED + "created_at=2026-01-01",
        LISTED_AT + "unheard_of=1",
        LISTED_AT + "prices=[{price=1}]",
    ],
)
def test_refuses_half_a_listing(tmp_path: Path, more: str) -> None:
    """A listing has all that Cloudflare's has, and nothing else."""
    assert _own(tmp_path, LISTED_AT).find("@local/mine") is not None
    with pytest.raises(ConfigurationError, match=r"catalog\.toml is not a catalog"):
        _own(tmp_path, more)


def test_a_record_keeps_everything(tmp_path: Path) -> None:
    """What a pull writes down reads back the same, listing and widths included."""
    base = bundled_catalog().find(BASE)
    assert base is not None
    manifest = replace(base, dimensions=(512, 256))
    write_record(tmp_path, new_record(manifest, "hub"))
    record = read_record(tmp_path)
    assert record is not None
    assert record.manifest == manifest
