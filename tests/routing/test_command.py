"""The command fits, reports, and tells by its exit status what happened."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from agentprod.routing.command import main
from agentprod.routing.learned import LearnedRouter
from tests.routing.recorded import rows, shuffled


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log that can be fitted."""
    path = tmp_path / "log.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows(200)), encoding="utf-8")
    return path


def test_fit_writes_a_router(log: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A good log gives a report and a file that loads."""
    output = tmp_path / "out.npz"
    assert main(["fit", str(log), "-o", str(output), "--seed", "1"]) == 0
    assert f"written to {output}" in capsys.readouterr().out
    assert LearnedRouter.load(output).models == ("small", "large")
    assert main(["report", str(output)]) == 0
    said = capsys.readouterr().out
    assert "models: small, large" in said
    assert "rows: 200" in said


def test_a_refused_fit_writes_nothing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """A log without any pattern gives the reason and exit status 1."""
    path, output = tmp_path / "log.jsonl", tmp_path / "out.npz"
    path.write_text("\n".join(json.dumps(row) for row in shuffled(rows(150), 1)), encoding="utf-8")
    assert main(["fit", str(path), "-o", str(output)]) == 1
    assert not output.exists()
    assert "refused: not certainly better than a coin" in capsys.readouterr().out
    assert main(["report", str(path)]) == 1


def test_report_of_a_log_fits_without_writing(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """What a log would give can be asked without a file being written."""
    assert main(["report", str(log), "--models", "small, large"]) == 0
    assert "APGR" in capsys.readouterr().out
    assert [file.name for file in log.parent.iterdir()] == ["log.jsonl"]


def test_mistakes_are_told_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Missing files, empty logs, foreign files and wrong arguments end with status 2 and without a traceback."""
    empty = tmp_path / "empty.jsonl"
    empty.write_text("")
    foreign = tmp_path / "foreign.npz"
    foreign.write_bytes(b"x")
    gbk = tmp_path / "gbk.jsonl"
    gbk.write_text('{"prompt": "退款"}', encoding="gbk")
    for arguments in (
        ["fit", str(gbk)],
        ["fit", str(tmp_path / "missing.jsonl")],
        ["fit", str(empty)],
        ["report", str(foreign)],
        [],
        ["x"],
    ):
        assert main(arguments) == 2
        assert "Traceback" not in capsys.readouterr().err
    assert main(["--help"]) == 0
