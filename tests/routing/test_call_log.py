"""Calls are written down for fitting, scrubbed, and labelled later."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import stat
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

import agentprod as ap
from agentprod.__main__ import main
from agentprod.errors import ConfigError
from agentprod.routing import call_log
from agentprod.routing.call_log import CallLog, feedback
from agentprod.routing.learned import LearnedRouter
from agentprod.routing.log_table import read_log
from tests.callers import MODES, Caller, Script
from tests.routing.recorded import prompt, rows


@pytest.fixture(autouse=True)
def no_other_log() -> Iterator[None]:
    """Leave no log of one test open for the next."""
    gc.collect()
    call_log._open.clear()
    yield
    call_log._open.clear()


def lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def user(text: str) -> dict[str, Any]:
    return {"messages": [{"role": "user", "content": text}]}


def chat(model: str, messages: list[Any]) -> dict[str, Any]:
    """Answer with token counts."""
    usage = {"prompt_tokens": 1000, "completion_tokens": 100}
    message = {"role": "assistant", "content": f"answer of {model} to zhang.wei@example.com"}
    return {"choices": [{"message": message, "finish_reason": "stop"}], "usage": usage}


@pytest.mark.parametrize("mode", MODES)
def test_every_kind_of_call_is_one_line(mode: str, tmp_path: Path) -> None:
    """Sync, async and streaming calls are written when they have ended; failed ones are not."""
    caller = Caller(mode)
    path = tmp_path / "calls.jsonl"
    ask = caller.decorate(ap.Stack(CallLog(path, now=lambda: 12.3456)), Script("x", ValueError()), model="m")
    told = caller.ask(ask, "你好，世界")
    caller.ask(ask, "again")
    (row,) = lines(path)
    assert told.meta is not None
    assert row["id"] == told.meta.request_id
    assert (row["prompt"], row["model"], row["at"]) == ("你好，世界", "m", 12.346)
    assert row.keys() == {"id", "at", "prompt", "model", "seconds"}


def test_a_line_says_what_a_fit_needs(tmp_path: Path) -> None:
    """Prompt, model, dollars, tokens, the router's decision and the caller's own id; no answer unless asked for."""
    path = tmp_path / "calls.jsonl"
    router = ap.Router(["gpt-5-nano", "gpt-5"], stages=[ap.Rules([("prove", "gpt-5")])])
    with ap.context(request_id="mine", user="u1"):
        ap.Stack(CallLog(path), router).decorate(chat)("any", **user("prove it"))
    (row,) = lines(path)
    assert (row["model"], row["policy"], row["request_id"]) == ("gpt-5", "rules", "mine")
    assert (row["input_tokens"], row["output_tokens"]) == (1000, 100)
    assert row["cost"] == pytest.approx(1000 * 1.25e-6 + 100 * 10e-6)
    assert "answer" not in row
    assert "u1" not in path.read_text()
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


def test_legs_of_a_cascade_are_told(tmp_path: Path) -> None:
    """Which models were asked, what their answers failed, and the cost of the one that answered."""
    path = tmp_path / "calls.jsonl"
    cascade = ap.Cascade(["gpt-5-nano", "gpt-5"], checks=[lambda answer: "nano" not in answer.text])
    ap.Stack(CallLog(path), cascade).decorate(chat)("any", **user("q"))
    (row,) = lines(path)
    assert row["model"] == "gpt-5"
    assert row["legs"] == [{"model": "gpt-5-nano", "accepted": False, "failed": ["<lambda>"]}]
    assert row["checks"] == {"<lambda>": 1.0}
    assert row["cost"] == pytest.approx(0.00225)
    assert row["input_tokens"] == 2000


def test_personal_data_is_taken_out(tmp_path: Path) -> None:
    """Without a scrubber the built-in rules go over question and answer; with one, what it published is written."""
    path = tmp_path / "calls.jsonl"
    text = "我的邮箱是 zhang.wei@example.com"
    ap.Stack(CallLog(path, answers=True)).decorate(chat)("m", **user(text))
    ap.Stack(CallLog(path, answers=True), ap.ScrubPII()).decorate(chat)("m", **user(text))
    ap.Stack(ap.ScrubPII(), CallLog(path, answers=True)).decorate(chat)("m", **user(text))
    found = lines(path)
    assert len(found) == 3
    assert "example.com" not in path.read_text(encoding="utf-8")
    assert all("我的邮箱是" in row["prompt"] for row in found)
    assert all(row["answer"].startswith("answer of m to") for row in found)


def test_hits_and_refusals_are_not_written(tmp_path: Path) -> None:
    """A call without an attempt says nothing about a model."""
    path = tmp_path / "calls.jsonl"
    ask = ap.Stack(CallLog(path), ap.Cache()).decorate(chat)
    ask("m", **user("q"))
    ask("m", **user("q"))
    assert len(lines(path)) == 1


def test_a_share_of_the_calls_can_be_written(tmp_path: Path) -> None:
    """A sample takes about that share."""
    path = tmp_path / "calls.jsonl"
    ask = ap.Stack(CallLog(path, sample=0.25)).decorate(chat)
    for number in range(200):
        ask("m", **user(str(number)))
    assert 20 <= len(lines(path)) <= 85
    none = tmp_path / "none.jsonl"
    ap.Stack(CallLog(none, sample=0)).decorate(chat)("m", **user("q"))
    assert not none.exists()


def test_lines_of_many_threads_do_not_mix(tmp_path: Path) -> None:
    """Every line is one append."""
    path = tmp_path / "calls.jsonl"
    asks = [ap.Stack(CallLog(path)).decorate(chat) for _ in range(4)]

    def work(ask: Callable[..., Any]) -> None:
        for number in range(25):
            ask("m", **user(f"{number} " + "长" * 3000))

    threads = [threading.Thread(target=work, args=(ask,)) for ask in asks]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(lines(path)) == 100


def test_a_line_that_cannot_be_written_costs_no_call(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A full or vanished disk is logged, without the prompt."""
    path = tmp_path / "sub" / "calls.jsonl"
    path.parent.mkdir()
    ask = ap.Stack(CallLog(path)).decorate(chat)
    path.parent.rmdir()
    with caplog.at_level(logging.WARNING, "agentprod"):
        assert ask("m", **user("secret words"))
    assert "CallLog could not write to calls.jsonl" in caplog.text
    assert "secret words" not in caplog.text


