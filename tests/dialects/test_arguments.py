"""The arguments of a call by name, as the function itself would take them."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from agentprod.dialects.arguments import binder, call_with


def two(a: Any, b: Any = 2) -> None:
    """Take one or two arguments."""


def three(a: Any, b: Any, c: Any) -> None:
    """Take three arguments."""


def by_name(a: Any, *, b: Any = 2) -> None:
    """Take one argument by name."""


def by_place(a: Any, /, b: Any, **rest: Any) -> None:
    """Take one argument by place and any others by name."""


FUNCTIONS = (two, three, by_name, by_place)


def refusal(bind: Callable[[], object]) -> str | None:
    """Return what a TypeError says; `None` when there is none."""
    try:
        bind()
    except TypeError as wrong:
        return str(wrong)
    return None


@given(
    st.sampled_from(FUNCTIONS),
    st.lists(st.integers(), max_size=4).map(tuple),
    st.dictionaries(st.sampled_from("abcd"), st.integers(), max_size=4),
)
def test_arguments_are_named_as_python_binds_them(
    function: Callable[..., None], args: tuple[int, ...], kwargs: dict[str, int]
) -> None:
    """Whatever the order they are given in: names, values and their order are the signature's, and so are errors."""
    signature = inspect.signature(function)
    wrong = refusal(lambda: signature.bind(*args, **kwargs))
    if wrong is not None:
        assert refusal(lambda: binder(signature)(args, kwargs)) == wrong
        return
    expected = signature.bind(*args, **kwargs)
    found = binder(signature)(args, kwargs)
    passed, named = call_with(signature, found)
    assert signature.bind(*passed, **named).arguments == expected.arguments
    if "rest" not in expected.arguments:
        assert list(found.items()) == list(expected.arguments.items())
