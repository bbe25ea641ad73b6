"""A script: which behaviour answers which request."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from typing import TypeAlias

from agentprod.errors import ConfigError
from agentprod.testing.behaviours import Behaviour, ok
from agentprod.testing.behaviours.behaviour import as_behaviour
from agentprod.testing.exchange import RecordedRequest

__all__ = ["Script", "ScriptLike"]

Step: TypeAlias = Behaviour | str
Choice: TypeAlias = Callable[[RecordedRequest], Step]
Steps: TypeAlias = Step | Sequence[Step] | Choice
ScriptLike: TypeAlias = Steps | Mapping[str, Steps] | None
"""What `Provider` takes: one behaviour, a list of them, a callable, or any of these by path prefix."""


class Script:
    """Hands out one behaviour per request; safe to ask from several threads at once.

    Args:
        script: `None` is `"ok"`. Of a list each request takes one, and the last one repeats. A callable is
            asked with each request, from several threads at once when requests come at once. A mapping has
            any of these by the beginning of the request's path; the longest that fits is taken, and `"ok"`
            answers the rest.

    Raises:
        ConfigError: if there is no such behaviour, or a path does not begin with a slash.
    """

    def __init__(self, script: ScriptLike = None) -> None:
        if isinstance(script, Mapping):
            for path in script:
                if not str(path).startswith("/"):
                    raise ConfigError(f'a script by path has paths such as "/v1/messages", not {path!r}')
            self._tracks = {path: _Track(steps) for path, steps in script.items()}
        else:
            self._tracks = {"": _Track(script)}

    def choose(self, request: RecordedRequest) -> Behaviour:
        """Return the behaviour for a request, and count it as used."""
        fitting = [path for path in self._tracks if request.path.startswith(path)]
        return self._tracks[max(fitting, key=len)].choose(request) if fitting else ok()

    def rewind(self) -> None:
        """Begin every list again."""
        for track in self._tracks.values():
            track.rewind()


class _Track:
    def __init__(self, steps: Steps | None) -> None:
        self._lock = threading.Lock()
        self._next = 0
        self._choice: Choice | None = None
        self._steps: tuple[Behaviour, ...] = ()
        if steps is None:
            self._steps = (ok(),)
        elif isinstance(steps, str | Behaviour):
            self._steps = (as_behaviour(steps),)
        elif callable(steps):
            self._choice = steps
        elif isinstance(steps, Sequence):
            self._steps = tuple(as_behaviour(step) for step in steps) or (ok(),)
        else:
            raise ConfigError(f"a script is a list of behaviours, a callable or a mapping, not {type(steps).__name__}")

    def choose(self, request: RecordedRequest) -> Behaviour:
        if self._choice is not None:
            return as_behaviour(self._choice(request))
        with self._lock:
            step = self._steps[min(self._next, len(self._steps) - 1)]
            self._next += 1
        return step

    def rewind(self) -> None:
        with self._lock:
            self._next = 0
