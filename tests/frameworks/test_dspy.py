"""DSPy, through a decorated function behind its language model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from agentprod.testing import behaviours as b
from tests.frameworks.place import Place

dspy = pytest.importorskip("dspy", reason="DSPy is tested in a session of its own: nox -s 'frameworks(dspy)'")
pytestmark = pytest.mark.filterwarnings("ignore")


@pytest.fixture
def typed(place: Place, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Return what the page's block makes."""
    monkeypatch.setenv("OPENAI_API_KEY", "k")
    monkeypatch.setenv("OPENAI_BASE_URL", place.provider.openai_url)
    place.provider.script([b.ok('{"answer": "Hello 李伟."}')])
    yield place.type("DSPy")
    dspy.configure(lm=None)


def test_a_prediction_passes_once(typed: Any) -> None:
    """One call seen, one request sent, and DSPy reads the reply."""
    predict = dspy.Predict("question -> answer")
    with dspy.context(adapter=dspy.JSONAdapter()):
        assert predict(question="Say hello to 李伟.").answer == "Hello 李伟."
    assert typed.counter.calls[0].target.model == "gpt-5-mini"
    typed.saw(1, "chat")


def test_a_deep_copy_of_the_model_passes_once(typed: Any) -> None:
    """DSPy copies models for optimising; the copy is in the stack as well."""
    lm = dspy.settings.lm.copy(temperature=0.5)
    lm("Say hello.")
    typed.saw(1, "chat")
