"""The audit trail: chained, checked, shared, and sound after crashes."""

from __future__ import annotations

import hashlib
import json
import multiprocessing
import os
import random
import signal
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agentprod.errors import ConfigError
from agentprod.telemetry.audit import AuditWriter, Head, main, verify
from agentprod.telemetry.calls import CallRecord
from tests.telemetry.audit_work import append_many
from tests.telemetry.records import call_record, failed_call

KEY = b"0123456789abcdef"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "audit.jsonl"


def write(path: Path, lines: int, **options: Any) -> Head:
    """Write a file of exactly so many lines, the opening one included."""
    head = Head(0, "", 0)
    with AuditWriter(path, fsync="never", now=lambda: 1_700_000_000.0, **options) as writer:
        for number in range(lines - 1):
            head = writer.append("tool.call", {"tool": "search", "number": number})
    return head


@pytest.fixture(scope="module")
def long_file(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    path = tmp_path_factory.mktemp("audit") / "a.jsonl"
    write(path, 10_000)
    assert verify(path).lines == 10_000
    return path.read_bytes()


def test_a_sound_file(path: Path) -> None:
    """Each line names the hash of the one before, and the whole verifies."""
    head = write(path, 5)
    lines = [json.loads(line) for line in path.read_text().splitlines()]
    assert [line["seq"] for line in lines] == [1, 2, 3, 4, 5]
    assert [line["prev_hash"] for line in lines[1:]] == [line["hash"] for line in lines[:-1]]
    assert (head.seq, head.hash) == (5, lines[-1]["hash"])
    assert lines[1] == lines[1] | {"event": "tool.call", "data": {"tool": "search", "number": 0}, "ts": 1_700_000_000.0}
    found = verify(path)
    assert found
    assert (found.lines, found.broken_line, found.notes) == (5, None, [])


@pytest.mark.parametrize("line", [1, 2, 4_711, 9_999, 10_000])
def test_one_flipped_bit_names_its_line(long_file: bytes, path: Path, line: int) -> None:
    """Whichever byte of line k of 10,000 changes, the check names line k, also for its line break."""
    rng = random.Random(line)
    starts = [0]
    for raw in long_file.splitlines(keepends=True):
        starts.append(starts[-1] + len(raw))
    head = long_file_head(long_file)
    for place in [starts[line - 1], starts[line] - 2, starts[line] - 1, rng.randrange(starts[line - 1], starts[line])]:
        changed = bytearray(long_file)
        changed[place] ^= 1 << rng.randrange(8)
        path.write_bytes(changed)
        Path(f"{path}.head").write_bytes(head)
        found = verify(path)
        assert not found
        assert found.broken_line == line
        assert found.lines == line - 1


def long_file_head(content: bytes) -> bytes:
    last = json.loads(content.splitlines()[-1])
    return Head(last["seq"], last["hash"], len(content)).to_bytes()


@pytest.mark.parametrize("place", [1, 2, 77, 4_999])
def test_deleted_and_swapped_lines_are_named(long_file: bytes, path: Path, place: int) -> None:
    """A line that is gone, doubled or in another place is named."""
    lines = long_file.splitlines(keepends=True)
    Path(f"{path}.head").write_bytes(long_file_head(long_file))
    for changed in (
        [*lines[:place], *lines[place + 1 :]],
        [*lines[:place], lines[place + 1], lines[place], *lines[place + 2 :]],
        [*lines[:place], lines[place - 1], *lines[place:]],
    ):
        path.write_bytes(b"".join(changed))
        assert verify(path).broken_line == place + 1


def test_lines_cut_off_at_the_end_are_noticed(long_file: bytes, path: Path) -> None:
    """The head file knows how many lines there were; without it the check says what it cannot see."""
    Path(f"{path}.head").write_bytes(long_file_head(long_file))
    path.write_bytes(b"".join(long_file.splitlines(keepends=True)[:9_000]))
    found = verify(path)
    assert (found.broken_line, found.reason) == (9_001, "1000 lines at the end are missing")
    Path(f"{path}.head").unlink()
    found = verify(path)
    assert found
    assert "no head file" in found.notes[0]


def test_a_head_kept_elsewhere_shows_a_rewritten_file(path: Path) -> None:
    """Who rewrites the whole file with a good chain is found out by a head that was kept."""
    head = write(path, 5)
    path.unlink()
    Path(f"{path}.head").unlink()
    write(path, 8)
    assert verify(path)
    found = verify(path, head=head)
    assert (found.broken_line, found.reason) == (5, "it is not the line that its head names")
    assert verify(path, head=Head(20, "", 0)).reason == "12 lines at the end are missing"


def test_with_a_key_nobody_else_can_write(path: Path) -> None:
    """A line whose plain hash is right is still broken where a key is used."""
    write(path, 3, key=KEY)
    assert verify(path, key=KEY)
    assert verify(path).broken_line == 1
    assert verify(path, key=b"another key, not that one").broken_line == 1
    plain = path.with_name("plain.jsonl")
    write(plain, 3)
    found = verify(plain, key=KEY)
    assert found.reason == "its content does not fit its hash under this key"


def test_text_is_kept_as_a_digest_only(path: Path) -> None:
    """Neither the prompt nor anything to look it up by is in the file; its digest can be asked for again."""
    prompt = "我的电话是 13812345678, mail ann@example.com \ud800"
    with AuditWriter(path) as writer:
        writer.append("llm.request", {"model": "gpt"}, content={"prompt": prompt, "file": b"\x00\x01"})
        digest = writer.digest(prompt)
    line = json.loads(path.read_text().splitlines()[1])
    assert line["data"]["content"]["prompt"] == {"digest": digest, "length": len(prompt)}
    assert b"1381234" not in path.read_bytes()
    assert b"example.com" not in path.read_bytes()
    with AuditWriter(path) as again:
        assert again.digest(prompt) == digest
    with AuditWriter(path.with_name("other.jsonl")) as other:
        assert other.digest(prompt) != digest


def test_a_salt_of_ones_own_is_not_in_the_file(path: Path) -> None:
    """With `salt=` the file alone does not help to guess texts, and it must be given again."""
    with AuditWriter(path, salt=KEY) as writer:
        digest = writer.digest("yes")
    assert KEY.hex().encode() not in path.read_bytes()
    with AuditWriter(path, salt=KEY) as writer:
        assert writer.digest("yes") == digest
    with AuditWriter(path) as writer, pytest.raises(ConfigError, match="begun with salt="):
        writer.append("x")


def test_what_is_not_json_is_not_written_out(path: Path) -> None:
    """Objects become the name of their type, long strings are cut, and a line stays small."""
    with AuditWriter(path) as writer:
        writer.append(
            "x",
            {
                "long": "a" * 9_000,
                "object": object(),
                "bytes": b"secret",
                "nan": float("nan"),
                "ratio": 0.5,
                "none": None,
                "list": list(range(500)),
                "deep": {"a": {"b": {"c": {"d": 1}}}},
                "key": {1: True},
            },
        )
        writer.append("big", {f"k{n}": {f"k{m}": "x" * 400 for m in range(90)} for n in range(90)})
    first, second = (json.loads(line)["data"] for line in path.read_text().splitlines()[1:])
    assert first["long"] == "a" * 500
    assert (first["object"], first["bytes"], first["nan"]) == ("<object>", "<bytes>", "nan")
    assert (first["ratio"], first["none"], len(first["list"])) == (0.5, None, 100)
    assert first["deep"] == {"a": {"b": {"c": "<dict>"}}}
    assert first["key"] == {"1": True}
    assert second["left_out_bytes"] > 3_000_000
    assert verify(path)


def test_a_finished_call(path: Path) -> None:
    """A call's line has the fields of its log line, and no error message."""
    record: CallRecord = failed_call(error_message="quota of ann@example.com used up")
    with AuditWriter(path) as writer:
        writer.record(record)
        writer.record(call_record())
    failed, good = (json.loads(line) for line in path.read_text().splitlines()[1:])
    assert (failed["event"], failed["data"]["status"], failed["data"]["error_type"]) == ("llm.call", "error", "500")
    assert good["data"]["cost_usd"] == 0.001
    assert "error_message" not in failed["data"]


@pytest.mark.parametrize("cut", [1, 40, -1])
def test_a_line_torn_by_a_crash_is_accounted_for(path: Path, cut: int) -> None:
    """After a crash in the middle of a line the file still verifies, and the next line tells of it."""
    write(path, 3)
    whole = path.read_bytes()
    torn = whole.splitlines()[-1].replace(b'"seq":3', b'"seq":4')[:cut]
    path.write_bytes(whole + torn)
    found = verify(path)
    assert found
    assert (found.lines, "was being written" in found.notes[0]) == (3, True)
    with AuditWriter(path) as writer:
        writer.append("after")
    assert path.read_bytes().startswith(whole + torn + b"\n")
    events = [json.loads(line)["event"] for line in path.read_bytes().splitlines()[4:]]
    assert events == ["audit.recovered", "after"]
    found = verify(path)
    assert found
    assert found.lines == 6
    assert found.notes == ["number 4 was written after a crash: a line was torn"]
    content = path.read_bytes()
    path.write_bytes(content.replace(torn + b"\n", b"X" + torn[1:] + b"\n"))
    assert verify(path).broken_line == 4


def test_a_crash_between_line_and_head(path: Path) -> None:
    """A line that was written while the head was not is a line like others."""
    write(path, 3)
    head = Path(f"{path}.head").read_bytes()
    write(path, 2)
    Path(f"{path}.head").write_bytes(head)
    assert verify(path)
    write(path, 2)
    found = verify(path)
    assert (found.lines, found.broken_line, found.notes) == (5, None, [])


def test_a_line_that_lacks_only_its_line_break(path: Path) -> None:
    """A crash right before the last byte loses nothing."""
    write(path, 3)
    path.write_bytes(path.read_bytes()[:-1])
    write(path, 2)
    found = verify(path)
    assert (found.lines, found.broken_line) == (4, None)


def test_a_crash_while_repairing(path: Path) -> None:
    """When the repair itself was cut short after the line break, the next writer goes on with it."""
    write(path, 3)
    path.write_bytes(path.read_bytes() + b'{"seq":4,"ts"\n')
    write(path, 2)
    found = verify(path)
    assert (found.lines, found.broken_line) == (6, None)


def test_lines_lost_before_the_writer_came_back_are_told(path: Path) -> None:
    """When the end is cut off and writing goes on, the loss stays visible."""
    write(path, 6)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join(lines[:4]))
    write(path, 2)
    found = verify(path)
    assert (found.broken_line, found.reason) == (5, "2 lines before it were lost")


