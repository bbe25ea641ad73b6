"""Any function as an embedder, and OpenAI's embedding models."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from agentprod.caching.embedders.contract import Identity, unit_rows
from agentprod.errors import ConfigError
from agentprod.runtime.offload import in_thread

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Function = Callable[[list[str]], Any]

__all__ = ["FunctionEmbedder", "OpenAIEmbedder"]

_OPENAI_TOKENS = 8191
"""Longest input of OpenAI's embedding models (https://platform.openai.com/docs/guides/embeddings)."""

_OPENAI_DIMS = {"text-embedding-3-small": 1536, "text-embedding-3-large": 3072, "text-embedding-ada-002": 1536}


class FunctionEmbedder:
    """A function of yours as an embedder.

    Args:
        function: takes a list of texts and returns one vector for each, as anything that numpy turns into a
            (texts, dims) array; a coroutine function serves asynchronous calls only. Vectors are brought to length 1.

        threshold: cosine from which two texts may share an answer, above 0 and up to 1; `None` leaves it to the cache.

        name: of the model; give it, and `version`, when the function closes over one.

        version: changes whenever the same text would get another vector.

        window: longest text that is read to its end, in UTF-8 bytes (a token is at least one); `None` for no limit.

        remote: the function waits for a network, as a coroutine function is taken to do: it has the cache's
            `embed_within` to answer.
    """

    def __init__(
        self,
        function: Function,
        *,
        threshold: float | None = None,
        name: str | None = None,
        version: str = "1",
        window: int | None = None,
        remote: bool = False,
    ) -> None:
        if not callable(function):
            raise ConfigError(f"of() needs a function from texts to vectors, not a {type(function).__name__}")
        self._function = function
        self._dims: int | None = None
        self._name = name or f"{function.__module__}.{getattr(function, '__qualname__', type(function).__name__)}"
        self._version = version
        self._window = window
        self.threshold = threshold
        self.asynchronous = inspect.iscoroutinefunction(function)
        self.remote = remote or self.asynchronous

    @property
    def identity(self) -> Identity:
        """Name and version as given; `dims` is known after the first text."""
        return Identity(self._name, self._version, self._dims, self._window, "bytes")

    def refuse(self, text: str) -> str | None:
        """Return `"window"` for a text over the window, else `None`."""
        return "window" if self._window is not None and len(text.encode()) > self._window else None

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Call the function.

        Raises:
            ConfigError: it is a coroutine function.

            ValueError: it returned another shape than (texts, dims), or dims changed.
        """
        if self.asynchronous:
            raise ConfigError(f"{self._name} is a coroutine function, which a synchronous call cannot await")
        return self._checked(self._function([*texts]), len(texts))

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Await the function, or call it in a thread when it is not a coroutine function."""
        if not self.asynchronous:
            return await in_thread(self.embed, texts)
        return self._checked(await self._function([*texts]), len(texts))

    def _checked(self, vectors: Any, count: int) -> NDArray[np.float32]:
        rows = unit_rows(vectors, count, source=self._name)
        if self._dims not in (None, rows.shape[1]):
            raise ValueError(
                f"embedder {self._name} returned {rows.shape[1]} dims after {self._dims}; give it a version"
            )
        self._dims = rows.shape[1]
        return rows


class OpenAIEmbedder:
    """An embedding model of OpenAI, or of a server that speaks its API.

    There is no measured threshold: give one to the cache, and check it on your own traffic.

    Args:
        client: an `OpenAI` or `AsyncOpenAI` client; a synchronous one is called in a thread from coroutines.

        model: such as `"text-embedding-3-small"`.

        dims: shortens the vectors, where the model can; `None` for their full length.
    """

    remote = True
    threshold = None

    def __init__(self, client: Any, model: str, *, dims: int | None = None) -> None:
        if not callable(getattr(getattr(client, "embeddings", None), "create", None)):
            raise ConfigError(f"openai() needs an OpenAI or AsyncOpenAI client, not a {type(client).__name__}")
        self._client = client
        self._model = model
        self._options = {"model": model} if dims is None else {"model": model, "dimensions": dims}
        self.asynchronous = any(cls.__name__.startswith("Async") for cls in type(client).__mro__)
        self.identity = Identity(
            f"openai/{model}",
            "1" if dims is None else f"1-{dims}",
            dims or _OPENAI_DIMS.get(model),
            _OPENAI_TOKENS,
            "bytes",
        )

    def refuse(self, text: str) -> str | None:
        """Return `"empty"`, `"window"` for a text of more bytes than the model reads tokens, or `None`."""
        if not text.strip():
            return "empty"
        return "window" if len(text.encode()) > _OPENAI_TOKENS else None

    def embed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Ask the model; one request for all texts.

        Raises:
            ConfigError: the client is asynchronous.
        """
        if self.asynchronous:
            raise ConfigError(
                "an AsyncOpenAI client cannot embed in a synchronous call: give openai() an OpenAI client"
            )
        return self._read(self._client.embeddings.create(input=list(texts), **self._options), len(texts))

    async def aembed(self, texts: Sequence[str], /) -> NDArray[np.float32]:
        """Ask the model without holding up the event loop."""
        if not self.asynchronous:
            return await in_thread(self.embed, texts)
        return self._read(await self._client.embeddings.create(input=list(texts), **self._options), len(texts))

    def _read(self, response: Any, count: int) -> NDArray[np.float32]:
        rows = [item.embedding for item in sorted(response.data, key=lambda item: item.index)]
        return unit_rows(rows, count, source=self.identity.name)
