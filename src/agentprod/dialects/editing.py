"""Edit the texts of a body, and of a stream while it flows."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agentprod.dialects.json_text import JsonLeaves
from agentprod.dialects.paths import put
from agentprod.events import Event
from agentprod.parts import Editor, MakeEditor, Part

if TYPE_CHECKING:
    from agentprod.dialects.base import Dialect, Fragment

__all__ = ["StreamEdit", "edit_fragments", "edit_parts", "takes_raw_json"]


def takes_raw_json(editor: Editor | None) -> bool:
    """Whether an editor of a JSON part wants the JSON text itself instead of its string leaves."""
    return getattr(editor, "raw_json", False) is True


def edit_fragments(data: Any, fragments: Iterable[Fragment], fn: Callable[[str, Part], str]) -> Any:
    """Return `data` with every fragment's text replaced by `fn(text, part)`; the same object when nothing changed.

    Fragments of JSON text are edited leaf by leaf.
    """

    def new(text: str, part: Part) -> str:
        return _edit_json(text, part, fn) if part.json else fn(text, part)

    return _replaced(data, fragments, new)


def edit_parts(data: Any, fragments: Iterable[Fragment], make: MakeEditor) -> Any:
    """Return `data` with every fragment rewritten by an editor of its own; the same object when nothing changed."""

    def new(text: str, part: Part) -> str:
        first = make(part)
        if first is None:
            return text
        if not part.json or takes_raw_json(first):
            return first.feed(text) + first.flush()
        made = [first]
        leaves = JsonLeaves(lambda: made.pop() if made else make(part))
        return leaves.feed(text) + leaves.flush()

    return _replaced(data, fragments, new)


def _replaced(data: Any, fragments: Iterable[Fragment], new: Callable[[str, Part], str]) -> Any:
    changes = []
    for part, text, path in fragments:
        edited = new(text, part)
        if edited != text:
            changes.append((path, edited))
    for path, edited in changes:
        data = put(data, path, edited)
    return data


def _edit_json(text: str, part: Part, fn: Callable[[str, Part], str]) -> str:
    leaves = JsonLeaves(lambda: _Whole(lambda leaf: fn(leaf, part)))
    return leaves.feed(text) + leaves.flush()


class _Whole:
    """Turns a function on whole texts into an editor."""

    __slots__ = ("_fn", "_pieces")

    def __init__(self, fn: Callable[[str], str]) -> None:
        self._fn = fn
        self._pieces: list[str] = []

    def feed(self, text: str) -> str:
        self._pieces.append(text)
        return ""

    def flush(self) -> str:
        pieces, self._pieces = self._pieces, []
        return self._fn("".join(pieces)) if pieces else ""


class _Open:
    """A part that is streaming now."""

    __slots__ = ("editor", "like", "text")

    def __init__(self, editor: Editor | None) -> None:
        self.editor = editor
        self.like: Any = None
        self.text: list[str] = []


class StreamEdit:
    """The stage that gives each part of a stream its own editor.

    What an editor keeps back comes out before the part's end event, as an event of its own when the
    end event carries no text.
    """

    def __init__(self, dialect: Dialect, make: MakeEditor, *, json_text: bool = False) -> None:
        self._dialect = dialect
        self._make = make
        self._json_text = json_text
        self._open: dict[Part, _Open] = {}
        self._finals: dict[Part, str] = {}
        self._tools: dict[tuple[int, int], str] = {}
        self.texts: list[str] = []
        """The text as edited, piece by piece."""

    def feed(self, events: list[Event]) -> list[Event]:
        """Edit a batch."""
        out: list[Event] = []
        for event in events:
            if event.data is None:
                out.append(event)
            else:
                self._edit(event, out)
        return out

    def finish(self) -> list[Event]:
        """Flush the parts that never saw an end event."""
        out: list[Event] = []
        for part in list(self._open):
            self._close(part, out)
        return out

    def _edit(self, event: Event, out: list[Event]) -> None:
        data = event.data
        for choice, index, name in self._dialect.tool_names(data):
            self._tools[choice, index] = name
        fragments = list(self._dialect.event_fragments(data, self._json_text))
        ending = self._dialect.ends(data, self._open.keys() | {part for part, _, _ in fragments})
        touched = {part for part, _, _ in fragments}
        for part in list(self._open):
            # A part that ends here without text of its own is flushed by an event before this one.
            if part in ending and part not in touched:
                self._close(part, out)
        changed = data
        for part, text, path in fragments:
            new = self._feed(part, text, data)
            if part in ending:
                new += self._flush(part)
            if new != text:
                changed = put(changed, path, new)
        if changed is not data:
            changed = self._dialect.forget_details(changed)
        changed = self._dialect.rewrite_snapshots(changed, self._finals)
        out.append(event if changed is data else Event(changed, native=event.native, edited=True))

    def _feed(self, part: Part, text: str, like: Any) -> str:
        state = self._open.get(part)
        if state is None:
            state = self._open[part] = _Open(self._editor(part))
        state.like = like
        edited = text if state.editor is None else state.editor.feed(text)
        self._remember(part, state, edited)
        return edited

    def _editor(self, part: Part) -> Editor | None:
        named = part
        if part.kind == "tool_arguments" and part.tool is None:
            named = replace(part, tool=self._tools.get((part.choice, part.index)))
        first = self._make(named)
        if not part.json or first is None or takes_raw_json(first):
            return first
        made = [first]
        return JsonLeaves(lambda: made.pop() if made else self._make(named))

    def _flush(self, part: Part) -> str:
        state = self._open.pop(part)
        rest = "" if state.editor is None else state.editor.flush()
        self._remember(part, state, rest)
        self._finals[part] = "".join(state.text)
        return rest

    def _close(self, part: Part, out: list[Event]) -> None:
        like = self._open[part].like
        rest = self._flush(part)
        if rest:
            out.append(Event(self._dialect.text_event(part, rest, like)))

    def _remember(self, part: Part, state: _Open, text: str) -> None:
        if text:
            state.text.append(text)
            if part.kind == "text" and part.choice == 0:
                self.texts.append(text)
