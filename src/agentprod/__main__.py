"""`python -m agentprod COMMAND`: what the command line offers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

__all__ = ["main"]

COMMANDS = {
    "audit": ("agentprod.telemetry.audit", "check an audit file"),
    "router": ("agentprod.routing.command", "fit a router to a call log, or report on one"),
}
"""Which module's `main(arguments) -> exit status` runs a command, and what it does."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named first with the rest of the arguments.

    Args:
        arguments: those of the process by default.

    Returns:
        The command's exit status; 0 when asked for help, 2 when there is no such command.
    """
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    if name not in COMMANDS:
        asked = name in ("-h", "--help")
        commands = "\n".join(f"  {command:<8}{summary}" for command, (_, summary) in COMMANDS.items())
        usage = f"usage: python -m agentprod {{{','.join(COMMANDS)}}} ...\n\n{commands}"
        print(usage, file=sys.stdout if asked else sys.stderr)
        return 0 if asked else 2
    run: Callable[[Sequence[str]], int] = import_module(COMMANDS[name][0]).main
    return run(rest[:-1])


if __name__ == "__main__":
    sys.exit(main())