def test_an_emptied_file_is_told(path: Path) -> None:
    """When the file was emptied and the head was not, the first line says what is gone."""
    write(path, 6)
    path.write_bytes(b"")
    write(path, 2)
    found = verify(path)
    assert (found.broken_line, found.reason) == (1, "6 lines before it were lost")


def test_a_lost_head_file_is_made_anew(path: Path) -> None:
    """Without its head file the chain goes on, and says that it was missing."""
    write(path, 3)
    Path(f"{path}.head").unlink()
    write(path, 2)
    found = verify(path)
    assert found
    assert found.notes == ["number 4 was written after a crash: the head file was missing"]
    Path(f"{path}.head").write_bytes(b"garbage")
    assert "no head file" in verify(path).notes[0]


def test_a_first_line_that_was_torn(path: Path) -> None:
    """Even when the process died in its very first line, the file is begun and verifies."""
    path.write_bytes(b'{"seq":1,"ts":17')
    with AuditWriter(path) as writer:
        writer.append("x", content={"a": "b"})
    found = verify(path)
    assert found
    assert found.lines == 4


def test_damage_in_the_middle_does_not_stop_the_writer(path: Path) -> None:
    """The chain goes on behind damaged lines, and the check names the first of them."""
    write(path, 6)
    lines = path.read_bytes().splitlines(keepends=True)
    path.write_bytes(b"".join([*lines[:3], b"damage\n", b"more damage\n"]))
    write(path, 2)
    assert verify(path).broken_line == 4


