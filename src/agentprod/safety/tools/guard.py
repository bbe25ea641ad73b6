"""The guard between a model and its tools: what is not allowed does not run."""

from __future__ import annotations

import dataclasses
import inspect
import json
from collections import Counter
from collections.abc import Awaitable, Callable, Iterable, Mapping
from datetime import timedelta
from fnmatch import fnmatchcase
from time import monotonic
from typing import Any

from agentprod.errors import ConfigError
from agentprod.identity import seconds
from agentprod.runs import ToolCall, current_run
from agentprod.runtime.drive import drive
from agentprod.runtime.offload import in_thread
from agentprod.runtime.together import await_together, await_within, on_threads, within
from agentprod.safety.pii.scrub import scrub
from agentprod.safety.tools.admission import Admission, Denied
from agentprod.safety.tools.decisions import Asked, Request, ToolDecision, canonical, digest_of
from agentprod.safety.tools.limits import Rate, Rates
from agentprod.safety.tools.tool import Risk, Tool
from agentprod.safety.tools.turns import Done, definition, turn_of

__all__ = ["Approve", "ToolGuard"]

Approve = Callable[[Request], Any]
"""Takes a request and returns, or awaits and returns: `True` or the request's own `digest` to allow it; other arguments
to run with (they are validated again); anything else to deny it."""

Audit = Callable[..., object]
"""Called as `audit(event, data, arguments=text)`; `AuditLog.append` is one."""


