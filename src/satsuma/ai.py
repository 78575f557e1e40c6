"""The Worker's call in Python: `Ai().run(model, inputs)`, in this process or against a server."""

from __future__ import annotations

import atexit
import threading
import weakref
from collections.abc import Mapping, Sequence
from concurrent.futures import CancelledError
from pathlib import Path
from typing import Any, Self
from urllib.parse import quote

import httpx

from satsuma.errors import (
    ConfigurationError,
    InvalidInputError,
    RemoteError,
    ShuttingDownError,
)
from satsuma.in_process import InProcessService
from satsuma.kinds import kind_of
from satsuma.kinds.kind import Parsed, read_input
from satsuma.settings import load_settings
from satsuma.store.manifest import ModelManifest
from satsuma.types import EmbedRequest, EmbedResult, Pooling

_REMOTE_TIMEOUT_S = 600.0


class Ai:
    """Embeds texts with the models of this machine, or of a server. Thread-safe.

    Example:
        >>> from satsuma import Ai
        >>> answer = Ai().run("@cf/baai/bge-base-en-v1.5", {"text": ["hello world"]})
        >>> answer["shape"]
        [1, 768]
    """

    def __init__(  # noqa: PLR0913  each is a setting that a caller may want
        self,
        *,
        base_url: str | None = None,
        account_id: str | None = None,
        token: str | None = None,
        models_dir: Path | str | None = None,
        engine: str | None = None,
        device: str | None = None,
        precision: str | None = None,
        threads: int | None = None,
        lanes: int | None = None,
        skip_self_test: bool | None = None,
    ) -> None:
        """Choose where to run.

        Args:
            base_url: a server, such as `http://127.0.0.1:7768`; None runs in this process.
            account_id: the account on the server.
            token: an API token for it.
            models_dir: folder of the models, in this process.
            engine: what runs the models in this process: auto, native, onnx or torch.
            device: what they run on, in this process: auto, cpu, cuda, cuda:N or mps.
            precision: arithmetic of the weights, in this process: fp32; int8 on the CPU; fp16 or
                bf16 on a card.
            threads: cores to use, in this process; None asks the machine.
            lanes: microbatches that run at once, in this process; None: one a core.
            skip_self_test: load models without comparing their published vectors.

        Raises:
            ConfigurationError: if the arguments do not go together.
        """
        local = {
            "models_dir": models_dir,
            "engine": engine,
            "device": device,
            "precision": precision,
            "lanes": lanes,
            "threads": threads,
            "skip_self_test": skip_self_test,
        }
        if base_url is None:
            if account_id is not None or token is not None:
                raise ConfigurationError("account_id and token go with base_url.")
            self._runner: _LocalRunner | _RemoteRunner = _LocalRunner(local)
        else:
            if any(value is not None for value in local.values()):
                raise ConfigurationError(f"{', '.join(local)} do not go with base_url.")
            self._runner = _RemoteRunner(base_url, account_id or "local", token)
        weakref.finalize(self, _close_later, self._runner).atexit = False
        _RUNNERS.add(self._runner)

    def run(
        self, model: str, inputs: Mapping[str, Any], *, queue_request: bool = False
    ) -> dict[str, Any]:
        """Embed texts, or score them beside a query.

        Args:
            model: an id such as `@cf/baai/bge-base-en-v1.5`.
            inputs: `text`, a string or a list of strings, and perhaps `pooling`; or what else the
                model takes, such as `query` and `contexts`. For a server's queue, `requests`, a
                list of such inputs; or `request_id`, to ask for them later.
            queue_request: put the inputs into the server's queue.

        Returns:
            `shape` [n, H], `data`, `pooling` and `usage`; or what else the model answers, such as
            `response`. In this process vectors are an (n, H) float32 array; from a server they are
            lists of numbers. From the queue, `status`, `request_id` and `model`; or `responses` and
            `usage` once the job is done.

        Raises:
            InvalidInputError: if the inputs have another form.
            ModelError: if the model is unknown, not installed, unsupported or wrong.
            RemoteError: if the server refuses.
            ConfigurationError: if there is no server whose queue it could be.
        """
        return self._runner.run(model, inputs, queue_request=queue_request)

    def close(self) -> None:
        """Stop the threads and unload the models, or close the connections."""
        self._runner.close()

    def __enter__(self) -> Self:
        """Use as a context manager, which closes at the end."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close."""
        self.close()


