"""Write the table of order rules into README.md, from the data the checks use: `python scripts/order_table.py`."""

from __future__ import annotations

import sys
from pathlib import Path

from agentprod.explain import order_table
from agentprod.order import CANONICAL

README = Path(__file__).parent.parent / "README.md"
BEGIN = "<!-- order: written by `python scripts/order_table.py` -->"
END = "<!-- order ends -->"


def section() -> str:
    """Return the text between the marks."""
    line = " > ".join(f"`{name}`" for name in CANONICAL)
    return f"{BEGIN}\n\n{line} > the provider\n\n{order_table()}\n\n{END}"


def main() -> int:
    """Write the section; with `--check`, only say whether it is up to date."""
    text = README.read_text(encoding="utf-8")
    before, _, rest = text.partition(BEGIN)
    after = rest.partition(END)[2]
    wanted = before + section() + after
    if "--check" in sys.argv:
        return int(wanted != text)
    README.write_text(wanted, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main())
