"""The Hugging Face hub as a source of models: what a repository holds, and its files in the cache.

The cache is huggingface_hub's own, in its own format, so other programs share what lies there.
Knows nothing of satsuma's folders.
"""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Callable, Collection
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path

import huggingface_hub
from filelock import FileLock
from huggingface_hub.hf_api import ModelInfo, RepoSibling
from tqdm import tqdm  # type: ignore[import-untyped]  # it ships no types

from satsuma.errors import DigestMismatchError, HubUnreachableError
from satsuma.store.catalog import HUB_PREFIX
from satsuma.store.digest import check_file
from satsuma.store.facts import check_model_type, read_facts
from satsuma.store.hub_errors import disk_full, free_bytes, hub_errors
from satsuma.store.layout import select_files
from satsuma.store.locks import Notify
from satsuma.store.manifest import FileDigest, ModelManifest
from satsuma.store.transfer import RETRY_WAITS_S, Transfer, download

_log = logging.getLogger(__name__)

# An ETag names a file in the cache: it must be a plain name.
_PLAIN_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._-]{0,127}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


@dataclass(frozen=True, slots=True)
class _Wanted:
    """A file that is not in the cache yet: where it is, and where it goes."""

    file: FileDigest
    url: str
    blob: Path
    lock: Path
    size_bytes: int | None

    @property
    def partial(self) -> Path:
        return self.blob.with_name(f"{self.blob.name}.incomplete")

    @property
    def present_bytes(self) -> int:
        found = next((p for p in (self.blob, self.partial) if p.exists()), None)
        return found.stat().st_size if found else 0

    @property
    def remaining_bytes(self) -> int:
        return max((self.size_bytes or 0) - self.present_bytes, 0)


@dataclass(frozen=True, slots=True)
class Hub:
    """A hub, and the cache that its files go to.

    Attributes:
        endpoint: `HF_ENDPOINT`, else the public hub, when None.
        cache_dir: as `HF_HOME` or `HF_HUB_CACHE` say when None.
        retry_waits_s: waits between attempts that brought nothing.
        notify: told what a person who waits would want to know.
        is_bar_shown: draw a progress bar on stderr.
    """

    endpoint: str | None = None
    cache_dir: Path | None = None
    retry_waits_s: tuple[float, ...] = RETRY_WAITS_S
    notify: Notify = _log.info
    is_bar_shown: bool = False

    @property
    def address(self) -> str:
        """Where the hub is."""
        return self.endpoint or huggingface_hub.constants.ENDPOINT

    def discover(
        self,
        model_id: str,
        supported_model_types: Collection[str],
        check: Callable[[Path], object] = read_facts,
    ) -> ModelManifest:
        """Ask the hub what a model is, before its weights are fetched.

        Args:
            model_id: `@hf/organisation/name`, in any case.
            supported_model_types: config.json's `model_type` must be one of them.
            check: looks at a folder of the model's small files, and raises if it cannot be run.

        Returns:
            A manifest with the hub's own spelling, its newest revision, and the published digests.

        Raises:
            UnsupportedModelError: if the files or the architecture are not what satsuma can use.
            StoreError: if the hub cannot be asked; see `hub_errors`.
        """
        repository = model_id.removeprefix(HUB_PREFIX)
        with hub_errors(repository, self._cache):
            api = huggingface_hub.HfApi(endpoint=self.endpoint)
            timeout_s = huggingface_hub.constants.HF_HUB_DOWNLOAD_TIMEOUT
            info = api.model_info(repository, files_metadata=True, timeout=timeout_s)
        manifest = _manifest_of(model_id, info)
        (config,) = [file for file in manifest.files if file.path == "config.json"]
        folder = self.fetch(replace(manifest, files=(config,)))[config.path].parent
        check_model_type(read_facts(folder), supported_model_types, where=manifest.repository)
        small = tuple(file for file in manifest.files if _is_small(file.path))
        self.fetch(replace(manifest, files=small))
        check(folder)
        return replace(manifest, hidden_size=read_facts(folder).hidden_size)

    def fetch(self, manifest: ModelManifest) -> dict[str, Path]:
        """Bring a model's files into the cache, and check each against its digest.

        Files that are there already are used; one that is there and wrong is fetched anew.

        Returns:
            Where each file lies, by its path in the model.

        Raises:
            DigestMismatchError: if a file is not the published one; nothing of it stays.
            DiskFullError: if there is not room for all of them, before anything is fetched.
            StoreError: if the hub cannot be asked; see `hub_errors`.
        """
        what = f"{manifest.repository} at {manifest.revision[:12]}"
        with hub_errors(what, self._cache):
            cached = {file.path: self._cached(manifest, file) for file in manifest.files}
            missing = [file for file in manifest.files if cached[file.path] is None]
            wanted = [self._locate(manifest, file) for file in missing]
            self._check_room(what, sum(w.remaining_bytes for w in wanted))
            found = self._fetch_all(manifest, wanted)
        return {path: place for path, place in cached.items() if place is not None} | found

    @property
    def _cache(self) -> Path:
        return self.cache_dir or Path(huggingface_hub.constants.HF_HUB_CACHE)

    def _cached(self, manifest: ModelManifest, file: FileDigest) -> Path | None:
        """Look in the cache, and throw out what is wrong there."""
        found = huggingface_hub.try_to_load_from_cache(
            manifest.repository, file.path, cache_dir=self._cache, revision=manifest.revision
        )
        if not isinstance(found, str):
            return None
        pointer = Path(found)
        if _is_right(pointer, file):
            return pointer
        self.notify(f"{file.path} in the cache is damaged and is fetched again")
        pointer.unlink(missing_ok=True)
        return None

    def _locate(self, manifest: ModelManifest, file: FileDigest) -> _Wanted:
        """Ask the hub about one file, and refuse it if it cannot be the published one."""
        url = huggingface_hub.hf_hub_url(
            manifest.repository, file.path, revision=manifest.revision, endpoint=self.endpoint
        )
        told = huggingface_hub.get_hf_file_metadata(url, endpoint=self.endpoint)
        if told.etag is None or told.commit_hash is None or not _PLAIN_NAME.fullmatch(told.etag):
            message = f"{self.address} does not answer like a Hugging Face hub. Check HF_ENDPOINT."
            raise HubUnreachableError(message)
        _check_promise(file, told.size, told.etag)
        folder = f"models--{manifest.repository.replace('/', '--')}"
        return _Wanted(
            file=file,
            url=url,
            blob=self._cache / folder / "blobs" / told.etag,
            lock=self._cache / ".locks" / folder / f"{told.etag}.lock",
            size_bytes=told.size,
        )

    def _check_room(self, what: str, needed_bytes: int) -> None:
        if needed_bytes > free_bytes(self._cache):
            raise disk_full(what, needed_bytes, self._cache)

    def _fetch_all(self, manifest: ModelManifest, wanted: list[_Wanted]) -> dict[str, Path]:
        total_bytes = sum(w.size_bytes or 0 for w in wanted)
        bar = tqdm(
            total=total_bytes,
            initial=sum(w.present_bytes for w in wanted),
            desc=manifest.repository,
            unit="B",
            unit_scale=True,
            leave=False,
            file=sys.stderr,
            disable=not (self.is_bar_shown and total_bytes),
        )
        with closing(bar):
            return {w.file.path: self._fetch_one(manifest, w, bar) for w in wanted}

    def _fetch_one(self, manifest: ModelManifest, wanted: _Wanted, bar: tqdm[None]) -> Path:
        """Make the blob, then let huggingface_hub link it into its snapshot."""
        wanted.blob.parent.mkdir(parents=True, exist_ok=True)
        wanted.lock.parent.mkdir(parents=True, exist_ok=True)
        with FileLock(wanted.lock):  # huggingface_hub's own lock for this blob
            self._make_blob(wanted, bar)
        return Path(
            huggingface_hub.hf_hub_download(
                manifest.repository,
                wanted.file.path,
                revision=manifest.revision,
                cache_dir=self._cache,
                endpoint=self.endpoint,
            )
        )

    def _make_blob(self, wanted: _Wanted, bar: tqdm[None]) -> None:
        """Fetch a file under its temporary name, and give it the blob's name once it is right."""
        if wanted.blob.exists() and _is_right(wanted.blob, wanted.file):
            return
        was_resumed = wanted.partial.exists()
        transfer = Transfer(wanted.url, wanted.partial, wanted.size_bytes, bar.update, self.notify)
        download(transfer, self.retry_waits_s)
        if was_resumed and not _is_right(wanted.partial, wanted.file):
            download(transfer, self.retry_waits_s)  # an earlier run's bytes may be what is wrong
        try:
            check_file(wanted.partial, wanted.file)
        except DigestMismatchError:
            wanted.partial.unlink(missing_ok=True)
            raise
        wanted.partial.replace(wanted.blob)


