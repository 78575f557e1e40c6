"""The Worker's call in Python: `Ai().run(model, inputs)`, in this process or against a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Coroutine, Mapping, Sequence
from pathlib import Path
from typing import Any, Self, TypeVar

import httpx

from satsuma.assembly import assemble
from satsuma.errors import ConfigurationError, InvalidInputError, SatsumaError
from satsuma.settings import load_settings
from satsuma.types import EmbedRequest, EmbedResult, Pooling

_T = TypeVar("_T")
_REMOTE_TIMEOUT_S = 600.0
_NO_DEADLINE_S = 1e9  # in process the caller waits as long as the texts need


class RemoteError(SatsumaError):
    """A server refused a call.

    Attributes:
        status: HTTP status.
        error_code: the numeric code of the first error, such as 5007; 0 if there is none.
    """

    code = "remote"

    def __init__(self, status: int, error_code: int, message: str) -> None:
        """Keep what the server said."""
        super().__init__(f"{error_code}: {message}" if error_code else message)
        self.status = status
        self.error_code = error_code


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
        precision: str | None = None,
        threads: int | None = None,
        skip_self_test: bool | None = None,
    ) -> None:
        """Choose where to run.

        Args:
            base_url: a server, such as `http://127.0.0.1:7768`; None runs in this process.
            account_id: the account on the server.
            token: an API token for it.
            models_dir: folder of the models, in this process.
            precision: arithmetic of the weights, in this process.
            threads: cores to use, in this process; None asks the machine.
            skip_self_test: load models without comparing their published vectors.

        Raises:
            ConfigurationError: if the arguments do not go together.
        """
        local = {
            "models_dir": models_dir,
            "precision": precision,
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

    def run(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        """Embed texts.

        Args:
            model: an id such as `@cf/baai/bge-base-en-v1.5`.
            inputs: `text`, a string or a list of strings, and perhaps `pooling`.

        Returns:
            `shape` [n, H], `data`, `pooling` and `usage`. In this process `data` is an (n, H)
            float32 array; from a server it is lists of numbers.

        Raises:
            InvalidInputError: if the inputs have another form.
            ModelError: if the model is unknown, not installed, unsupported or wrong.
            RemoteError: if the server refuses.
        """
        return self._runner.run(model, inputs)

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
    """A service on an event loop of its own, in a thread of its own."""

    def __init__(self, flags: Mapping[str, Any]) -> None:
        settings = load_settings({**flags, "deadline_s": _NO_DEADLINE_S})
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(
            target=self._loop.run_forever, name="satsuma-ai", daemon=True
        )
        self._thread.start()
        self._service = assemble(settings)

    def run(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        request = _parse(model, inputs)
        return _to_mapping(self._call(self._service.embed(request)))

    def close(self) -> None:
        if self._loop.is_closed():
            return
        self._call(self._service.close())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    def _call(self, coroutine: Coroutine[Any, Any, _T]) -> _T:
        return asyncio.run_coroutine_threadsafe(coroutine, self._loop).result()


class _RemoteRunner:
    """The REST API of a server."""

    def __init__(self, base_url: str, account_id: str, token: str | None) -> None:
        headers = {} if token is None else {"Authorization": f"Bearer {token}"}
        self._client = httpx.Client(
            base_url=f"{base_url.rstrip('/')}/client/v4/accounts/{account_id}/ai/run",
            headers=headers,
            timeout=_REMOTE_TIMEOUT_S,
        )

    def run(self, model: str, inputs: Mapping[str, Any]) -> dict[str, Any]:
        response = self._client.post(f"/{model}", json=dict(inputs))
        try:
            body = response.json()
            if response.is_success:
                result: dict[str, Any] = body["result"]
                return result
            error = body["errors"][0]
            raise RemoteError(response.status_code, error["code"], error["message"])
        except (ValueError, LookupError, TypeError) as error:
            text = f"HTTP {response.status_code}: {response.text[:200]}"
            raise RemoteError(response.status_code, 0, text) from error

    def close(self) -> None:
        self._client.close()


def _parse(model: str, inputs: Mapping[str, Any]) -> EmbedRequest:
    text = inputs.get("text")
    texts = [text] if isinstance(text, str) else text
    if not isinstance(texts, Sequence) or not all(isinstance(one, str) for one in texts):
        raise InvalidInputError("inputs must have `text`, a string or a list of strings.")
    pooling = inputs.get("pooling")
    if pooling is not None and pooling not in set(Pooling):
        raise InvalidInputError(f"pooling {pooling!r} is not one of {', '.join(Pooling)}.")
    return EmbedRequest(model, tuple(texts), None if pooling is None else Pooling(pooling))


def _to_mapping(result: EmbedResult) -> dict[str, Any]:
    usage = result.usage
    return {
        "shape": list(result.vectors.shape),
        "data": result.vectors,  # (B, H)
        "pooling": str(result.pooling),
        "usage": {
            "prompt_tokens": usage.prompt_tokens,
            "completion_tokens": usage.completion_tokens,
            "total_tokens": usage.total_tokens,
        },
    }
