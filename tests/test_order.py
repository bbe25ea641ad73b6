"""Orders of layers: every rule both ways, what is raised and what is warned, and how it is told."""

from __future__ import annotations

import itertools
import sys
import warnings
from typing import Any

import pytest

import agentprod as ap
from agentprod.explain import explain, order_table
from agentprod.order import CANONICAL, ONCE, RULES, Rule, check


async def handle(self: Any, call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
    """Pass on."""
    return await call_next(call)


def layer(name: str, /, **attributes: Any) -> Any:
    """Return a layer whose class has this name."""
    return type(name, (), {"handle": handle, **attributes})()


def stack(*names: str, **options: Any) -> ap.Stack:
    """Return a stack of layers with these names, outermost first."""
    return ap.Stack(*map(layer, names), **options)


def told(*layers: Any, **options: Any) -> list[str]:
    """Return what building a stack of these layers warns of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        ap.Stack(*layers, **options)
    assert all(warning.category is ap.OrderWarning for warning in caught)
    return [str(warning.message) for warning in caught]


def rule_name(rule: Rule) -> str:
    """Return a rule as a test id."""
    return f"{rule.outer}-{rule.inner.replace('*', 'everything')}"


HARMFUL = [rule for rule in RULES if rule.harmful]
COSTLY = [rule for rule in RULES if not rule.harmful]


def inner_of(rule: Rule) -> str:
    """Return a layer that a rule wants inside."""
    return "Retry" if rule.inner == "*" else rule.inner


@pytest.mark.parametrize("rule", RULES, ids=rule_name)
def test_the_right_order_is_silent(rule: Rule) -> None:
    """No rule says anything about a pair that stands as it asks."""
    assert told(layer(rule.outer), layer(inner_of(rule))) == []


@pytest.mark.parametrize("rule", HARMFUL, ids=rule_name)
def test_an_order_that_does_harm_is_an_error(rule: Rule) -> None:
    """The other way round raises, with what breaks, what to write, and how to insist."""
    with pytest.raises(ap.OrderError) as raised:
        stack(rule.inner, rule.outer)
    message = str(raised.value)
    assert f"{rule.outer} belongs outside {rule.inner}: otherwise {rule.reason}" in message
    assert f"List {rule.outer} before {rule.inner}" in message
    assert 'check="off"' in message
    assert isinstance(raised.value, ap.ConfigError)


@pytest.mark.parametrize("rule", COSTLY, ids=rule_name)
def test_an_order_that_costs_something_warns(rule: Rule) -> None:
    """The other way round warns once, with what breaks and what to write; `check="error"` raises instead."""
    inner = inner_of(rule)
    (message,) = told(layer(inner), layer(rule.outer))
    assert f"{rule.outer} belongs outside {inner}: otherwise {rule.reason}" in message
    with pytest.raises(ap.OrderError, match=rule.outer):
        stack(inner, rule.outer, check="error")


@pytest.mark.parametrize("rule", RULES, ids=rule_name)
def test_any_order_can_be_meant(rule: Rule) -> None:
    """With `check="off"` a stack is built as written, and never re-sorted."""
    built = stack(inner_of(rule), rule.outer, check="off")
    assert [type(found).__name__ for found in built] == [inner_of(rule), rule.outer]


def test_the_harmful_pairs_are_the_documented_ones() -> None:
    """Exactly the orders that break a promise are errors; all others cost something and warn."""
    assert {(rule.outer, rule.inner) for rule in HARMFUL} == {
        ("ScrubPII", "Cache"),
        ("ScrubPII", "SemanticCache"),
        ("Retry", "CircuitBreaker"),
        ("Fallback", "Retry"),
        ("Deadline", "Retry"),
    }
    assert set(ONCE) == {"Retry", "Cache", "ScrubPII"}


def test_the_rules_speak_once_of_each_pair_of_known_layers() -> None:
    """No pair has two rules, none contradicts another, and each names layers of the recommended order."""
    pairs = [(rule.outer, rule.inner) for rule in RULES]
    assert len(set(pairs)) == len(pairs)
    assert not {(inner, outer) for outer, inner in pairs} & set(pairs)
    assert {name for pair in pairs for name in pair} <= {*CANONICAL, "*"}


def test_the_recommended_order_breaks_no_rule() -> None:
    """All layers together, in the recommended order, are silent."""
    assert told(*map(layer, CANONICAL)) == []


def test_layers_in_between_do_not_matter() -> None:
    """A rule holds over any distance."""
    with pytest.raises(ap.OrderError, match="ScrubPII belongs outside Cache"):
        stack("Cache", "Router", "Retry", "ScrubPII")


@pytest.mark.parametrize("name", ONCE)
def test_a_layer_that_must_not_stand_twice(name: str) -> None:
    """Two of a kind that multiply or undo each other are an error."""
    with pytest.raises(ap.OrderError, match=f"holds {name} twice: {ONCE[name]}; keep one"):
        stack(name, name)
    assert len(stack(name, name, check="off")) == 2


def test_other_layers_may_stand_twice() -> None:
    """Two limits, two timeouts: fine, where both stand right."""
    assert told(*map(layer, ("RateLimit", "RateLimit", "Timeout", "Timeout"))) == []


def test_one_of_two_stands_wrong() -> None:
    """Of two layers of a kind, one on the wrong side is enough."""
    (message,) = told(*map(layer, ("Timeout", "CircuitBreaker", "Timeout")))
    assert message.startswith("CircuitBreaker belongs outside Timeout")


def test_harm_comes_first() -> None:
    """With several things wrong, the harmful one is raised, and nothing is warned before it."""
    findings = check([layer("Timeout"), layer("CircuitBreaker"), layer("Retry")])
    assert [finding.harmful for finding in findings] == [True, False, False]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with pytest.raises(ap.OrderError, match="Retry belongs outside CircuitBreaker"):
            stack("Timeout", "CircuitBreaker", "Retry")


def test_the_same_fault_is_told_once() -> None:
    """Two rules that say the same of a pair, as a layer's own and a built-in one, are one warning."""
    own = layer("CircuitBreaker", order=(ap.Outside("Timeout", "the breaker never sees a timeout"),))
    assert len(told(layer("Timeout"), own)) == 1


# Where a warning points


def line_here() -> int:
    """Return the line of the caller."""
    return sys._getframe(1).f_lineno


def test_a_warning_points_at_the_line_that_built_the_stack() -> None:
    """The warning names the user's file and line, not this library's."""
    line = line_here() + 2
    with pytest.warns(ap.OrderWarning) as caught:
        stack = ap.Stack(layer("Timeout"), layer("CircuitBreaker"))
    (warning,) = caught
    assert (warning.filename, warning.lineno) == (__file__, line)
    assert len(stack) == 2


def test_a_warning_of_a_joined_stack_points_at_the_decorator() -> None:
    """Joining may break a rule: the warning points at the line that joined, and is about the new pair alone."""
    with pytest.warns(ap.OrderWarning):
        inner = ap.Stack(layer("RateLimit"), layer("Bulkhead"))
    fn = inner.decorate(lambda: "x")
    outer = ap.Stack(layer("Timeout"))
    line = line_here() + 2
    with pytest.warns(ap.OrderWarning) as caught:
        outer.decorate(fn)
    assert {(warning.filename, warning.lineno) for warning in caught} == {(__file__, line)}
    assert sorted(str(warning.message).partition(":")[0] for warning in caught) == [
        "Bulkhead belongs outside Timeout",
        "RateLimit belongs outside Timeout",
    ]


def test_changing_a_stack_does_not_warn_again() -> None:
    """What was wrong before a change has been said before."""
    with pytest.warns(ap.OrderWarning):
        built = stack("Timeout", "CircuitBreaker", "AuditLog")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        built.insert(layer("Tracer"), outside="Timeout")
        built.without(type(built.layers[2]))
        built.replace(layer("AuditLog"))
    with pytest.warns(ap.OrderWarning) as caught:
        built.insert(layer("Bulkhead"), inside="CircuitBreaker")
    assert all("Bulkhead belongs outside" in str(warning.message) for warning in caught)


def test_changing_a_stack_is_checked() -> None:
    """A change that does harm is an error."""
    built = stack("CircuitBreaker", "Timeout")
    with pytest.raises(ap.OrderError, match="Retry belongs outside CircuitBreaker"):
        built.insert(layer("Retry"), inside="CircuitBreaker")
    assert len(stack("CircuitBreaker", check="off").insert(layer("Retry"), inside="CircuitBreaker")) == 2


def test_joining_two_retries_is_an_error() -> None:
    """A decorator on a decorated function makes one onion, and in it attempts would multiply."""
    fn = ap.Retry()(lambda: "x")
    with pytest.raises(ap.OrderError, match="holds Retry twice"):
        ap.Retry()(fn)


CHECKS = ("warn", "error", "off")


@pytest.mark.parametrize(("outer", "inner"), list(itertools.product(CHECKS, CHECKS)))
def test_joining_checks_what_is_new(outer: Any, inner: Any) -> None:
    """The pair that joining makes is judged by the stricter of both, unless the outer stack is told not to."""
    fn = stack("CircuitBreaker", check=inner).decorate(lambda: "x")
    joining = stack("Timeout", check=outer)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        if "error" in (outer, inner) and outer != "off":
            with pytest.raises(ap.OrderError):
                joining.decorate(fn)
            return
        joining.decorate(fn)
    assert len(caught) == (outer == "warn")


def test_joining_does_not_judge_what_the_inner_stack_meant() -> None:
    """A harmful order that the inner stack was told to allow is not raised by a decorator around it."""
    fn = stack("CircuitBreaker", "Retry", check="off").decorate(lambda: "x")
    assert len(ap.stack_of(stack("Tracer").decorate(fn))) == 3


# Wishes of other people's layers


def test_a_layer_declares_its_place() -> None:
    """`order` of a layer speaks as the built-in rules do, outside and inside."""
    outside = layer("Mine", order=(ap.Outside("Retry", "it counts calls"),))
    inside = layer("Yours", order=(ap.Inside("Retry", "it counts attempts"),))
    assert told(outside, layer("Retry"), inside) == []
    assert told(layer("Retry"), outside) == [
        "Mine belongs outside Retry: otherwise it counts calls. List Mine before Retry (first listed is outermost)"
    ]
    assert told(inside, layer("Retry"))[0].startswith("Retry belongs outside Yours: otherwise it counts attempts")


def test_a_layer_declares_harm() -> None:
    """A declared rule may be harmful, and then it is an error."""
    mine = layer("Mine", order=(ap.Inside("Retry", "it multiplies", harmful=True),))
    with pytest.raises(ap.OrderError, match="it multiplies"):
        ap.Stack(mine, layer("Retry"))


def test_a_layer_declares_without_a_reason() -> None:
    """A wish needs no reason."""
    mine = layer("Mine", order=(ap.Outside("Retry"), ap.Inside("Cache")))
    assert "Mine belongs outside Retry: its author says so. List" in told(layer("Retry"), mine)[0]


@pytest.mark.parametrize("order", ["Retry", ap.Outside("Retry"), ("Retry",), None], ids=repr)
@pytest.mark.parametrize("applied", [lambda mine: mine, lambda mine: ap.when("chat", mine)], ids=["itself", "when"])
def test_a_layer_declares_what_is_no_wish(order: Any, applied: Any) -> None:
    """A forgotten comma or a bare name is told with the line to write."""
    with pytest.raises(ap.ConfigError, match=r'order of Mine must be .*write order = \(ap.Outside\("Retry"\),\)'):
        ap.Stack(applied(layer("Mine", order=order)))


@pytest.mark.parametrize("wish", [ap.Outside, ap.Inside])
def test_a_wish_that_names_no_layer(wish: Any) -> None:
    """A class in place of its name would be a rule that never applies."""
    with pytest.raises(ap.ConfigError, match=rf'{wish.__name__} takes the name.*write ap.{wish.__name__}\("Cache"\)'):
        wish(ap.Cache)
    with pytest.raises(ap.ConfigError, match="takes the name of a layer"):
        wish(ap.Cache())


def test_a_layer_that_wishes_to_be_outermost() -> None:
    """`Outside("*")` asks for the outermost place."""
    mine = layer("Mine", order=(ap.Outside("*", "it sees everything"),))
    assert told(mine, layer("Retry")) == []
    assert told(layer("Retry"), mine)[0].startswith("Mine belongs outside Retry: otherwise it sees everything")


def test_a_layer_goes_by_its_name() -> None:
    """A layer may say itself what the rules shall call it; a function goes by its own name."""
    assert told(layer("Mine", name="Timeout"), layer("CircuitBreaker")) != []

    async def Timeout(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:  # noqa: N802 - the rules' name
        return await call_next(call)

    assert told(Timeout, layer("CircuitBreaker")) != []


# when


def test_when_stands_as_its_layer() -> None:
    """`when` takes part in the checks as the layer it applies, with that one's wishes."""
    with pytest.raises(ap.OrderError, match="ScrubPII belongs outside Cache"):
        ap.Stack(ap.when("chat", layer("Cache")), layer("ScrubPII"))
    mine = layer("Mine", order=(ap.Outside("Retry"),))
    assert told(layer("Retry"), ap.when("chat", mine)) != []


# explain


def test_explain_tells_each_layer_s_reasons() -> None:
    """`explain()` lists the layers outermost first, with what breaks if each stood elsewhere."""
    assert ap.Stack(layer("Tracer"), ap.Retry(attempts=5), ap.Timeout(30)).explain() == "\n".join(
        [
            "outermost",
            "  1. Tracer()",
            "       outside everything: otherwise one span per attempt, and none for hits and rejections",
            "  2. Retry(attempts=5)",
            "       outside Timeout: otherwise one slow attempt eats the time of all the others",
            "  3. Timeout(attempt=30.0)",
            "  → the provider",
            "The order is as recommended.",
        ]
    )


def test_explain_tells_what_is_wrong() -> None:
    """Errors and warnings stand at the end, also for a stack that was told not to check."""
    lines = explain(stack("Timeout", "CircuitBreaker", "Retry", check="off")).splitlines()
    assert "ERROR: Retry belongs outside CircuitBreaker" in lines[5]
    assert [line.partition(":")[0] for line in lines[5:]] == ["ERROR", "warning", "warning"]


def test_explain_tells_wishes_of_other_layers() -> None:
    """What a layer of yours declares is told like the built-in reasons."""
    mine = layer("Mine", order=(ap.Outside("Retry", "it counts calls"),))
    assert "outside Retry: otherwise it counts calls" in explain(ap.Stack(mine, layer("Retry")))


def test_explain_an_empty_stack() -> None:
    """A stack without layers says so."""
    assert ap.Stack().explain() == "outermost\n  (no layers) → the provider"


def test_a_tracer_alone_needs_no_reason() -> None:
    """There is nothing for a single layer to be outside of."""
    assert "outside everything" not in stack("Tracer").explain()


def test_explain_a_function() -> None:
    """A layer that is a function goes by its name."""

    async def stopwatch(call: ap.Call, call_next: ap.CallNext) -> ap.Reply:
        return await call_next(call)

    assert "  1. stopwatch\n" in ap.Stack(stopwatch).explain()


def test_the_table_of_the_documentation() -> None:
    """The order table of the documentation is written from the rules, harmful ones first."""
    lines = order_table().splitlines()
    assert len(lines) == 2 + len(RULES)
    assert [line.endswith("| error |") for line in lines[2:]] == [True] * len(HARMFUL) + [False] * len(COSTLY)
    assert "| `Tracer` | everything | one span per attempt, and none for hits and rejections | warning |" in lines
    assert len(order_table(["Retry", "Timeout"]).splitlines()) == 3
