"""`@ap.tool`: a function stays a function, and gets a schema, a check and a span."""

from __future__ import annotations

import asyncio
import datetime
import enum
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Annotated, Any, Literal, TypedDict

import pytest
from pydantic import BaseModel

import agentprod as ap
from agentprod.activities import Activity, watch
from agentprod.runs import ToolCall


class Color(enum.Enum):
    """A choice."""

    RED = "red"
    BLUE = "blue"


@dataclass
class Point:
    """A structure."""

    x: float
    y: float = 0.0


class Line(BaseModel):
    """A model that refers to another."""

    class End(BaseModel):
        """One end."""

        x: int

    start: End
    ends: list[End] = []


class Box(TypedDict, total=False):
    """A typed dict."""

    width: int


def draw(
    name: Annotated[str, "what it is called"],
    color: Color,
    points: list[Point],
    size: int | None = None,
    kind: Literal["solid", 1] = "solid",
    when: datetime.date | None = None,
    line: Line | None = None,
    pair: tuple[int, str] = (1, "a"),
    tags: set[str] = frozenset(),  # type: ignore[assignment]
    table: dict[str, float] = {},  # noqa: B006 - only read
    price: Decimal = Decimal(0),
    box: Box | None = None,
    more: Sequence[int] = (),
    anything: Any = None,
) -> list[Any]:
    """Draw something.

    This is not for models.
    """
    return [name, color, points, size, kind, when, line, pair, tags, table, price, box, more, anything]


def test_a_schema_comes_from_hints_and_docstring() -> None:
    """Types, choices, defaults, descriptions and nested structures are told to the model."""
    tool = ap.tool(draw)
    schema = tool.schema
    assert (tool.name, tool.description, tool.risk) == ("draw", "Draw something.", "low")
    assert schema["required"] == ["name", "color", "points"]
    assert schema["additionalProperties"] is False
    assert schema["properties"]["name"] == {"type": "string", "description": "what it is called"}
    assert schema["properties"]["color"] == {"enum": ["red", "blue"]}
    assert schema["properties"]["points"]["items"]["required"] == ["x"]
    assert schema["properties"]["size"] == {"anyOf": [{"type": "integer"}, {"type": "null"}]}
    assert schema["properties"]["pair"]["maxItems"] == 2
    assert "End" in schema["$defs"]


def test_arguments_become_what_the_hints_say() -> None:
    """A model's JSON arrives as enums, dataclasses, models, dates, sets and numbers of the right kind."""
    given = {
        "name": "n", "color": "blue", "points": [{"x": 1}], "size": 3.0, "kind": 1, "when": "2026-11-20",
        "line": {"start": {"x": 1}, "ends": [{"x": 2}]}, "pair": [2, "b"], "tags": ["a", "a"], "table": {"k": 1},
        "price": "1.10", "box": {"width": 2}, "more": [1], "anything": {"a": [1]},
    }  # fmt: skip
    tool = ap.tool(draw)
    assert tool.problems(given) == []
    made = tool(**tool.keywords(given))
    assert made[:7] == ["n", Color.BLUE, [Point(1.0)], 3, 1, datetime.date(2026, 11, 20), made[6]]
    assert isinstance(made[6], Line)
    assert made[7:] == [(2, "b"), {"a"}, {"k": 1.0}, Decimal("1.10"), {"width": 2}, [1], {"a": [1]}]
    assert type(made[2][0].x) is float


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"name": 3}, "name must be string, not integer"),
        ({"color": "green"}, 'color must be one of ["red", "blue"]'),
        ({"points": {}}, "points must be array, not object"),
        ({"points": [{"y": 1}]}, "points[0].x is missing"),
        ({"points": [{"x": "1"}]}, "points[0].x must be number, not string"),
        ({"size": "big"}, "size fits none of the 2 forms it may have"),
        ({"extra": 1}, "extra is not expected"),
        ({"pair": [1]}, "pair must be of at least so many items: 2"),
        ({"table": {"k": "v"}}, "table.k must be number, not string"),
    ],
)
def test_what_does_not_fit_is_told_by_place(change: Any, told: str) -> None:
    """The model reads where it went wrong; values are not quoted."""
    wrong = ap.tool(draw).problems({"name": "n", "color": "red", "points": [], **change})
    assert told in "; ".join(wrong)


