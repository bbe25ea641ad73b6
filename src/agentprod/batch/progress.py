"""A progress bar with the running cost, where there is somebody to see it."""

from __future__ import annotations

import sys
import warnings
from decimal import Decimal
from importlib import import_module
from typing import Any, Literal

from agentprod.errors import ConfigError
from agentprod.telemetry.calls import CallRecord
from agentprod.telemetry.figures import format_usd

__all__ = ["Progress", "open_progress"]


class Progress:
    """Counts finished items and shows what they cost so far.

    Args:
        bar: of tqdm; `None` shows nothing.
    """

    def __init__(self, bar: Any) -> None:
        self._bar = bar
        self._cost = Decimal(0)
        self._failed = self._unpriced = 0

    def done(self, records: list[CallRecord], *, failed: bool) -> None:
        """Count one item and the calls it made."""
        for record in records:
            if record.cost_usd is not None:
                self._cost += record.cost_usd
            elif record.usage is not None:
                self._unpriced += 1
        self._failed += failed
        if self._bar is not None:
            cost = format_usd(self._cost) + ("+" if self._unpriced else "")
            self._bar.set_postfix_str(cost + (f", {self._failed} failed" if self._failed else ""), refresh=False)
            self._bar.update()

    def restored(self) -> None:
        """Count an item that an earlier run has done."""
        if self._bar is not None:
            self._bar.update()

    def close(self) -> None:
        """Leave the bar as it is."""
        if self._bar is not None:
            self._bar.close()


def open_progress(wanted: bool | Literal["auto"], total: int | None) -> Progress:
    """Return a progress bar, or one that shows nothing.

    Args:
        wanted: `"auto"` shows it in a terminal or a notebook where tqdm is installed; `True` anywhere.

        total: how many items there are, when known.

    Raises:
        ConfigError: it is wanted and tqdm is not installed.
    """
    if wanted is False or (wanted == "auto" and not _watched()):
        return Progress(None)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # that the notebook has no widgets: then the bar is text
            tqdm = import_module("tqdm.auto").tqdm
    except ImportError as error:
        if wanted == "auto":
            return Progress(None)
        raise ConfigError('a progress bar needs tqdm: pip install "agentprod[notebook]"') from error
    return Progress(tqdm(total=total, unit="item"))


def _watched() -> bool:
    shell = getattr(sys.modules.get("IPython"), "get_ipython", lambda: None)()
    in_notebook = hasattr(shell, "kernel")
    return in_notebook or bool(sys.stderr and sys.stderr.isatty())
