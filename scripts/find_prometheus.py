"""Print the folder with `prometheus` and `promtool`: `python scripts/find_prometheus.py FOLDER`.

They are taken from the path, else from Debian's package, which apt-get downloads into FOLDER, where it is unpacked and
not installed; no root is needed. Where neither is to be had, the reason is printed on stderr and the exit status is 1.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

PATIENCE = 120
"""Seconds for the download."""


def find_prometheus(folder: Path) -> tuple[Path | None, str]:
    """Return the folder with the programs, or `None` and the reason.

    Args:
        folder: where they are, or are put.
    """
    found = shutil.which("prometheus")
    if found and shutil.which("promtool"):
        return Path(found).parent, ""
    programs = folder / "unpacked" / "usr" / "bin"
    if (programs / "promtool").exists():
        return programs, ""
    if not shutil.which("apt-get") or not shutil.which("dpkg"):
        return None, "neither promtool in the path nor apt-get to fetch Debian's package prometheus"
    folder.mkdir(parents=True, exist_ok=True)
    try:
        run(["apt-get", "download", "-qq", "prometheus"], folder)
    except subprocess.TimeoutExpired:
        return None, f"downloading Debian's package prometheus took longer than {PATIENCE} s"
    packages = sorted(folder.glob("prometheus_*.deb"))
    if not packages:
        return None, "apt-get could not download Debian's package prometheus"
    # Unpacked beside its place and moved there, so that a run that is cut off leaves nothing half done.
    half = folder / "half"
    if run(["dpkg", "-x", str(packages[-1]), str(half)], folder):
        return None, f"{packages[-1].name} could not be unpacked; delete it and try again"
    half.rename(folder / "unpacked")
    return programs, ""


def run(command: list[str], folder: Path) -> int:
    """Run a command of this file in a folder and return its exit status."""
    return subprocess.run(command, cwd=folder, stdout=sys.stderr, timeout=PATIENCE, check=False).returncode  # noqa: S603


if __name__ == "__main__":
    where, reason = find_prometheus(Path(sys.argv[1]).resolve())
    if where is None:
        sys.stderr.write(f"no promtool: {reason}\n")
    else:
        sys.stdout.write(f"{where}\n")
    sys.exit(where is None)
