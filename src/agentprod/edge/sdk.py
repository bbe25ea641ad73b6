"""Both edges of a wrapped SDK client: its requests in and out, its responses back and decoded."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from agentprod.call import Call, Target
from agentprod.dialects.sse import dump
from agentprod.edge.bodies import Upload, is_raw, with_json
from agentprod.edge.dialects import OTHER_ONCE, OTHER_READ, OTHER_TEXT, dialect_for, other_for
from agentprod.edge.http_stream import AsyncHttpSource, HttpSource, http_module, stream_response, whole_response
from agentprod.edge.limits import MOST_TARGETS, first_limit, sdk_timeout
from agentprod.edge.origin import Origin, origin_of
from agentprod.edge.plain import plain, wire_request
from agentprod.edge.sdk_errors import SdkErrors
from agentprod.edge.sdk_options import copied, variant, with_header
from agentprod.edge.sockets import SocketWatch, shut_down, socket_of
from agentprod.edge.undecoded import Undecoded
from agentprod.edge.usage_event import HideUsage
from agentprod.edge.watched import watched
from agentprod.lateness import late
from agentprod.meta import attach
from agentprod.reply import Reply, make_reply
from agentprod.stream import EventStream

if TYPE_CHECKING:
    from collections.abc import Callable

    from agentprod.ambient import Ambient
    from agentprod.edge.entry import Entry
    from agentprod.edge.sdk_io import ClientIO
    from agentprod.ledger import Attempt, Ledger
    from agentprod.stream import Source

__all__ = ["SdkEdge"]

_as_made: Any = super
"""With the class that has our overrides: the client as the SDK made it, whoever else has put something around that."""
_NO_COUNTS = (OTHER_READ, None, None)


class SdkEdge:
    """The edges of one wrapped client.

    Args:
        client: the wrapped copy.

        owner: the class in its MRO whose overrides are ours; the SDK's methods lie behind it.

        io: its sync or async operations.

        provider: what its provider is called in spans and prices.
    """

    def __init__(self, client: Any, owner: type, io: ClientIO, provider: str) -> None:
        self.io = io
        self.provider = provider
        self._owner = owner
        self._awaits = io.kind == "async"
        self._http = http_module(client)
        self.errors = SdkErrors(sys.modules[_sdk_class(type(client)).__module__.partition(".")[0]], self._http, io)
        self._targets: tuple[Any, Any, dict[str | None, Target]] = (self, self, {})
        self._no_usage: set[str] = set()

    # Outer edge, on the way in

    def enter(
        self, entry: Entry, here: Ambient, client: Any, cast_to: Any, options: Any, stream: bool, stream_cls: Any
    ) -> Call:
        """Open a call.

        Raises:
            ConfigError: a model call whose body no layer can read.
        """
        origin = origin_of(client, cast_to, options, stream, stream_cls)
        asked = origin.asked
        dialect = dialect_for(asked["method"], asked["url"])
        request: dict[str, Any] = {}
        if dialect is not None:
            request = wire_request(asked)
            if not request and is_raw(asked):
                return self.enter(entry, here, client, cast_to, with_json(options), stream, stream_cls)
            if stream and entry.needs_usage and not dialect.asks_usage(request):
                origin.hides_usage = True
        spoken = dialect
        if spoken is None:
            spoken = other_for(asked["method"], asked["url"])
            if spoken is OTHER_TEXT:
                request = wire_request(asked)
            if not request and spoken is not OTHER_READ:
                origin.upload = Upload(asked)
                spoken = OTHER_ONCE if origin.upload.once else spoken
        origin.request = request
        target = self.target(client, spoken.model(request))
        open_call = entry.open_async if self._awaits else entry.open_sync
        call = open_call(here, stream and dialect is not None, spoken, target, request, origin)
        state = client.__dict__
        given = hasattr(asked["headers"], "items") or asked["params"]
        if given or state.get("_custom_headers") or state.get("_custom_query"):
            call.variant = variant(state, asked)
        return call

    def target(self, client: Any, model: str | None) -> Target:
        """Return the target of a model at this client's address, under its credential."""
        state = client.__dict__
        url, key = state.get("_base_url"), state.get("api_key") or state.get("auth_token")
        known_url, known_key, targets = self._targets
        if url is not known_url or key is not known_key or len(targets) >= MOST_TARGETS:
            # The first call, a copy with options of its own, or somebody assigned another address or key.
            targets = {}
            self._targets = (url, key, targets)
        found = targets.get(model)
        if found is None:
            base = str(client.base_url)
            found = targets[model] = Target(self.provider, base, model, self, _fingerprint(key), None, self.io.kind)
        return found

    # Inner edge

    async def send(self, call: Call, attempt: Attempt) -> Reply:
        """Send one attempt through the SDK and hold its decoding back."""
        origin: Origin = call.origin
        request = call.request
        injected = origin.hides_usage and call.target.endpoint not in self._no_usage
        if injected and request is origin.request:
            request = call.dialect.ask_usage(request)
        until, phase = first_limit(call)
        while True:
            try:
                if until is None:
                    sent = self._request(call, origin.client, request, attempt)
                    carrier = await sent if self._awaits else sent
                else:
                    carrier = await self._request_until(call, origin.client, request, until, phase, attempt)
                break
            except Exception as error:
                if not (injected and _refuses_usage(error)):
                    raise
                self._no_usage.add(call.target.endpoint)
                call.ledger.flag("usage_not_offered")
                injected, request = False, call.request
        if not isinstance(carrier, Undecoded):
            return make_reply(call, carrier, plain)
        response = carrier.response
        if not hasattr(response, "_content") and _is_to_be_read(call):
            await self._read(response)
        attempt.status = response.status_code
        attempt.headers = response.headers
        if call.streaming:
            return await self._open(call, carrier, until, phase, attempt)
        if call.dialect.operation == "other":
            reply = make_reply(call, carrier, _json_if_any)
            reply.accounts = _NO_COUNTS
        else:
            reply = make_reply(call, carrier, _json)
            # The bytes alone: an account that held the response would keep all of it alive beside the result.
            reply.accounts = (call.dialect, json.loads, response.content)
        return reply

    def _request(
        self,
        call: Call,
        client: Any,
        request: Any,
        attempt: Attempt,
        until: float | None = None,
        watch: SocketWatch | None = None,
    ) -> Any:
        """Return what the SDK's own `request` answers: of an async client, an awaitable."""
        origin: Origin = call.origin
        asked = origin.asked
        options = copied(origin.options)
        said = options.__dict__
        said["post_parser"] = marker = Undecoded()  # without an `__init__`, like a call
        marker.alone = True
        marker.post_parser = asked["post_parser"]
        marker.until = until
        marker.now = call.runtime.now
        marker.watch = watch
        if asked["idempotency_key"] is None and asked["method"].lower() != "get":
            # The same for all attempts, so that they are recognisable as one request where a provider honours it;
            # where no header carries it, the SDK would mint one that nobody sees.
            said["idempotency_key"] = call.ledger.id if getattr(client, "_idempotency_header", None) else ""
        if request or call.dialect.operation != "other":
            said["json_data"] = request
            said["extra_json"] = None
        if call.ledger.environment.own_retries:
            said["max_retries"] = 0
            if attempt.number > 1:
                if call.dialect.operation == "other":
                    origin.rewind()
                said["headers"] = with_header(asked["headers"], "x-stainless-retry-count", str(attempt.number - 1))
        if until is not None:
            said["timeout"] = sdk_timeout(client, asked["timeout"], until - marker.now())
        return _as_made(self._owner, client).request(
            origin.cast_to, options, stream=origin.stream, stream_cls=origin.stream_cls
        )

    async def _request_until(
        self, call: Call, client: Any, request: Any, until: float, phase: str, attempt: Attempt
    ) -> Any:
        watch, alarm = None, call.runtime.alarm()
        if not self._awaits:
            client, watch = watched(client), SocketWatch()
            alarm.abort = watch.abort
        try:
            alarm.enter(until)
            sent = self._request(call, client, request, attempt, until, watch)
            carrier = await sent if self._awaits else sent
            if type(carrier) is Undecoded and not hasattr(carrier.response, "_content") and _is_to_be_read(call):
                await self._read(carrier.response)
        except BaseException as error:
            if alarm.claims(error) or (isinstance(error, Exception) and _timed_out(error, call, until)):
                raise late(phase, call.target, call.limits) from self.errors.as_timeout(error)
            raise
        finally:
            alarm.close()
        if alarm.fired:
            raise late(phase, call.target, call.limits) from self.errors.timeout(None)
        return carrier

    async def _read(self, response: Any) -> None:
        try:
            await self.io.read(response)
        except Exception as error:
            raise self.errors.transport(error, response.request) from error

    async def _open(self, call: Call, carrier: Undecoded, until: float | None, phase: str, attempt: Attempt) -> Reply:
        limits = call.limits
        alarm = None
        if until is not None or limits.idle is not None or limits.stream_until is not None:
            alarm = call.runtime.alarm()
            sock = socket_of(carrier.response.extensions.get("network_stream"))
            if sock is not None:
                alarm.abort = lambda: shut_down(sock)
        source: Source = (AsyncHttpSource if self._awaits else HttpSource)(self, carrier)
        retell = call.origin.retell
        if retell is not None:
            source, call = retell(source)
        stream = EventStream(source, call, alarm=alarm)
        stream.attempt = attempt
        reply = make_reply(call, carrier if retell is None else None, stream=stream)
        try:
            await stream.open(until, phase, whole=call.ledger.environment.buffer)
        except GeneratorExit:
            stream.drop()
            raise
        except BaseException:
            await stream.close("failed")
            raise
        return reply

    # Outer edge, on the way out

    def leave(self, call: Call, reply: Reply) -> Any:
        """Return the reply as the SDK method would have: of an async client, an awaitable."""
        origin: Origin = call.origin
        native = reply.native
        carrier = native if type(native) is Undecoded and reply.call.target.edge is self else None
        if carrier is not None and reply.stream is None and not reply.edited:
            arguments = carrier.arguments
        elif native is not None and type(native) is not Undecoded and reply.stream is None and not reply.edited:
            # The client's own middleware answered with a finished object.
            return self.io.attached(native, call.ledger)
        else:
            arguments = self._arguments(call, reply, origin, carrier)
        attempts = len(call.ledger.attempts)
        if attempts > 1:
            arguments = {**arguments, "retries_taken": arguments.get("retries_taken", 0) + attempts - 1}
        if hasattr(origin.asked["headers"], "items"):
            # A raw response, asked for by a header, is parsed when its owner likes; its result speaks of the call, too.
            # The options are a copy of our own: nobody else watches them change.
            arguments["options"].__dict__["post_parser"] = _attaching(origin.asked["post_parser"], call.ledger)
        sdk = _as_made(self._owner, origin.client)
        return self.io.decode(sdk, arguments, None if carrier is None else carrier.chained, call.ledger)

    def _arguments(self, call: Call, reply: Reply, origin: Origin, carrier: Undecoded | None) -> dict[str, Any]:
        """Return what the SDK decodes a reply with that is a stream, was edited, or came from elsewhere."""
        response = self._answer(call, reply, origin, carrier)
        if carrier is not None:
            return {**carrier.arguments, "response": response}
        options = copied(origin.options)
        return {
            "cast_to": origin.client._maybe_override_cast_to(origin.cast_to, options),
            "options": options,
            "response": response,
            "stream": origin.stream,
            "stream_cls": origin.stream_cls,
            "retries_taken": 0,
        }

    def _answer(self, call: Call, reply: Reply, origin: Origin, carrier: Undecoded | None) -> Any:
        sent = reply.native if type(reply.native) is Undecoded else None
        # Another client's reply in the same wire format is as good as ours, if its HTTP library is ours too.
        answer = sent.response if sent is not None and isinstance(sent.response, self._http.Response) else None
        request = carrier.response.request if carrier is not None else self._unsent(origin)
        if reply.stream is not None:
            if origin.hides_usage or (carrier is None and not call.dialect.asks_usage(origin.request)):
                reply.stream.add(HideUsage(call.dialect))
            return stream_response(self._http, reply.stream, request, answer, is_async=self._awaits)
        content = dump(reply.body) if answer is None or reply.edited else answer.content
        return whole_response(self._http, content, request, answer)

    def _unsent(self, origin: Origin) -> Any:
        """Return the request of a reply that nobody was asked for: no credentials, no body."""
        headers = origin.options.headers
        given = headers.items() if hasattr(headers, "items") else ()
        return self._http.Request(
            origin.options.method.upper(),
            str(origin.client._prepare_url(origin.options.url)),
            headers={name: value for name, value in given if isinstance(value, str)},
        )


