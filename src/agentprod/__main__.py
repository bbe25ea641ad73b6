"""`python -m agentprod COMMAND`: what the command line offers."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib import import_module

__all__ = ["main"]

COMMANDS = {
    "audit": "agentprod.telemetry.audit",
    "router": "agentprod.routing.command",
}
"""Which module's `main(arguments) -> exit status` runs a command."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command named first with the rest of the arguments.

    Args:
        arguments: those of the process by default.

    Returns:
        The command's exit status; 2 when there is no such command.
    """
    name, *rest = [*(sys.argv[1:] if arguments is None else arguments), ""]
    if name not in COMMANDS:
        print(f"usage: python -m agentprod {{{','.join(sorted(COMMANDS))}}} ...", file=sys.stderr)
        return 2
    run: Callable[[Sequence[str]], int] = import_module(COMMANDS[name]).main
    return run(rest[:-1])


if __name__ == "__main__":
    sys.exit(main())