def test_a_long_file_is_read_from_its_end(path: Path) -> None:
    """Finding the end of a large file whose head is behind reads its tail, not the whole."""
    write(path, 3)
    head = Path(f"{path}.head").read_bytes()
    with AuditWriter(path, fsync="never") as writer:
        for _ in range(3000):
            writer.append("x", {"a": "b" * 200})
    Path(f"{path}.head").write_bytes(head)
    write(path, 2)
    assert verify(path).lines == 3004


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
@given(st.lists(st.tuples(st.sampled_from(["append", "crash", "reopen"]), st.integers(0, 300)), max_size=12))
def test_whatever_crashes_come_nothing_acknowledged_is_lost(
    tmp_path_factory: pytest.TempPathFactory, steps: list[tuple[str, int]]
) -> None:
    """Any mix of writing, dying at any byte of a line and coming back leaves a file that verifies with every line."""
    path = tmp_path_factory.mktemp("crashes") / "a.jsonl"
    writer = AuditWriter(path, fsync="never")
    acknowledged = []
    for step, number in steps:
        if step == "append":
            acknowledged.append(writer.append("x", {"n": number}).seq)
        elif step == "reopen":
            writer.close()
            writer = AuditWriter(path, fsync="never")
        elif path.exists() and path.read_bytes().endswith(b"\n"):
            with path.open("rb+") as file:
                line = file.read().splitlines()[-1]
                file.write(line.replace(b'"n":', b'"m":')[: 1 + number % (len(line) - 1)])
    if acknowledged:
        acknowledged.append(writer.append("last").seq)
    writer.close()
    if path.exists():
        assert verify(path)
        kept = {json.loads(line)["seq"] for line in path.read_bytes().splitlines() if line.endswith(b'"}')}
        assert set(acknowledged) <= kept