class _LocalRunner:
    """A service in this process."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        self._service = InProcessService(load_settings(flags))

    def run(self, model: str, inputs: Mapping[str, Any], *, queue_request: bool) -> dict[str, Any]:
        if queue_request:
            raise ConfigurationError("The queue is a server's: Ai(base_url=...) has one.")
        manifest = self._service.manifest(model)
        asked = _parse(manifest, inputs)
        result = self._service.embed_here(asked.request) or self._wait_for(asked.request)
        return kind_of(manifest).render(result, asked.shown)

    def close(self) -> None:
        self._service.close()

    def _wait_for(self, request: EmbedRequest) -> EmbedResult:
        future = self._service.submit(request)
        try:
            return future.result()
        except CancelledError as error:
            raise ShuttingDownError("This Ai was closed meanwhile.") from error
        finally:
            future.cancel()  # after Ctrl-C, say: nobody waits for it any more


class _RemoteRunner:
    """The REST API of a server."""

    def __init__(self, base_url: str, account_id: str, token: str | None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        account = quote(account_id, safe="")
        self._client = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/client/v4/accounts/{account}/ai/run",
            headers=headers,
            timeout=_REMOTE_TIMEOUT_S,
        )

    def run(self, model: str, inputs: Mapping[str, Any], *, queue_request: bool) -> dict[str, Any]:
        path, query = quote(model, safe="@/"), "?queueRequest=true" if queue_request else ""
        try:
            response = self._client.post(f"/{path}{query}", json=dict(inputs))
        except httpx.HTTPError as error:
            message = f"No answer from {self._client.base_url}: {error or type(error).__name__}"
            raise RemoteError(message, status=0) from error
        return _read_answer(response)

    def close(self) -> None:
        self._client.close()


def _read_answer(response: httpx.Response) -> dict[str, Any]:
    try:
        body = response.json()
        if response.is_success:
            result: dict[str, Any] = body["result"]
            return result
        code, message = body["errors"][0]["code"], body["errors"][0]["message"]
    except (ValueError, LookupError, TypeError) as error:
        text = f"HTTP {response.status_code}: {response.text[:200]}"
        raise RemoteError(text, status=response.status_code) from error
    raise RemoteError(message, status=response.status_code, error_code=code)


_RUNNERS: weakref.WeakSet[_LocalRunner | _RemoteRunner] = weakref.WeakSet()


@atexit.register
def _close_all() -> None:
    """End the engine's threads first: the interpreter would end them inside native code."""
    for runner in list(_RUNNERS):
        runner.close()


def _close_later(runner: _LocalRunner | _RemoteRunner) -> None:
    """Close the runner of an Ai that nobody holds any more.

    In a thread of its own: garbage is collected in any thread, the runner's among them.
    """
    threading.Thread(target=runner.close, daemon=True).start()


def _parse(manifest: ModelManifest, inputs: Mapping[str, Any]) -> Parsed:
    """Read the inputs: a text encoder's of any number, and another model's by its schema."""
    if not isinstance(inputs, Mapping):
        raise InvalidInputError("inputs must be a mapping with `text`.")
    if not manifest.kind:
        return Parsed(_parse_texts(manifest.id, inputs))
    parsed = read_input(kind_of(manifest), manifest.id, _to_json(inputs))
    if parsed is None:
        raise ConfigurationError("The queue is a server's: Ai(base_url=...) has one.")
    return parsed


def _to_json(value: Any) -> Any:
    """Make of mappings and sequences what JSON has in their place."""
    if isinstance(value, Mapping):
        return {name: _to_json(member) for name, member in value.items()}
    if isinstance(value, str) and not _is_text(value):
        raise InvalidInputError("inputs have a string that is not valid Unicode.")
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_to_json(item) for item in value]
    return value


def _parse_texts(model: str, inputs: Mapping[str, Any]) -> EmbedRequest:
    text = inputs.get("text")
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, Sequence) or not all(map(_is_text, texts)):
        raise InvalidInputError("inputs must have `text`, a string or a list of strings.")
    pooling = inputs.get("pooling")
    if pooling is not None and pooling not in list(Pooling):
        raise InvalidInputError(f"pooling {pooling!r} is not one of {', '.join(Pooling)}.")
    return EmbedRequest(model, tuple(texts), None if pooling is None else Pooling(pooling))


def _is_text(value: object) -> bool:
    """Tell a string that can be written as UTF-8: half of a surrogate pair cannot."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True
