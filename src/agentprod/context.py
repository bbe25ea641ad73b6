"""Say who is asking around code that makes calls."""

from __future__ import annotations

from types import TracebackType
from typing import TYPE_CHECKING

from agentprod.ambient import ambient, change
from agentprod.identity import CacheMode, Context, make_context, seconds

if TYPE_CHECKING:
    from typing import Unpack

    from agentprod.identity import ContextOptions

__all__ = ["CacheMode", "Context", "context", "current_context", "seconds"]


def current_context() -> Context:
    """Return the context in force here."""
    return ambient().context


class context:  # noqa: N801 - reads as the verb it is: `with ap.context(user="u1"):`
    """Say who is asking, around code that makes calls.

    ```python
    with ap.context(user="u1", tenant="acme", conversation="c7", deadline=30):
        agent.run(...)
    ```

    A call captures the context when it enters a stack, so a stream outlives the `with`. Contexts
    nest: the inner one wins, except that of two deadlines the earlier one holds.

    Keyword Args:
        user, team, tenant, conversation, run, request_id (str): names of your own.

        tags (Mapping[str, str]): labels, added to those outside.

        deadline (float | timedelta): seconds from entering the block in which calls must end, streams included.

        cache (str): `"default"`, `"bypass"` (neither read nor write), `"refresh"` (write only) or `"only"`
            (raise `CacheMiss` instead of calling the provider).

        ttl (float | timedelta): seconds for which caches keep replies of these calls.

    Raises:
        ConfigError: an unknown name or a value of the wrong kind.
    """

    def __init__(self, **options: Unpack[ContextOptions]) -> None:
        self._context = make_context(options)

    def __enter__(self) -> Context:
        here = ambient()
        merged = self._context.beginning().over(here.context)
        change(context=merged, entered=(*here.entered, (self, here.context)))
        return merged

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # What to go back to stands beside what is in force, not in this object: tasks and threads may share one.
        # Where it is not in force, as in the thread of a generator that another thread began, nothing is taken back.
        entered = ambient().entered
        for position in range(len(entered) - 1, -1, -1):
            owner, before = entered[position]
            if owner is self:
                change(context=before, entered=entered[:position])
                return

    async def __aenter__(self) -> Context:
        return self.__enter__()

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.__exit__(kind, error, trace)