def read_back(path: Path) -> dict[str, list[int]]:
    found: dict[str, list[int]] = {}
    for line in path.read_text().splitlines():
        data = json.loads(line)["data"]
        if "by" in data:
            found.setdefault(data["by"], []).append(data["number"])
    return found


def test_threads_share_a_file(path: Path) -> None:
    """Eight threads, half through one writer and half through their own, leave one good chain."""
    shared = AuditWriter(path, fsync="never")

    def through_shared(name: str) -> None:
        for number in range(100):
            shared.append("x", {"by": name, "number": number})

    threads = [threading.Thread(target=through_shared, args=(f"s{n}",)) for n in range(4)]
    threads += [threading.Thread(target=append_many, args=(path, 100, f"o{n}")) for n in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    shared.close()
    assert verify(path).lines == 801
    assert read_back(path) == {name: list(range(100)) for name in ("s0", "s1", "s2", "s3", "o0", "o1", "o2", "o3")}


@pytest.mark.parametrize("method", ["spawn", "fork"])
def test_processes_share_a_file(path: Path, method: str) -> None:
    """Four processes, forked or new, leave one good chain with every line of each."""
    if method not in multiprocessing.get_all_start_methods():
        pytest.skip(f"no {method} here")
    context = multiprocessing.get_context(method)
    processes = [context.Process(target=append_many, args=(path, 150, f"p{n}")) for n in range(4)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(50)
        assert process.exitcode == 0
    assert verify(path).lines == 601
    assert read_back(path) == {f"p{n}": list(range(150)) for n in range(4)}


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_writer_lives_on_in_a_forked_child(path: Path) -> None:
    """A writer opened before a fork works on both sides, also when its lock was held at the fork."""
    writer = AuditWriter(path, fsync="never")
    writer.append("before")
    writer._lock.acquire()
    child = os.fork()
    if not child:
        status = 1
        try:
            writer.append("child")
            writer.close()
            status = 0
        finally:
            os._exit(status)
    writer._lock.release()
    writer.append("parent")
    assert os.waitpid(child, 0)[1] == 0
    writer.after_fork()
    writer.append("again")
    writer.close()
    assert verify(path).lines == 5


KILLED = """
import sys
from agentprod.telemetry.audit import AuditWriter
writer = AuditWriter(sys.argv[1], fsync="never")
while True:
    print(writer.append("x", {"a": "b" * 100}).seq, flush=True)
"""


@pytest.mark.skipif(not hasattr(signal, "SIGKILL"), reason="no SIGKILL here")
def test_a_killed_process_loses_no_acknowledged_line(path: Path) -> None:
    """Whatever was acknowledged before a kill -9 is in the file, which still verifies."""
    environment = {**os.environ, "PYTHONPATH": ":".join(part for part in sys.path if part)}
    for _ in range(3):
        process = subprocess.Popen(
            [sys.executable, "-c", KILLED, str(path)], stdout=subprocess.PIPE, text=True, env=environment
        )
        assert process.stdout is not None
        seen = [int(process.stdout.readline()) for _ in range(50)]
        process.kill()
        seen += [int(line) for line in process.stdout.read().splitlines()]
        process.stdout.close()
        process.wait()
        kept = {json.loads(line)["seq"] for line in path.read_bytes().splitlines() if line.endswith(b'"}')}
        assert set(seen) <= kept
        assert verify(path)


@pytest.mark.parametrize(("policy", "forced"), [("always", 3), ("never", 0), (60.0, 1)])
def test_how_often_lines_are_forced_to_disk(
    path: Path, monkeypatch: pytest.MonkeyPatch, policy: Any, forced: int
) -> None:
    """Always is every line, never is never, and seconds are at most once in so many; closing forces the rest."""
    calls: list[int] = []
    monkeypatch.setattr(os, "fsync", calls.append)
    writer = AuditWriter(path, fsync=policy)
    writer.append("a")
    writer.append("b")
    assert len(calls) == forced
    writer.close()
    assert len(calls) == forced + (0 if policy == "never" else 2)
    writer.close()


def test_a_full_disk_reaches_the_caller_and_leaves_a_good_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A line that could be written in part only raises; the next one accounts for the rest."""
    writer = AuditWriter(path, fsync="never")
    writer.append("a")
    real = os.write
    space = [60]

    def write_what_fits(file: int, data: bytes) -> int:
        if not space[0]:
            raise OSError(28, "No space left on device")
        written = real(file, data[: space[0]])
        space[0] -= written
        return written

    monkeypatch.setattr(os, "write", write_what_fits)
    with pytest.raises(OSError, match="No space"):
        writer.append("b", {"a": "b" * 100})
    monkeypatch.setattr(os, "write", real)
    writer.append("c")
    writer.close()
    assert verify(path)


def test_the_file_is_for_its_owner(path: Path) -> None:
    """New files can be read by their owner only."""
    write(path, 2)
    if os.name == "posix":
        assert path.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"fsync": "sometimes"}, "fsync is 'never', 'always' or seconds"),
        ({"fsync": 0}, "more than 0 seconds"),
        ({"fsync": float("nan")}, "more than 0 seconds"),
        ({"key": "0123456789abcdef"}, "key is at least 16 bytes, not str"),
        ({"key": b"short"}, "key is at least 16 bytes, got 5"),
        ({"salt": b"short"}, "salt is at least 16 bytes"),
    ],
)
def test_bad_options_are_named(path: Path, options: dict[str, Any], message: str) -> None:
    """What cannot work raises when the writer is made, and leaves no file."""
    with pytest.raises(ConfigError, match=message):
        AuditWriter(path, **options)
    assert not path.exists()


def test_a_folder_must_exist(tmp_path: Path) -> None:
    """A path that leads nowhere is named at once."""
    with pytest.raises(ConfigError, match="does not exist"):
        AuditWriter(tmp_path / "no" / "a.jsonl")
    with pytest.raises(ConfigError, match="is a folder"):
        AuditWriter(tmp_path)
    with pytest.raises(ConfigError, match="not NoneType"):
        AuditWriter(None)  # type: ignore[arg-type]


def test_our_own_event_names_are_kept(path: Path) -> None:
    """Nobody writes lines that look like those of the file itself."""
    with AuditWriter(path) as writer, pytest.raises(ConfigError, match=r"begin with 'audit\.'"):
        writer.append("audit.recovered")


def test_hashed_garbage_is_still_garbage(path: Path) -> None:
    """A line with the right hash that is no object, or no JSON, is broken."""
    for body in (b"[1", b'{"seq":1,"event":', b'{"seq":1,"prev_hash":"x"', b'{"seq":"1"'):
        digest = hashlib.sha256(body).hexdigest()
        path.write_bytes(body + b',"hash":"' + digest.encode() + b'"}\n')
        assert verify(path).broken_line == 1


def test_the_command(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """`audit verify` says what it found, and its exit status tells scripts."""
    write(path, 4, key=KEY)
    secret = path.with_name("key")
    secret.write_bytes(KEY)
    assert main(["verify", str(path), "--key-file", str(secret)]) == 0
    assert capsys.readouterr().out == f"{path}: 4 lines, all sound\n"
    assert main(["verify", str(path)]) == 1
    assert "line 1 is broken: its content does not fit its hash" in capsys.readouterr().out
    Path(f"{path}.head").unlink()
    assert main(["verify", str(path), "--key-file", str(secret)]) == 0
    assert "note: no head file" in capsys.readouterr().err
    assert main(["verify", str(path.with_name("missing"))]) == 2
    assert "missing: No such file" in capsys.readouterr().err
    assert main(["verify", str(path), "--key-file", str(path.with_name("no key"))]) == 2
    assert capsys.readouterr().err.startswith(f"{path.with_name('no key')}: No such file")
    with pytest.raises(SystemExit):
        main([])


def test_an_empty_file_is_sound(path: Path) -> None:
    """A file without lines has nothing that could be broken."""
    path.write_bytes(b"")
    found = verify(path)
    assert found
    assert found.lines == 0
