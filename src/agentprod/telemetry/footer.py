"""A line below each notebook cell that made calls: how many, how long, how dear."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.drops import drops
from agentprod.telemetry.figures import format_count, format_seconds
from agentprod.telemetry.record_ring import Calls
from agentprod.telemetry.sinks import subscribe
from agentprod.telemetry.summary import summarize_calls

__all__ = ["CellFooter", "format_footer", "load_ipython_extension", "unload_ipython_extension"]


def format_footer(records: Iterable[CallRecord]) -> str:
    """Return one line such as `3 calls · 1 retry · 1 cache hit · 4.1 k tokens · $0.0021 · p95 1.8 s`; "" for no calls.

    What there is nothing of is left out; a cost that is not known reads `n/a`.
    """
    calls = list(records)
    if not calls:
        return ""
    seen = summarize_calls(calls)
    parts = [_counted(seen.calls, "call")]
    counts = (
        (seen.errors, "error", "errors"),
        (seen.rejected, "rejected", "rejected"),
        (sum(call.retries for call in calls), "retry", "retries"),
        (seen.cached, "cache hit", "cache hits"),
    )
    parts += [_counted(count, one, many) for count, one, many in counts if count]
    tokens = seen.input_tokens + seen.output_tokens
    if tokens:
        parts.append(_counted(tokens, "token"))
    parts.append(seen.cost_text)
    if seen.p95 is not None:
        parts.append(f"p95 {format_seconds(seen.p95)}")
    return " · ".join(parts)


class CellFooter:
    """Prints the footer after each cell of an IPython shell.

    Args:
        show: prints one line; `print` by default.
    """

    def __init__(self, *, show: Callable[[str], object] = print) -> None:
        self._show = show
        self._calls = Calls()
        self._stop: Callable[[], None] | None = None

    def pre_run_cell(self, *_: Any) -> None:
        """Forget the calls of the cell before."""
        self._calls.clear()

    def post_run_cell(self, *_: Any) -> None:
        """Print the footer of the cell that has run; what fails is dropped, for a cell must not break on it."""
        try:
            line = format_footer(self._calls)
            if line:
                self._show(line)
        except Exception:
            drops.count("footer")

    def attach(self, shell: Any) -> None:
        """Start printing below the cells of an IPython shell."""
        self._stop = subscribe(self._calls.append)
        shell.events.register("pre_run_cell", self.pre_run_cell)
        shell.events.register("post_run_cell", self.post_run_cell)

    def detach(self, shell: Any) -> None:
        """Stop printing."""
        if self._stop is not None:
            self._stop()
            self._stop = None
            shell.events.unregister("pre_run_cell", self.pre_run_cell)
            shell.events.unregister("post_run_cell", self.post_run_cell)


_footer: CellFooter | None = None


def load_ipython_extension(shell: Any) -> None:
    """Print a footer below each cell that made calls; run by `%load_ext agentprod`."""
    global _footer  # noqa: PLW0603 - one shell in a process, and loading twice must not print twice
    if _footer is None:
        # Displayed, not printed: it stands on a line of its own, whatever the cell printed last.
        _footer = CellFooter(show=lambda line: shell.display_pub.publish({"text/plain": line}))
        _footer.attach(shell)


def unload_ipython_extension(shell: Any) -> None:
    """Stop printing footers; run by `%unload_ext agentprod`."""
    global _footer  # noqa: PLW0603
    if _footer is not None:
        _footer.detach(shell)
        _footer = None


def _counted(number: int, one: str, many: str | None = None) -> str:
    return f"{format_count(number)} {one if number == 1 else many or one + 's'}"
