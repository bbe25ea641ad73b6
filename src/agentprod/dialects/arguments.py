"""The arguments of a function call by name, and back again."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator, Mapping
from typing import Any

__all__ = ["Arguments", "Bind", "arguments_of", "binder", "call_with"]

Bind = Callable[[tuple[Any, ...], dict[str, Any]], dict[str, Any]]
"""Gives positional and keyword arguments by name; raises TypeError where they do not fit."""


class Arguments(Mapping[str, Any]):
    """The arguments of one function call by name, bound to the signature only when somebody looks.

    `**kwargs` of the function are flattened in; `*args` stand under their parameter's name.
    """

    __slots__ = ("_bind", "_bound", "args", "kwargs")

    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    _bind: Bind
    _bound: dict[str, Any] | None

    def bound(self) -> dict[str, Any]:
        """Return the arguments by name, defaults left out.

        Raises:
            TypeError: they do not fit the signature, as the function itself would say.
        """
        if self._bound is None:
            self._bound = self._bind(self.args, self.kwargs)
        return self._bound

    def __getitem__(self, name: str) -> Any:
        return self.bound()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self.bound())

    def __len__(self) -> int:
        return len(self.bound())

    def __repr__(self) -> str:
        return f"Arguments({', '.join(self.bound())})"


def arguments_of(bind: Bind, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Arguments:
    """Return the arguments of one call, as `bind` of the function's signature names them."""
    arguments = Arguments()
    arguments._bind = bind
    arguments.args = args
    arguments.kwargs = kwargs
    arguments._bound = None
    return arguments


def binder(signature: inspect.Signature | None) -> Bind:
    """Return what names the arguments of calls of a function; `None` for one that tells nothing of itself."""
    if signature is None:
        return _by_place
    parameters = signature.parameters.values()
    either = [each.name for each in parameters if each.kind is _EITHER]
    if len(either) < len(parameters):
        return lambda args, kwargs: _bound(signature, args, kwargs)
    required = {each.name for each in parameters if each.default is each.empty}
    names = frozenset(either)

    def bind(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
        # What most functions are asked for, at a tenth of what `Signature.bind` takes.
        found = dict(zip(either, args, strict=False))
        if len(args) <= len(either) and names >= kwargs.keys() and found.keys().isdisjoint(kwargs):
            found |= kwargs
            if required <= found.keys():
                return {name: found[name] for name in either if name in found} if kwargs else found
        return _bound(signature, args, kwargs)

    return bind


def _by_place(args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    return {**{f"arg{n}": value for n, value in enumerate(args)}, **kwargs}


def _bound(signature: inspect.Signature, args: tuple[Any, ...], kwargs: dict[str, Any]) -> dict[str, Any]:
    found = dict(signature.bind(*args, **kwargs).arguments)
    for parameter in signature.parameters.values():
        if parameter.kind is parameter.VAR_KEYWORD and parameter.name in found:
            rest = found.pop(parameter.name)
            if rest.keys() & signature.parameters.keys():  # f(a, /, **free) called as f(1, a=2)
                found[f"**{parameter.name}"] = rest
            else:
                found.update(rest)
    return found


def call_with(
    signature: inspect.Signature | None, request: Mapping[str, Any]
) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Return the positional and keyword arguments that pass `request` to a function of this signature."""
    rest = dict(request)
    if signature is None:
        count = next(n for n in range(len(rest) + 1) if f"arg{n}" not in rest)
        return tuple(rest.pop(f"arg{n}") for n in range(count)), rest
    parameters = signature.parameters.values()
    spread = [value for p in parameters if p.kind is p.VAR_POSITIONAL for value in rest.pop(p.name, ())]
    args: list[Any] = []
    kwargs: dict[str, Any] = {}
    left_out: list[Any] = []
    for parameter in parameters:
        if parameter.kind is parameter.VAR_KEYWORD:
            kwargs.update(rest.pop(f"**{parameter.name}", {}))
        elif parameter.kind is parameter.POSITIONAL_ONLY or (spread and parameter.kind is _EITHER):
            # What stands before *args must be passed by position, and so must a default that stands before such.
            if parameter.name in rest:
                args += [*left_out, rest.pop(parameter.name)]
                left_out = []
            else:
                left_out.append(parameter.default)
        elif parameter.name in rest:
            kwargs[parameter.name] = rest.pop(parameter.name)
    if spread:
        args += [*left_out, *spread]
    return tuple(args), {**kwargs, **rest}


_EITHER = inspect.Parameter.POSITIONAL_OR_KEYWORD