def test_a_tool_is_called_like_the_function() -> None:
    """With or without parentheses; positional or by name; its own name and docstring are kept."""

    @ap.tool(risk="high", timeout=5)
    def add(a: int, b: int = 1) -> int:
        """Add."""
        return a + b

    assert add(1) == 2
    assert add(1, b=2) == 3
    assert (add.__name__, add.__doc__, add.risk, add.timeout) == ("add", "Add.", "high", 5.0)
    assert repr(add) == "Tool('add', risk='high')"
    with pytest.raises(ap.Blocked, match="a must be integer, not string"):
        add("1")  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        add()  # type: ignore[call-arg]


def test_an_async_tool_is_awaited() -> None:
    """It has the same checks."""

    @ap.tool
    async def add(a: int) -> int:
        await asyncio.sleep(0)
        return a + 1

    async def main() -> int:
        with pytest.raises(ap.Blocked):
            await add("x")  # type: ignore[arg-type]
        return await add(1)

    assert add.is_async
    assert asyncio.run(main()) == 2


def test_code_may_pass_objects_that_no_model_could() -> None:
    """Only what is JSON is checked when Python calls."""
    assert ap.tool(draw)("n", Color.RED, [Point(1)])[1] is Color.RED


def test_each_call_is_a_tool_call_of_the_run() -> None:
    """Who watches activities, as the tracer does, sees name, arguments, result and failure."""
    seen: list[Activity] = []
    stop = watch(lambda activity: lambda: seen.append(activity))
    try:

        @ap.tool
        def half(n: int) -> float:
            return 1 / n

        with ap.agent("a") as run:
            assert half(n=2) == 0.5
            with pytest.raises(ZeroDivisionError):
                half(0)
        assert (run.tool_calls, run.failed_tool_calls) == (2, 1)
        calls = [each for each in seen if isinstance(each, ToolCall)]
        assert [(each.name, each.arguments, each.result, each.error_type) for each in calls] == [
            ("half", {"n": 2}, 0.5, None),
            ("half", [0], None, "ZeroDivisionError"),
        ]
    finally:
        stop()


def test_a_slow_tool_is_given_up() -> None:
    """A synchronous one goes on by itself; an asynchronous one is cancelled."""
    go = threading.Event()

    @ap.tool(timeout=0.01)
    def wait() -> None:
        go.wait(5)

    @ap.tool(timeout=0.01)
    async def await_() -> None:
        await asyncio.Event().wait()

    with pytest.raises(TimeoutError):
        wait()
    go.set()
    with pytest.raises(TimeoutError):
        asyncio.run(await_())
    for thread in threading.enumerate():
        if thread.name == "agentprod-within":
            thread.join(5)


def test_a_schema_of_your_own() -> None:
    """A JSON Schema or a model may stand instead of the hints."""
    schema = {"type": "object", "properties": {"q": {"type": "string", "pattern": "^[a-z]+$"}}, "required": ["q"]}
    search = ap.tool(schema=schema, name="search")(lambda **options: options)
    assert search.problems({"q": "A"}) == ["q must be of the pattern ^[a-z]+$"]
    by_model = ap.tool(schema=Line, name="line")(lambda start, ends=None: (start, ends))
    assert by_model.problems({"start": {"x": "a"}}) == ["start.x must be integer, not string"]
    start, ends = by_model(**by_model.keywords({"start": {"x": 1}}))
    assert (start.x, ends) == (1, None)


TOOL: Any = ap.tool