def test_lone_surrogates_are_written(tmp_path: Path) -> None:
    """Text that has no UTF-8 form does not stop the log."""
    path = tmp_path / "calls.jsonl"
    ap.Stack(CallLog(path)).decorate(chat)("m", **user("broken \ud800 text"))
    assert "broken" in lines(path)[0]["prompt"]


def test_feedback_finds_its_call(tmp_path: Path) -> None:
    """By the result, its meta, the id, or an id of one's own; the log that wrote the call gets the label."""
    path, other = tmp_path / "calls.jsonl", tmp_path / "other.jsonl"
    log, unused = CallLog(path), CallLog(other)
    ask = ap.Stack(log).decorate(chat)
    ids = []
    for number, text in enumerate("abcd"):
        with ap.context(request_id=f"mine{number}"):
            ask("m", **user(text))
        meta = ap.last()
        assert meta is not None
        ids.append(meta.request_id)
        if number == 0:
            feedback(meta, score=0.5)
    feedback(ids[1], correct=True)
    feedback("mine2", correct=False)
    assert not other.exists()
    table = read_log(path)
    assert [example.prompt for example in table.examples] == ["a", "b", "c"]
    assert table.scores[:, 0].tolist() == [0.5, 1.0, 0.0]
    assert table.unlabelled == 1
    feedback("of-another-process", score=1, log=unused)
    assert lines(other)[0]["feedback"] == "of-another-process"


def test_feedback_on_a_result_that_carries_its_account(tmp_path: Path) -> None:
    """What a function returns as an object can be judged itself."""

    class Result:
        text = "x"

    path = tmp_path / "calls.jsonl"
    log = CallLog(path)

    @ap.Stack(log)
    def ask(prompt: str, model: str = "m") -> Result:
        return Result()

    ap.feedback(ask("q"), score=1)
    assert [row.get("feedback") is not None for row in lines(path)] == [False, True]


