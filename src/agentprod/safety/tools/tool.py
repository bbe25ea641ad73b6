"""One tool: a function, its schema, how risky it is and how long it may take."""

from __future__ import annotations

import functools
import inspect
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import Any, Generic, Literal, ParamSpec, TypeVar, get_args, overload

from agentprod.errors import Blocked, ConfigError
from agentprod.identity import seconds
from agentprod.runs import ToolCall
from agentprod.runtime.together import await_within, within
from agentprod.safety.tools.json_schema import check_schema, problems
from agentprod.safety.tools.type_schema import arguments_from, schema_of_function

__all__ = ["Risk", "Tool", "tool"]

P = ParamSpec("P")
R = TypeVar("R")

Risk = Literal["low", "medium", "high"]
"""`"low"` reads, `"medium"` writes what can be taken back, `"high"` cannot be taken back: money, mail, deletion."""

_NAME = re.compile(r"[A-Za-z0-9_\-]{1,64}")


class Tool(Generic[P, R]):
    """A function that models may call. Make one with `@ap.tool`.

    Calling it calls the function, with the arguments validated and the time limited, as a `ToolCall` that spans and
    records tell of. A `ToolGuard` calls it for a model.

    Attributes:
        name: what models call it.

        description: what they read about it.

        schema: JSON Schema of its arguments.

        risk: see `Risk`.

        timeout: seconds one call may take, or `None`.

        is_async: whether it must be awaited.
    """

    __name__: str

    def __init__(
        self,
        fn: Callable[P, R],
        *,
        name: str | None = None,
        description: str | None = None,
        schema: Mapping[str, Any] | type | None = None,
        risk: Risk = "low",
        timeout: float | timedelta | None = None,
    ) -> None:
        if not callable(fn):
            raise ConfigError(f"a tool is made of a function, not of a {type(fn).__name__}")
        self.name: str = name or str(getattr(fn, "__name__", type(fn).__name__))
        if not _NAME.fullmatch(self.name):
            raise ConfigError(
                f"{self.name!r} is no name for a tool: providers take up to 64 letters, digits, '_' and '-'; "
                "write name=…"
            )
        if risk not in get_args(Risk):
            raise ConfigError(f"risk of tool {self.name} must be {', '.join(get_args(Risk))}, not {risk!r}")
        self.fn = fn
        self.risk: Risk = risk
        self.timeout = None if timeout is None else seconds(timeout, f"timeout of tool {self.name}")
        self.description = description if description is not None else _first_paragraph(fn)
        self.is_async = inspect.iscoroutinefunction(inspect.unwrap(fn)) or inspect.iscoroutinefunction(
            getattr(fn, "__call__", None)  # noqa: B004 - the method, not whether there is one
        )
        self._hints: Mapping[str, Any] = {}
        self._model: Any = None
        if schema is None:
            self.schema, self._hints = schema_of_function(fn, self.name)
        elif isinstance(schema, Mapping):
            self.schema = dict(schema)
        elif callable(getattr(schema, "model_json_schema", None)):
            self._model = schema
            self.schema = self._model.model_json_schema()
        else:
            raise ConfigError(f"schema of tool {self.name} must be a JSON Schema or a pydantic model")
        check_schema(self.schema, f"tool {self.name}")
        functools.update_wrapper(self, fn, updated=())

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> R:
        """Call the function.

        Raises:
            Blocked: the arguments do not fit the schema.
            TimeoutError: it took longer than `timeout`.
        """
        if self.is_async:
            return self._acall(args, kwargs)  # type: ignore[return-value]
        with ToolCall(self.name, arguments=kwargs or list(args)) as running:
            self._check_given(args, kwargs)
            result = within(lambda: self.fn(*args, **kwargs), self.timeout)
            running.result = result
            return result

    async def _acall(self, args: Any, kwargs: Any) -> Any:
        with ToolCall(self.name, arguments=kwargs or list(args)) as running:
            self._check_given(args, kwargs)
            running.result = await await_within(self.fn(*args, **kwargs), self.timeout)  # type: ignore[arg-type]
            return running.result

    def _check_given(self, args: Any, kwargs: Any) -> None:
        """Check what Python code passes, as far as it is JSON: code may pass objects, models cannot."""
        try:
            given = inspect.signature(self.fn).bind(*args, **kwargs).arguments
        except (TypeError, ValueError):
            return  # the function says it better
        wrong = problems({name: value for name, value in given.items() if _is_json(value)}, self._lenient)
        if wrong:
            raise Blocked(f"tool {self.name}: {'; '.join(wrong)}", layer="ToolGuard")

    @functools.cached_property
    def _lenient(self) -> dict[str, Any]:
        return {**self.schema, "required": []}

    def problems(self, arguments: Any) -> list[str]:
        """Return what is wrong with a model's arguments; none when they fit."""
        if not isinstance(arguments, dict):
            return ["the arguments must be a JSON object"]
        return problems(arguments, self.schema)

    def keywords(self, arguments: Mapping[str, Any]) -> dict[str, Any]:
        """Return arguments that fit the schema as the function takes them.

        Raises:
            ValueError: a model or a date refuses its value.
        """
        if self._model is not None:
            made = self._model.model_validate(dict(arguments))
            return {name: getattr(made, name) for name in type(made).model_fields if name in made.model_fields_set}
        return arguments_from(arguments, self._hints)

    def __get__(self, instance: Any, owner: Any = None) -> Any:
        """Bind to an instance, as a method does."""
        return self if instance is None else functools.partial(self, instance)

    def __repr__(self) -> str:
        return f"Tool({self.name!r}, risk={self.risk!r})"


@overload
def tool(fn: Callable[P, R], /) -> Tool[P, R]: ...


@overload
def tool(
    *,
    risk: Risk = "low",
    schema: Mapping[str, Any] | type | None = None,
    timeout: float | timedelta | None = None,
    name: str | None = None,
    description: str | None = None,
) -> Callable[[Callable[P, R]], Tool[P, R]]: ...


def tool(fn: Any = None, /, **options: Any) -> Any:
    """Make a tool of a function.

    ```python
    @ap.tool(risk="high", timeout=30)
    def send_email(to: str, subject: str, body: str) -> str:
        '''Send a mail to a customer.'''
    ```

    The schema comes from the type hints (`Annotated[str, "what it is"]` describes a parameter), the description from
    the first paragraph of the docstring. The tool is called like the function; each call is an `execute_tool` span and
    part of the run around it.

    Args:
        fn: the function, sync or async, when used without parentheses.

        options: `risk`, see `Risk`; `schema`, a JSON Schema or a pydantic model, instead of the hints; `timeout` in
            seconds; `name` and `description` that models see.

    Raises:
        ConfigError: a hint has no schema, the schema holds what is not checked, or the name is none.
    """
    if fn is None:
        return lambda function: Tool(function, **options)
    return Tool(fn, **options)


def _first_paragraph(fn: Any) -> str:
    return " ".join((inspect.getdoc(fn) or "").partition("\n\n")[0].split())


def _is_json(value: Any) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_json(item) for key, item in value.items())
    if isinstance(value, list):
        return all(map(_is_json, value))
    return value is None or isinstance(value, str | int | float | bool)
