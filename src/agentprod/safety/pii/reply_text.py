"""Editors for the parts of a reply: what the model made up is scrubbed, and placeholders become values again."""

from __future__ import annotations

from agentprod.errors import AgentprodError, Blocked
from agentprod.parts import Editor, Part
from agentprod.safety.pii.documents import json_restore_stream, json_scrub_stream
from agentprod.safety.pii.restore import OnUnknown, RestoreStream
from agentprod.safety.pii.restore_policy import RestorePolicy
from agentprod.safety.pii.scrubber import Scrubber
from agentprod.safety.pii.vault import Vault

__all__ = ["ReplyRestore"]


class ReplyRestore:
    """Makes the editors of one reply.

    Args:
        vault: what the placeholders stand for.

        policy: where values may come back.

        output: scrubs what the model itself wrote; `None` to leave that alone.

        unknown: what to do with placeholders that were never given out.
    """

    def __init__(self, vault: Vault, policy: RestorePolicy, output: Scrubber | None, unknown: OnUnknown) -> None:
        self._vault, self._policy, self._output = vault, policy, output
        self._unknown: OnUnknown = unknown
        self._restores: list[RestoreStream] = []

    @property
    def needed(self) -> bool:
        """Whether any part can change."""
        return self._output is not None or len(self._vault) > 0

    @property
    def restored(self) -> int:
        """How many values came back in texts so far; those in JSON are not counted."""
        return sum(stream.restored for stream in self._restores)

    @property
    def unknown(self) -> int:
        """How many placeholders in texts had a number that was never given out."""
        return sum(stream.unknown for stream in self._restores)

    def __call__(self, part: Part) -> Editor | None:
        """Return the editor of a part."""
        policy, vault = self._policy, self._vault
        allows = policy.in_tool(part.tool or "") if part.kind == "tool_arguments" else policy.in_text()
        stages: list[Editor] = []
        if part.json:
            if self._output is not None:
                stages.append(json_scrub_stream(self._output, vault))
            if len(vault):
                stages.append(json_restore_stream(vault, allows=allows, urls=policy.urls, unknown=self._unknown))
        else:
            if self._output is not None:
                stages.append(self._output.stream(vault))
            if len(vault):
                restore = RestoreStream(vault, allows=allows, urls=policy.urls, unknown=self._unknown)
                self._restores.append(restore)
                stages.append(restore)
        return _Chain(stages, part.json) if stages else None


class _Chain:
    """Runs a text through several editors, and lets no error out that could quote it."""

    __slots__ = ("_stages", "raw_json")

    def __init__(self, stages: list[Editor], raw_json: bool) -> None:
        self._stages = stages
        self.raw_json = raw_json

    def feed(self, text: str) -> str:
        return self._run(text, last=False)

    def flush(self) -> str:
        return self._run("", last=True)

    def _run(self, text: str, *, last: bool) -> str:
        failure = ""
        try:
            for stage in self._stages:
                if text:
                    text = stage.feed(text)
                if last:
                    text += stage.flush()
        except AgentprodError:
            raise
        except Exception as error:
            failure = type(error).__name__
        if failure:
            raise Blocked(f"scrubbing the reply failed with {failure}: the rest of it is withheld", layer="ScrubPII")
        return text