class ToolGuard:
    """Runs the tools a model asks for, if they may run.

    Denied by default: a tool that is not listed, for this agent or at all; arguments that are too large, nested too
    deep, no JSON, or do not fit the schema; calls beyond a rate; tools of high risk without approval. What is denied is
    answered with an error that the model can read, so that it may do better.

    ```python
    guard = ap.ToolGuard([search, send_email], approve=ask_a_human, rate={"send_email": "5/hour"})
    messages = [{"role": "user", "content": "…"}]
    while True:
        reply = client.chat.completions.create(model=…, messages=messages, tools=guard.openai)
        turn = guard.run(reply)
        if not turn:
            break
        messages += turn
    ```

    Args:
        tools: what may be called: functions, or tools made with `@ap.tool`.

        approve: asked before a tool of high risk runs; see `Approve`. What was approved is what runs: the arguments are
            copied before, and bound by their SHA-256. Without it, such tools never run.

        approve_risk: the lowest risk that needs approval: `"low"`, `"medium"` or `"high"`. A call whose arguments quote
            untrusted text counts one step higher.

        approve_timeout: seconds to wait for an approval; no answer is a denial.

        max_bytes: most bytes of one call's arguments.

        max_depth: deepest nesting of them.

        rate: how often tools may be called: `"100/minute"` for all together, or by name, `"*"` for each other one.

        max_calls: most calls of a tool in one run (`ap.agent`) and the runs within it, or of this guard where there is
            no run; by name.

        agents: which tools an agent may call, by the name of its run; names may hold `*`. An agent that is not listed
            may call none.

        timeout: seconds one call may take, where the tool says nothing itself. A synchronous tool that takes longer
            runs on without anybody waiting.

        parallel: how many calls of one reply run at a time.

        audit: gets a line before a call runs and for each denial, such as `AuditLog.append`. When it fails, the call
            does not run.

        now: monotonic clock of the rates, in seconds.

    Raises:
        ConfigError: an option cannot work, or two tools share a name.
    """

    def __init__(
        self,
        tools: Iterable[Tool[..., Any] | Callable[..., Any]],
        *,
        approve: Approve | None = None,
        approve_risk: Risk = "high",
        approve_timeout: float | timedelta = 300,
        max_bytes: int = 100_000,
        max_depth: int = 20,
        rate: Rate | Mapping[str, Rate] | None = None,
        max_calls: Mapping[str, int] | None = None,
        agents: Mapping[str, Iterable[str]] | None = None,
        timeout: float | timedelta | None = None,
        parallel: int = 8,
        audit: Audit | None = None,
        now: Callable[[], float] = monotonic,
    ) -> None:
        if not isinstance(tools, Iterable):
            raise ConfigError(f"tools must be a list of tools and functions, not {type(tools).__name__}")
        made = [each if isinstance(each, Tool) else Tool(each) for each in tools]
        twice = [name for name, count in Counter(each.name for each in made).items() if count > 1]
        if twice:
            raise ConfigError(f"two tools are named {', '.join(twice)}: a name must mean one tool")
        self._tools = {each.name: each for each in made}
        if approve is not None and not callable(approve):
            raise ConfigError(f"approve must be callable: (request) -> bool, not {type(approve).__name__}")
        if audit is not None and not callable(audit):
            raise ConfigError(f"audit must be callable, as ap.AuditLog(path).append is, not {type(audit).__name__}")
        if isinstance(parallel, bool) or not isinstance(parallel, int) or parallel < 1:
            raise ConfigError(f"parallel must be a whole number of at least 1, not {parallel!r}")
        most_calls = _most_calls(max_calls)
        for name in [*(rate if isinstance(rate, Mapping) else ()), *most_calls]:
            if name != "*" and name not in self._tools:
                raise ConfigError(f"there is no tool {name!r} to limit; tools are {', '.join(self._tools) or 'none'}")
        self._approve = approve
        self._approve_timeout = seconds(approve_timeout, "approve_timeout")
        self._timeout = None if timeout is None else seconds(timeout, "timeout")
        self._parallel = parallel
        self._audit = audit
        self._agents = _tools_of_agents(agents)
        self._admission = Admission(
            self._tools,
            may=self._may,
            rates=Rates(rate, now),
            max_calls=most_calls,
            max_bytes=max_bytes,
            max_depth=max_depth,
            approve_risk=approve_risk,
        )

    # For requests. They are dictionaries; `Any`, as type checkers know each SDK's own kind of them and no other.

    @property
    def openai(self) -> list[Any]:
        """The tools as OpenAI's chat takes them: those that the agent of the run in force may call."""
        return self._definitions("openai")

    @property
    def responses(self) -> list[Any]:
        """The tools as OpenAI's responses take them."""
        return self._definitions("responses")

    @property
    def anthropic(self) -> list[Any]:
        """The tools as Anthropic's messages take them."""
        return self._definitions("anthropic")

    def _definitions(self, form: str) -> list[dict[str, Any]]:
        run = current_run()
        agent = None if run is None else run.name
        return [definition(each, form) for each in self._tools.values() if self._may(agent, each.name)]

    def _may(self, agent: str | None, tool: str) -> bool:
        if self._agents is None:
            return True
        return any(fnmatchcase(tool, pattern) for pattern in self._agents.get(agent or "", ()))

    # For replies

    def run(self, response: Any, *, untrusted: Iterable[str] = ()) -> list[Any]:
        """Run the tools that a reply asks for, and return the messages to add to the history.

        Args:
            response: a chat completion, a response or a message; of the SDK, or as JSON.

            untrusted: texts from outside that the model has seen; a call that quotes one counts as riskier.

        Returns:
            The reply itself and the results, in the form of its provider; nothing when it asks for no tool.

        Raises:
            ConfigError: the reply is of no known form, or a tool must be awaited: use `arun`.
        """
        turn = turn_of(response)
        if not turn.calls:
            return []
        quoted = tuple(untrusted)
        for asked in turn.calls:
            known = self._tools.get(asked.name)
            if known is not None and known.is_async:
                raise ConfigError(f"tool {asked.name} must be awaited: use `await guard.arun(reply)`")
        jobs = [lambda asked=asked: drive(self._handle(asked, quoted, _Threads())) for asked in turn.calls]
        return turn.messages(on_threads(jobs, self._parallel))

    async def arun(self, response: Any, *, untrusted: Iterable[str] = ()) -> list[Any]:
        """Like `run`, for tools and approvals that are awaited; synchronous ones run on threads.

        Args:
            response: see `run`.

            untrusted: see `run`.
        """
        turn = turn_of(response)
        if not turn.calls:
            return []
        quoted = tuple(untrusted)
        jobs = [lambda asked=asked: self._handle(asked, quoted, _Loop()) for asked in turn.calls]
        return turn.messages(await await_together(jobs, self._parallel))

    async def _handle(self, asked: Asked, untrusted: tuple[str, ...], runner: _Runner) -> Done:
        """Answer one call. Whatever happens, the model gets an answer, or its next request is malformed."""
        run = current_run()
        agent = None if run is None else run.name
        listed = self._tools.get(asked.name)
        with ToolCall(listed.name if listed else "unlisted", call_id=asked.id, arguments=asked.arguments) as running:
            try:
                request = self._admission.admit(asked, agent, run, untrusted)
                request, approved = await self._approved(request, runner)
                self._record(ToolDecision(asked.name, True, "allowed", asked.id, request.risk, approved), request)
            except Denied as denied:
                running.fail(denied.reason)
                decision = ToolDecision(
                    asked.name, False, denied.reason, asked.id, listed.risk if listed else None, False, str(denied)
                )
                if denied.reason != "audit_failed":
                    self._record_denial(decision)
                return Done(asked, _error(str(denied)), True)
            tool = self._tools[request.tool]
            try:
                keywords = tool.keywords(request.arguments)
                limit = tool.timeout if tool.timeout is not None else self._timeout
                result = await runner.call(tool, keywords, limit)
                content = _text(result)
            except TimeoutError:
                running.fail("timeout")
                return Done(asked, _error(f"{tool.name} took too long and was given up"), True)
            except Exception as error:
                running.fail(type(error).__name__)
                return Done(asked, _error(f"{tool.name} failed: {type(error).__name__}: {str(error)[:500]}"), True)
            running.result = result
            return Done(asked, content, False)

    async def _approved(self, request: Request, runner: _Runner) -> tuple[Request, bool]:
        if not self._admission.needs_approval(request):
            return request, False
        if self._approve is None:
            raise Denied("needs_approval", f"{request.tool} needs an approval, and nobody here can give one")
        # The callback gets a copy: whatever it does to it, what was asked about is what runs.
        shown = dataclasses.replace(request, arguments=json.loads(json.dumps(request.arguments)))
        failure = ""
        answer: Any = None
        try:
            answer = await runner.ask(self._approve, shown, self._approve_timeout)
        except TimeoutError:
            raise Denied(
                "approval_timeout", f"nobody approved {request.tool} within {self._approve_timeout:g} seconds"
            ) from None
        except Exception as error:
            failure = type(error).__name__
        if failure:
            raise Denied("approval_failed", f"asking for the approval of {request.tool} failed with {failure}")
        if isinstance(answer, Mapping):
            return self._admission.edited(request, answer), True
        if answer is True:
            answer = digest_of(shown.tool, shown.arguments)
        if isinstance(answer, str):
            if answer == request.digest:
                return request, True
            raise Denied("changed", f"the arguments of {request.tool} are not those that were approved")
        raise Denied("denied", f"{request.tool} was not approved")

    def _record(self, decision: ToolDecision, request: Request) -> None:
        failure = ""
        try:
            self._tell(decision, canonical(request.tool, request.arguments))
        except Exception as error:
            failure = type(error).__name__
        if failure:
            raise Denied("audit_failed", f"{request.tool} cannot be put on record ({failure}), so it does not run")

    def _record_denial(self, decision: ToolDecision) -> None:
        try:
            self._tell(decision, "")
        except Exception:  # nothing runs either way
            return

    def _tell(self, decision: ToolDecision, arguments: str) -> None:
        if self._audit is None:
            return
        data: dict[str, Any] = {"reason": decision.reason}
        # A model may write anything into a name that is not listed, and into an id.
        for name, text in (("tool", decision.tool), ("call_id", decision.call_id)):
            data[name] = text if text in self._tools else scrub(text[:64], strategy="redact").text
        if decision.risk is not None:
            data |= {"risk": decision.risk, "approved": decision.approved}
        content = {"arguments": arguments} if arguments else {}
        self._audit("tool.allowed" if decision.allowed else "tool.denied", data, **content)

    def __repr__(self) -> str:
        return f"ToolGuard([{', '.join(self._tools)}])"


