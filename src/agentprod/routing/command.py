"""The command `python -m agentprod router`: fit a router to a call log, or report on a log or a fitted router."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from agentprod.errors import ConfigError
from agentprod.routing.fit import fit
from agentprod.routing.learned import LearnedRouter

__all__ = ["main"]

_SUFFIX = ".npz"


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        argv: the arguments after `router`; those of the process when `None`.

    Returns:
        Exit status: 0 when done, 1 when a fit was refused, 2 when the arguments or the file cannot be used.
    """
    parser = _parser()
    try:
        options = parser.parse_args(argv)
    except SystemExit as left:  # argparse has said why
        return left.code if isinstance(left.code, int) else 2
    try:
        if options.action == "fit":
            return _fit(options.log, options.output, _names(options.models), options.seed)
        return _report(options.file, _names(options.models), options.seed)
    except ConfigError as error:
        sys.stderr.write(f"{error}\n")
    except OSError as error:
        sys.stderr.write(f"{error.filename}: {error.strerror}\n")
    return 2


def _fit(log: Path, output: Path, models: list[str] | None, seed: int) -> int:
    fitted = fit(log, models=models, seed=seed)
    sys.stdout.write(f"{fitted.report}\n")
    if fitted.router is None:
        return 1
    fitted.router.save(output)
    sys.stdout.write(f"written to {output}\n")
    return 0


def _report(file: Path, models: list[str] | None, seed: int) -> int:
    if file.suffix != _SUFFIX:
        fitted = fit(file, models=models, seed=seed)
        sys.stdout.write(f"{fitted.report}\n")
        return 0 if fitted.router is not None else 1
    router = LearnedRouter.load(file)
    sys.stdout.write(f"models: {', '.join(router.models)}\n")
    for name, value in sorted(router.about.items()):
        sys.stdout.write(f"{name}: {value}\n")
    return 0


def _names(text: str | None) -> list[str] | None:
    return [name.strip() for name in text.split(",") if name.strip()] if text else None


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m agentprod router", description="Routers learned from your calls.")
    actions = parser.add_subparsers(dest="action", required=True, metavar="fit|report")
    fitting = actions.add_parser(
        "fit", help="fit a router to a call log and write it, unless it is no better than luck"
    )
    fitting.add_argument("log", type=Path, help="JSONL: prompt, scores by model (or model and score), costs")
    fitting.add_argument("-o", "--output", type=Path, default=Path("router.npz"), help="where to write it (router.npz)")
    reporting = actions.add_parser("report", help="say what a log would give, or what a fitted router is")
    reporting.add_argument("file", type=Path, help="a call log, or a fitted router ending in .npz")
    for action in (fitting, reporting):
        action.add_argument("--models", metavar="A,B", help="models to choose from, the cheapest first")
        action.add_argument("--seed", type=int, default=0, help="of shuffles and bootstrap samples")
    return parser
