"""OpenAI embeddings: texts in, vectors out, never a stream."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar

from agentprod.dialects.base import Dialect, Fragment
from agentprod.dialects.usage import openai_embeddings_usage
from agentprod.parts import Part
from agentprod.usage import Usage

__all__ = ["EMBEDDINGS", "OpenAIEmbeddings"]


class OpenAIEmbeddings(Dialect):
    """`POST /embeddings`. The vectors stay as they came, floats or base64; only the texts can be edited."""

    name: ClassVar[str] = "openai_embeddings"
    operation: ClassVar[str] = "embeddings"

    def request_fragments(self, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield the texts to embed; token ids are no text."""
        given = request.get("input")
        if isinstance(given, str):
            yield Fragment(Part("text", "user"), given, ("input",))
        for index, text in enumerate(given if isinstance(given, list | tuple) else ()):
            if isinstance(text, str):
                yield Fragment(Part("text", "user", 0, index), text, ("input", index))

    def last_user_text(self, request: Mapping[str, Any]) -> str | None:
        """Return the text, when there is exactly one."""
        given = request.get("input")
        if isinstance(given, list | tuple) and len(given) == 1:
            given = given[0]
        return given if isinstance(given, str) else None

    def user(self, request: Mapping[str, Any]) -> str | None:
        """Return `user`."""
        return request["user"] if isinstance(request.get("user"), str) else None

    def text(self, body: Any) -> str:
        """Return nothing: vectors are no text."""
        return ""

    def usage(self, body: Any) -> Usage | None:
        """Return the token counts."""
        return openai_embeddings_usage(body)

    def finish(self, body: Any) -> str | None:
        """Vectors are always whole."""
        return "stop"

    def body_fragments(self, body: Any, request: Mapping[str, Any]) -> Iterator[Fragment]:
        """Yield nothing: vectors are no text."""
        return iter(())


EMBEDDINGS = OpenAIEmbeddings()