def _spread(*args: int) -> None: ...
def _free(**options: int) -> None: ...
def _odd(a: threading.Thread) -> None: ...
def _missing(a: "Nowhere") -> None: ...  # type: ignore[name-defined]  # noqa: F821, UP037


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda: ap.tool(_spread), "a model cannot name"),
        (lambda: ap.tool(_free), "options"),
        (lambda: ap.tool(_odd), "no JSON Schema"),
        (lambda: ap.tool(_missing), "cannot be read"),
        (lambda: TOOL(risk="extreme")(draw), "risk"),
        (lambda: ap.tool(name="no spaces")(draw), "is no name"),
        (lambda: ap.tool(timeout=0)(draw), "timeout"),
        (lambda: TOOL(schema=3)(draw), "JSON Schema or a pydantic model"),
        (lambda: ap.tool(schema={"type": "object", "if": {}})(draw), "not checked here"),
        (lambda: ap.tool(schema={"type": "thing"})(draw), "has a type"),
        (lambda: ap.tool(schema={"properties": {"a": {"pattern": "("}}})(draw), "invalid pattern"),
        (lambda: ap.tool(schema={"patternProperties": {"(": {}}})(draw), "unterminated subpattern"),
        (lambda: ap.tool(schema={"properties": {"a": {"pattern": "(a+)+$"}}})(draw), "becomes slow"),
        (lambda: ap.tool(schema={"properties": {"a": {"minimum": "3"}}})(draw), "minimum at /properties/a, which"),
        (lambda: ap.tool(schema={"properties": {"a": {"multipleOf": 0}}})(draw), "a number above 0"),
        (lambda: ap.tool(schema={"properties": []})(draw), "properties at its root, which must be an object"),
        (lambda: ap.tool(schema={"anyOf": {}})(draw), "a list of schemas"),
        (lambda: ap.tool(schema={"enum": 3})(draw), "enum at its root, which must be a list"),
        (lambda: ap.tool(schema={"required": "a"})(draw), "a list of names"),
        (lambda: ap.tool(schema={"properties": {"a": 3}})(draw), "holds a int"),
        (lambda: ap.tool(schema={"properties": {"a": {"$ref": "#/$defs/x"}}})(draw), "does not hold"),
        (lambda: TOOL(3), "made of a function"),
    ],
)
def test_what_cannot_be_a_tool_is_refused(make: Any, told: str) -> None:
    """When the tool is made, not when a model calls it."""
    with pytest.raises(ap.ConfigError, match=told):
        make()


@pytest.mark.parametrize(
    ("schema", "fits", "fails"),
    [
        ({"minimum": 1, "maximum": 3}, [1, 3, "x"], [0, 4]),
        ({"exclusiveMinimum": 1, "exclusiveMaximum": 3}, [2], [1, 3]),
        ({"multipleOf": 0.1}, [0.3, 2], [0.35]),
        ({"minLength": 1, "maxLength": 2}, ["a", "ab"], ["", "abc"]),
        ({"uniqueItems": True}, [[1, 2], []], [[1, 1]]),
        ({"contains": {"const": 1}}, [[0, 1]], [[0], []]),
        ({"minProperties": 1, "maxProperties": 1}, [{"a": 1}], [{}, {"a": 1, "b": 2}]),
        ({"patternProperties": {"^x": {"type": "integer"}}, "additionalProperties": False}, [{"xa": 1}], [{"a": 1}]),
        ({"propertyNames": {"maxLength": 1}}, [{"a": 1}], [{"ab": 1}]),
        ({"oneOf": [{"type": "integer"}, {"minimum": 5}]}, [3, 5.5], [7, 1.5]),
        ({"not": {"type": "string"}}, [1], ["a"]),
        ({"allOf": [{"minimum": 1}, {"maximum": 2}]}, [1], [3]),
        ({"const": True}, [True], [1, 0]),
        ({"enum": [1, "1"]}, [1, 1.0, "1"], [True, 2]),
        ({"type": ["integer", "null"]}, [1, 1.0, None], [1.5, True]),
        ({"$ref": "#/$defs/a~1b", "$defs": {"a/b": {"type": "null"}}}, [None], [1]),
        ({"prefixItems": [{"type": "null"}], "items": False}, [[None], []], [[1], [None, 1]]),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else None,
)
def test_keywords_of_json_schema(schema: Any, fits: list[Any], fails: list[Any]) -> None:
    """Each keyword means what the specification says."""
    tool = ap.tool(schema={"properties": {"v": schema}, "$defs": schema.pop("$defs", {})}, name="t")(lambda v: v)
    assert [value for value in fits if tool.problems({"v": value})] == []
    assert [value for value in fails if not tool.problems({"v": value})] == []


def test_a_schema_that_refers_to_itself_ends() -> None:
    """Recursive structures are checked as deep as they go."""
    tree = {"type": "object", "properties": {"kids": {"type": "array", "items": {"$ref": "#"}}}}
    tool = ap.tool(schema={**tree, "additionalProperties": False}, name="t")(lambda **tree: tree)
    assert tool.problems({"kids": [{"kids": [{"kids": []}]}]}) == []
    assert tool.problems({"kids": [{"kids": [{"kid": []}]}]}) == [
        "kids[0].kids[0].kid is not expected; expected are kids"
    ]
    deep: Any = {}
    for _ in range(50):
        deep = {"kids": [deep]}
    assert "nested too deep" in tool.problems(deep)[0]