class _Threads:
    """Runs tools and approvals in a synchronous call."""

    async def call(self, tool: Tool[..., Any], keywords: Mapping[str, Any], limit: float | None) -> Any:
        return within(lambda: tool.fn(**keywords), limit)

    async def ask(self, approve: Approve, request: Request, limit: float) -> Any:
        answer = within(lambda: approve(request), limit)
        if inspect.isawaitable(answer):
            close = getattr(answer, "close", None)
            if callable(close):
                close()
            raise ConfigError("approve must be awaited: use `await guard.arun(reply)`")
        return answer


class _Loop:
    """Runs them in the running loop; what is synchronous goes to threads."""

    async def call(self, tool: Tool[..., Any], keywords: Mapping[str, Any], limit: float | None) -> Any:
        work: Awaitable[Any] = tool.fn(**keywords) if tool.is_async else in_thread(tool.fn, **keywords)
        return await await_within(work, limit)

    async def ask(self, approve: Approve, request: Request, limit: float) -> Any:
        if inspect.iscoroutinefunction(approve):
            return await await_within(approve(request), limit)

        async def asked() -> Any:
            answer = await in_thread(approve, request)
            return await answer if inspect.isawaitable(answer) else answer

        return await await_within(asked(), limit)


_Runner = _Threads | _Loop


def _error(message: str) -> str:
    return json.dumps({"error": message}, ensure_ascii=False)


def _text(result: Any) -> str:
    if isinstance(result, str):
        return result
    dump = getattr(result, "model_dump_json", None)
    if callable(dump) and not isinstance(result, type):
        return str(dump())
    if dataclasses.is_dataclass(result) and not isinstance(result, type):
        result = dataclasses.asdict(result)
    return json.dumps(result, ensure_ascii=False, default=str)


def _most_calls(given: Mapping[str, int] | None) -> dict[str, int]:
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        raise ConfigError(f'max_calls must be by name, such as {{"send_email": 3}}, not {type(given).__name__}')
    for name, most in given.items():
        if isinstance(most, bool) or not isinstance(most, int) or most < 0:
            raise ConfigError(f"max_calls of {name} must be a whole number of at least 0, not {most!r}")
    return dict(given)


def _tools_of_agents(given: Mapping[str, Iterable[str]] | None) -> dict[str, tuple[str, ...]] | None:
    if given is None:
        return None
    # A text is an iterable of its letters, which would forbid everything.
    if not isinstance(given, Mapping) or any(isinstance(names, str) for names in given.values()):
        raise ConfigError('agents must map the names of runs to lists of tools: agents={"clerk": ["read_*"]}')
    return {agent: tuple(names) for agent, names in given.items()}