def _is_small(path: str) -> bool:
    return path.endswith(".json") and path != "tokenizer.json"


def _is_right(path: Path, expected: FileDigest) -> bool:
    """Tell whether a file is the published one; one that is not is deleted where it lies."""
    try:
        check_file(path, expected)
    except DigestMismatchError:
        path.resolve().unlink()
        return False
    return True


def _check_promise(file: FileDigest, size_bytes: int | None, etag: str) -> None:
    """Refuse a file whose published identity the hub itself contradicts, before fetching it."""
    if None not in {file.size_bytes, size_bytes} and file.size_bytes != size_bytes:
        message = f"{file.path}: expected {file.size_bytes} bytes, got {size_bytes} from the hub."
        raise DigestMismatchError(message)
    if file.sha256 is not None and _SHA256.fullmatch(etag) and etag != file.sha256:
        message = f"{file.path}: expected sha256 {file.sha256}, got {etag} from the hub."
        raise DigestMismatchError(message)


def _manifest_of(model_id: str, info: ModelInfo) -> ModelManifest:
    siblings = {s.rfilename: s for s in info.siblings or ()}
    names = select_files(siblings, where=info.id)
    licence = info.card_data.license if info.card_data else None
    return ModelManifest(
        id=model_id,
        repository=info.id,
        revision=info.sha or "main",
        files=tuple(_digest_of(siblings[name]) for name in names),
        licence=licence if isinstance(licence, str) else "unknown",
    )


def _digest_of(sibling: RepoSibling) -> FileDigest:
    """Take sha256 where the hub has it (large files), git's digest where it does not."""
    if sibling.lfs is not None:
        return FileDigest(sibling.rfilename, sibling.lfs.size, sibling.lfs.sha256)
    return FileDigest(sibling.rfilename, sibling.size, None, sibling.blob_id)
