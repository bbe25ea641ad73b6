"""Options written wrong: each error names the layer and the option, tells what was given, and what it takes."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import agentprod as ap

WRONG: dict[str, tuple[Callable[[], Any], str]] = {
    "attempts as text": (lambda: ap.Retry(attempts="3"), "Retry attempts must be a whole number.*not '3'"),
    "attempts as bool": (lambda: ap.Retry(attempts=True), "Retry attempts must be .* not True"),
    "a status as a fault": (lambda: ap.Retry(on=429), r"Retry on= takes exception types, ap.Fault members.* not 429"),
    "tenacity's stop as a number": (lambda: ap.Retry(stop=3), r"Retry stop must be one of tenacity's stop_\*"),
    "seconds as text": (lambda: ap.Deadline("30"), "Deadline seconds must be seconds as a number or timedelta"),
    "a point in time": (lambda: ap.context(deadline=datetime.now(UTC)), "context deadline must be .* not datetime"),
    "no time at all": (lambda: ap.Deadline(timedelta(0)), r"Deadline .* more than 0 seconds, not 0\.0"),
    "time without end": (lambda: ap.Deadline(math.inf), "Deadline .* at most 1,000,000,000 seconds, not inf"),
    "no number": (lambda: ap.Timeout(math.nan), "Timeout attempt must be more than 0 seconds, not nan"),
    "a timeout of nothing": (ap.Timeout, r"Timeout needs a limit: Timeout\(30\)"),
    "a rate in percent": (lambda: ap.CircuitBreaker(failure_rate=50), "CircuitBreaker failure_rate .* most 1, not 50"),
    "half a call": (lambda: ap.CircuitBreaker(min_calls=0.5), "CircuitBreaker min_calls must be a whole number.* 0.5"),
    "a pause longer than the longest": (
        lambda: ap.CircuitBreaker(open_for=500),
        r"CircuitBreaker max_open_for must be at least open_for, 500 seconds, not 300\.0",
    ),
    "a key that is none": (
        lambda: ap.CircuitBreaker(by="users"),
        "CircuitBreaker by= takes \"endpoint\".* not 'users'",
    ),
    "keys as a list": (lambda: ap.CircuitBreaker(by=["user"]), r"CircuitBreaker by= takes .* not \['user'\]"),
    "a switch from the environment": (lambda: ap.CircuitBreaker(shadow="false"), "shadow must be True or False.*'fal"),
    "a no that means yes": (lambda: ap.Retry(idempotent="no"), "Retry idempotent must be True or False, not 'no'"),
    "a number for a yes": (lambda: ap.Retry(wait_for_probe=1), "Retry wait_for_probe must be True or False, not 1"),
    "nothing for a no": (lambda: ap.RateLimit(sync_headers=None), "RateLimit sync_headers must be .* not None"),
    "requests as bool": (lambda: ap.RateLimit(requests=True), "RateLimit requests must be a number above 0, not True"),
    "tokens as text": (lambda: ap.RateLimit(tokens="1m"), "RateLimit tokens must be a number above 0, not '1m'"),
    "plural of a window": (lambda: ap.RateLimit(requests=1, per="minutes"), "RateLimit per must be one of.*'minutes'"),
    "half a slot": (lambda: ap.Bulkhead(1.5), "Bulkhead max_in_flight must be a whole number.* not 1.5"),
    "a client as a target": (lambda: ap.Fallback([]), r"Fallback takes model names, ap.target\(client, model\)"),
    "a lifetime as text": (lambda: ap.Cache(ttl="1h"), "Cache ttl must be seconds as a number or timedelta, not str"),
    "one name as a list": (lambda: ap.Cache(ignore="seed"), r'Cache ignore takes a list of names: ignore=\["seed"\]'),
    "ignored numbers": (lambda: ap.Cache(ignore=[3, "seed"]), "Cache ignore takes names of parameters as str, not int"),
    "a word for a yes": (lambda: ap.Cache(tool_calls="yes"), "Cache tool_calls must be True or False, not 'yes'"),
    "a threshold as text": (lambda: ap.SemanticCache(threshold="0.9"), "SemanticCache threshold .* not '0.9'"),
    "a threshold as bool": (lambda: ap.SemanticCache(threshold=True), "SemanticCache threshold .* not True"),
    "a threshold in percent": (lambda: ap.SemanticCache(threshold=90), "SemanticCache threshold .* not 90"),
    "an embedder by name": (lambda: ap.SemanticCache(embedder="minilm"), "SemanticCache embedder .*ap.embedders"),
    "an embedder unmeasured": (
        lambda: ap.SemanticCache(embedder=ap.embedders.of(lambda text: [1.0])),
        "SemanticCache threshold was not measured for .*: give threshold=",
    ),
    "one model as a list": (lambda: ap.Router("gpt-5-mini"), "Router takes a list of models, the cheapest first"),
    "a goal in percent": (lambda: ap.Goal(quality=95), "Goal quality must be above 0 up to 1, not 95"),
    "a goal in words": (lambda: ap.Goal(quality="high"), "Goal quality must be above 0 up to 1, not 'high'"),
    "a goal of nothing": (ap.Goal, "Goal takes exactly one of quality=, cost_share= and max_usd=, not 0"),
    "a budget of nothing": (ap.TokenBudget, r"TokenBudget needs a limit: TokenBudget\(ap.Limit\(usd=5"),
    "a currency": (lambda: ap.TokenBudget(dollars=5), "TokenBudget has no option dollars; see ap.Limit"),
    "a negative limit": (lambda: ap.Limit(usd=-1), "a Limit's usd= is a number of dollars from 0.* not -1"),
    "plural of a day": (lambda: ap.Limit(usd=1, per="days"), "per must be one of minute, hour, day.* not 'days'"),
    "a window that is no number": (lambda: ap.Limit(usd=1, per=math.nan), "per must be .* seconds above 0, not nan"),
    "a part in percent": (lambda: ap.Limit(usd=1, soft=80), "a Limit's soft= is a part above 0 up to 1, .* not 80"),
    "steps as text": (lambda: ap.StepLimit(max_steps="3"), "StepLimit max_steps must be a whole number.* not '3'"),
    "an entity written wrong": (
        lambda: ap.ScrubPII(strategy={"EMAL": "block"}),
        "a strategy is given for 'EMAL', which nothing finds: did you mean 'EMAIL'",
    ),
    "a strategy for nothing": (
        lambda: ap.ScrubPII(output={"WEATHER": "pass"}),
        "a strategy is given for 'WEATHER', which nothing finds: built in are",
    ),
    "an entity that is none": (lambda: ap.ScrubPII(entities=["E-MAIL"]), "unknown entities 'E-MAIL': built in are"),
    "a recogniser alone": (
        lambda: ap.ScrubPII(recognizers=ap.Recognizer.regex("BADGE", "B-[0-9]+")),
        r"recognizers is a list of recognisers: write recognizers=\[",
    ),
    "a score as text": (lambda: ap.ScrubPII(threshold="0.5"), "threshold must be a number from 0.05 to 1, not '0.5'"),
    "values without number": (lambda: ap.ScrubPII(max_values=None), "max_values must be a whole number.* not None"),
    "values for ever": (lambda: ap.ScrubPII(ttl=math.nan), "ScrubPII ttl must be more than 0 seconds, not nan"),
    "an attack as text": (lambda: ap.InjectionGuard(threshold="0.5"), "threshold must be above 0 .* not '0.5'"),
    "a canary of nothing": (lambda: ap.InjectionGuard(canary=None), "canary must be True, False, a word .* not None"),
    "pieces without end": (
        lambda: ap.ContentFilter(print, every=math.inf),
        "every must be a whole number of characters from 1, not inf",
    ),
    "what came before as text": (
        lambda: ap.ContentFilter(print, context="all"),
        "context must be a whole number of characters from 0, not 'all'",
    ),
    "a count as text": (lambda: ap.Rule("cost", ">", 5, min_count="20"), "min_count=. is a whole number.* got '20'"),
    "an end as text": (lambda: ap.Rule("cost", ">", 5, clear_at="3"), "clear_at=. is a number or None, got '3'"),
    "one key for a mapping": (lambda: ap.Rule("cost", ">", 5, where="chat"), "where=. is a mapping, .* got a str"),
    "bytes to scrub": (lambda: ap.scrub(b"x"), "scrub takes a text, not a bytes"),
    "data to mark": (lambda: ap.untrusted({"page": 1}), "untrusted takes a text, not a dict; json.dumps"),
    "a run without a name": (lambda: ap.agent(3), "a run takes a name, a str of at least one character, not 3"),
    "a model that is none": (lambda: ap.Stack().decorate(len, model=5), r"decorate\(model=\) takes a str, not int"),
    "a format that is none": (lambda: ap.Stack().decorate(len, dialect=3), "dialect must be an ap.Dialect .* a int"),
}


@pytest.mark.parametrize(("write", "message"), WRONG.values(), ids=WRONG)
def test_an_option_written_wrong(write: Callable[[], Any], message: str) -> None:
    """It is found when the layer is built, not in the first call at night."""
    with pytest.raises(ap.ConfigError, match=message):
        write()


def test_a_time_to_live_may_be_a_timedelta() -> None:
    """Every option in seconds takes a `timedelta`, that of `ScrubPII` too."""
    ap.ScrubPII(ttl=timedelta(minutes=5))
