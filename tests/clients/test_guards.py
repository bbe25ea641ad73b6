"""Content filter and injection guard on every surface of both SDKs."""

from __future__ import annotations

from typing import Any

import pytest

import agentprod as ap
from agentprod.testing import Provider
from agentprod.testing import behaviours as b
from tests.clients.conftest import Run
from tests.clients.surfaces import SURFACES, Surface, make_client, shut
from tests.clients.test_surfaces import pieces, script_for

TEXTUAL = [surface for surface in SURFACES if not surface.silent]
REFUSED = '{"name": "bomb", "words": "One. Two bomb."}'


@pytest.mark.parametrize("surface", TEXTUAL, ids=lambda surface: surface.name)
def test_what_passes_is_what_the_bare_client_returns(surface: Surface, kind: str, run: Run, provider: Provider) -> None:
    """Guards that find nothing change nothing: neither types nor values nor the pieces of a stream."""
    provider.script([script_for(surface)])
    stack = ap.Stack(ap.InjectionGuard(egress_allow=[]), ap.ContentFilter(lambda text: "bomb" in text))

    async def both() -> tuple[Any, Any]:
        bare = make_client(surface.sdk, kind, provider)
        try:
            return await surface.ask(bare), await surface.ask(stack.wrap(bare))
        finally:
            await shut(bare)

    expected, got = run(both())
    assert pieces(got) == pieces(expected)


@pytest.mark.parametrize("surface", TEXTUAL, ids=lambda surface: surface.name)
def test_a_refused_answer_is_withheld(surface: Surface, kind: str, run: Run, provider: Provider) -> None:
    """The caller gets `Blocked`, and never the word."""
    provider.script([b.ok(REFUSED)])
    seen: list[str] = []

    async def ask() -> None:
        bare = make_client(surface.sdk, kind, provider)
        try:
            seen.append(pieces(await surface.ask(ap.Stack(ap.ContentFilter(lambda text: "bomb" in text)).wrap(bare))))
        finally:
            await shut(bare)

    with pytest.raises(ap.Blocked, match="the answer was refused"):
        run(ask())
    assert seen == []
