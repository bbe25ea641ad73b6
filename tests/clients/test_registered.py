"""Wire formats that packages register by entry point: by name for functions, by path for wrapped clients."""

from __future__ import annotations

from collections.abc import Callable
from importlib.metadata import EntryPoint
from typing import Any

import pytest

import agentprod as ap
from agentprod.edge import registered
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from examples.own_format.house import HouseFormat
from tests.clients.conftest import Run
from tests.clients.surfaces import make_client, result, shut

Install = Callable[[str], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Return what makes this process see a package with an entry point."""

    def put(value: str) -> None:
        point = EntryPoint("house", value, registered.GROUP)
        monkeypatch.setattr("importlib.metadata.entry_points", lambda group: [point])
        monkeypatch.setattr(registered, "_found", None)

    return put


def test_a_client_speaks_a_registered_format(install: Install, kind: str, run: Run, provider: Provider) -> None:
    """Layers read and edit what is posted to its path; elsewhere it is other traffic."""
    install("examples.own_format.house:HouseFormat")
    provider.script([b.json_body({"says": "Hello Li Wei", "spent": {"in": 3, "out": 2}})])
    seen: list[ap.Call] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(call)
        return await call_next(call.map_text(lambda text, part: text.replace("Li Wei", "[NAME]")))

    async def scenario() -> None:
        bare = make_client("openai", kind, provider)
        client = ap.Stack(look, ap.Cache()).wrap(bare)
        asked = {"engine": "brick-2", "turns": [{"who": "user", "says": "I am Li Wei"}]}
        for _ in range(2):
            made = await result(client.post("/house/speak", body=asked, cast_to=object))
            assert made["says"] == "Hello Li Wei"
        await result(client.post("/house/files", body={}, cast_to=object))
        await shut(bare)

    run(scenario())
    assert [call.operation for call in seen] == ["chat", "chat"]
    assert seen[0].dialect.name == "house"
    assert seen[0].target.model == "brick-2"
    assert len(provider.requests) == 2  # one was a hit
    assert provider.requests[0].json["turns"][0]["says"] == "I am [NAME]"


def test_a_function_names_a_registered_format(install: Install) -> None:
    """`decorate(dialect="house")`; a name that nobody registers is refused with those there are."""
    install("examples.own_format.house:HouseFormat")
    seen: list[ap.Call] = []

    async def look(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        seen.append(call)
        return await call_next(call)

    def speak(engine: str, turns: list[Any]) -> dict[str, str]:
        return {"says": "hello"}

    assert ap.Stack(look).decorate(speak, dialect="house")("brick-2", []) == {"says": "hello"}
    assert isinstance(seen[0].dialect, HouseFormat)
    with pytest.raises(ap.ConfigError, match=r"'hut' .*known: house"):
        ap.Stack().decorate(speak, dialect="hut")


def test_a_package_that_cannot_be_loaded_is_told(install: Install) -> None:
    """Its calls would pass the layers unread."""
    install("examples.own_format.nowhere:Format")
    with pytest.warns(ap.AgentprodWarning, match="'house' .*cannot be loaded: ModuleNotFoundError"):
        assert registered.registered() == {}


def test_what_is_no_dialect_is_refused(install: Install) -> None:
    """The entry point is named."""
    install("examples.own_format.house:House.__init__")
    with pytest.raises(ap.ConfigError, match=r"'house' .*is no agentprod\.Dialect"):
        registered.registered()
