"""Errors exactly as the SDKs raise them: made by the clients themselves, from responses over a mock transport."""

from __future__ import annotations

import json
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import anthropic
import openai

URL = "http://provider.test/v1"


def http_of(sdk: Any) -> Any:
    """Return the HTTP library an SDK is built on: httpx2, or httpx for older ones."""
    return import_module(sdk.DefaultHttpxClient.__base__.__module__.partition(".")[0])


HTTP = http_of(openai)

_openai = openai.OpenAI(api_key="k", base_url=URL, max_retries=0)
_anthropic = anthropic.Anthropic(api_key="k", base_url=URL, max_retries=0)


def response(status: int, body: Any = None, headers: Mapping[str, str] | None = None, *, http: Any = HTTP) -> Any:
    """Return an HTTP response with a JSON body."""
    return http.Response(status, json=body, headers=headers, request=http.Request("POST", URL))


def openai_error(
    status: int,
    *,
    code: str | None = None,
    kind: str | None = None,
    message: str = "m",
    headers: Mapping[str, str] | None = None,
) -> openai.APIStatusError:
    """Return what an OpenAI client raises for this status, and this code and type in the body."""
    body = {"error": {"message": message, "type": kind, "param": None, "code": code}}
    return _openai._make_status_error_from_response(response(status, body, headers))


def anthropic_error(
    status: int,
    kind: str | None = None,
    *,
    code: str | None = None,
    message: str = "m",
    headers: Mapping[str, str] | None = None,
) -> anthropic.APIStatusError:
    """Return what an Anthropic client raises for this status, and this type and code in the body."""
    details = {} if code is None else {"details": {"error_code": code}}
    body = {"type": "error", "error": {"type": kind, "message": message, **details}}
    return _anthropic._make_status_error_from_response(response(status, body, headers, http=http_of(anthropic)))


def openai_event_error(code: str | None, kind: str | None) -> Exception:
    """Return what an OpenAI client raises for an error event in a stream: an `APIError` without any status."""
    event = {"error": {"message": "m", "type": kind, "code": code, "param": None}}
    transport = _streams(openai, "data: ", event)
    client = openai.OpenAI(api_key="k", max_retries=0, http_client=openai.DefaultHttpxClient(transport=transport))
    try:
        list(client.chat.completions.create(model="m", messages=[], stream=True))
    except openai.APIError as error:
        return error
    raise AssertionError("the SDK did not raise")


def anthropic_event_error(kind: str) -> Exception:
    """Return what an Anthropic client raises for an error event in a stream: an `APIStatusError` of status 200."""
    event = {"type": "error", "error": {"type": kind, "message": "m"}}
    transport = _streams(anthropic, "event: error\ndata: ", event)
    client = anthropic.Anthropic(
        api_key="k", max_retries=0, http_client=anthropic.DefaultHttpxClient(transport=transport)
    )
    try:
        list(
            client.messages.create(
                model="m", max_tokens=1, messages=[{"role": "user", "content": "Hello"}], stream=True
            )
        )
    except anthropic.APIError as error:
        return error
    raise AssertionError("the SDK did not raise")


def connection_error(cause: Exception) -> openai.APIConnectionError:
    """Return the OpenAI client's error around one of its HTTP library, `HTTP`."""

    def refuse(request: Any) -> Any:
        raise cause

    http = openai.DefaultHttpxClient(transport=HTTP.MockTransport(refuse))
    client = openai.OpenAI(api_key="k", max_retries=0, http_client=http)
    try:
        client.models.list()
    except openai.APIConnectionError as error:
        return error
    raise AssertionError("the SDK did not raise")


def _streams(sdk: Any, lead: str, event: Any) -> Any:
    http, content = http_of(sdk), f"{lead}{json.dumps(event)}\n\n"
    head = {"content-type": "text/event-stream"}
    return http.MockTransport(lambda request: http.Response(200, headers=head, content=content))