def _is_to_be_read(call: Call) -> bool:
    """Whether layers may look at the body of the reply, and it is no stream."""
    return not call.origin.stream and call.dialect.operation != "other"


def _timed_out(error: Exception, call: Call, until: float | None) -> bool:
    """Whether the SDK's own timer, set to our limit, came first."""
    names = {cls.__name__ for cls in type(error).__mro__}
    return "APITimeoutError" in names and until is not None and call.runtime.now() >= until - 0.05


def _sdk_class(kind: type) -> type:
    """Return the class in the MRO that the SDK itself defines last before its base client."""
    for cls in kind.__mro__:
        if cls.__name__ in ("SyncAPIClient", "AsyncAPIClient"):
            return cls
    raise TypeError(kind)


def _attaching(parse: Any, ledger: Ledger) -> Callable[[Any], Any]:
    def post_parser(parsed: Any) -> Any:
        made = parse(parsed) if callable(parse) else parsed
        attach(made, ledger)
        return made

    return post_parser


def _fingerprint(key: Any) -> str:
    if isinstance(key, str):
        import hashlib

        return hashlib.blake2b(key.encode("utf-8", "surrogatepass"), digest_size=8, person=b"agentprod-key").hexdigest()
    return "" if key is None else f"callable-{id(key):x}"


def _json(carrier: Undecoded) -> Any:
    try:
        return carrier.response.json()
    except ValueError:  # a page of a proxy, an empty 204: the caller's SDK returns its text, or says what is wrong
        return carrier.response.text


def _json_if_any(carrier: Undecoded) -> Any:
    try:
        return carrier.response.json()
    except Exception:  # a file, a stream that is not read yet: nothing a layer could look at
        return None


def _refuses_usage(error: Exception) -> bool:
    if getattr(error, "status_code", None) != 400:
        return False
    text = f"{getattr(error, 'param', '')} {getattr(error, 'body', '')}"
    return "stream_options" in text or "include_usage" in text