@pytest.mark.parametrize(
    ("result", "options", "said"),
    [
        ("id", {}, "exactly one"),
        ("id", {"score": 1, "correct": True}, "exactly one"),
        ("id", {"score": 1.1}, "from 0 to 1"),
        ("id", {"score": float("nan")}, "from 0 to 1"),
        ("id", {"score": True}, "from 0 to 1, not True"),
        ("id", {"score": "good"}, "not 'good'"),
        ("id", {"correct": 1}, "True or False, not int"),
        ("an answer", {"score": 1}, "not an answer's text"),
        ("", {"score": 1}, "not an answer's text"),
        ("x" * 200, {"score": 1}, "not an answer's text"),
        (object(), {"score": 1}, "nothing is known of this object"),
        ("id", {"score": 0}, "no CallLog is open"),
    ],
)
def test_feedback_that_cannot_be_meant_is_an_error(result: Any, options: dict[str, Any], said: str) -> None:
    """Scores out of range, texts instead of ids, and feedback without any log are told."""
    with pytest.raises(ConfigError, match=said):
        feedback(result, **options)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"sample": 1.5}, "share from 0 to 1"),
        ({"sample": True}, "share from 0 to 1"),
        ({"path": "none/x.jsonl"}, "folder of x.jsonl"),
        ({"path": "."}, "is a folder"),
    ],
)
def test_bad_options_are_errors(options: dict[str, Any], said: str, tmp_path: Path) -> None:
    """Options out of range are refused when it is built."""
    options = dict(options)
    with pytest.raises(ConfigError, match=said):
        CallLog(
            **{
                "path": tmp_path / "x.jsonl",
                **options,
                **({"path": tmp_path / options["path"]} if "path" in options else {}),
            }
        )


def test_what_was_remembered_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Ids of calls are kept for feedback, a bounded number of them."""
    monkeypatch.setattr(call_log, "_MOST_IDS", 3)
    log = CallLog(tmp_path / "calls.jsonl")
    ask = ap.Stack(log).decorate(chat)
    for text in "abcde":
        ask("m", **user(text))
    rows_ = lines(log.path)
    assert [log.knows(row["id"]) for row in rows_] == [False, False, True, True, True]


def test_from_calls_to_a_router(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Log calls, label them, fit with the command, route with the file: the whole way."""
    path, output = tmp_path / "calls.jsonl", tmp_path / "router.npz"
    ask = ap.Stack(CallLog(path), prices=lambda provider, model, usage: {"small": 1, "large": 20}[str(model)]).decorate(
        chat
    )
    for row in rows(150):
        for model in ("small", "large"):
            ask(model, **user(row["prompt"]))
            ap.feedback(ap.last(), score=row["scores"][model])
    assert main(["router", "report", str(path)]) == 0
    assert main(["router", "fit", str(path), "-o", str(output)]) == 0
    said = capsys.readouterr().out
    assert "150 prompts" in said
    assert LearnedRouter.load(output).models == ("small", "large")
    router = ap.Router(["small", "large"], stages=[ap.Learned(output)], goal=ap.Goal(quality=0.8))
    assert router.decide(prompt(4)).model == "large"
    assert router.decide(prompt(0)).model == "small"


def test_async_calls_are_written_in_their_loop(tmp_path: Path) -> None:
    """Many tasks at once write as many lines."""
    path = tmp_path / "calls.jsonl"

    async def asynchronous(model: str, messages: list[Any]) -> dict[str, Any]:
        await asyncio.sleep(0)
        return chat(model, messages)

    async def scenario() -> None:
        ask = ap.Stack(CallLog(path)).decorate(asynchronous)
        await asyncio.gather(*(ask("m", **user(str(number))) for number in range(20)))

    asyncio.run(scenario())
    assert {row["prompt"] for row in lines(path)} == {str(number) for number in range(20)}
    assert os.path.getsize(path) > 0


def test_a_stack_shows_its_log(tmp_path: Path) -> None:
    """The file's name and what differs from the defaults stand in the stack's text; the folder does not."""
    path = tmp_path / "calls.jsonl"
    assert repr(CallLog(path)) == "CallLog(path='calls.jsonl')"
    assert repr(CallLog(path, answers=True, sample=0.5)) == "CallLog(path='calls.jsonl', answers=True, sample=0.5)"


def test_calls_without_a_question_are_not_written(tmp_path: Path) -> None:
    """There is nothing to learn from an empty prompt, nor from vectors."""
    path = tmp_path / "calls.jsonl"
    ap.Stack(CallLog(path)).decorate(chat)("m", messages=[])
    assert not path.exists()
