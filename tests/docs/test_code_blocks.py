"""Every Python block of the READMEs and docs/ runs; CONTRIBUTING.md says how a page writes them."""

from __future__ import annotations

import ast
import asyncio
import gc
import io
import logging
import re
import sys
import textwrap
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from types import FunctionType, ModuleType

import pytest

ROOT = Path(__file__).parent.parent.parent
PAGES = [*sorted(ROOT.glob("README*.md")), *sorted((ROOT / "docs").rglob("*.md"))]
HAS_PUBLIC_NAMES = (ROOT / "src/agentprod/__init__.py").exists()

NOWHERE = "http://127.0.0.1:9"  # nothing listens there, so that a block without a provider reaches nobody
FENCE = re.compile(r"(?P<indent> *)(?P<fence>`{3,}|~{3,}) *(?P<language>\w*).*")
COMMENT = re.compile(r" *<!-- *(?P<word>no-run|provider|prints)(?:: *(?P<rest>.*?))? *-->")


@dataclass
class Block:
    """One Python block of a page, with what the comments around it ask for."""

    code: str
    line: int
    no_run: str | None = None
    provider: list[str] | None = None
    prints: str | None = None


def read_blocks(text: str) -> list[Block]:
    """Return the Python blocks of a Markdown text, in order.

    Raises:
        ValueError: if a comment for blocks is not followed by one, or `no-run` gives no reason.
    """
    blocks: list[Block] = []
    notes: dict[str, str] = {}
    for line, language, content in _pieces(text):
        comment = COMMENT.fullmatch(content) if language is None else None
        if comment:
            notes[comment["word"]] = comment["rest"] or ""
        elif language is not None and "prints" in notes:
            if not blocks:
                raise ValueError(f"line {line}: no block before this one could have printed it")
            blocks[-1].prints = content
            del notes["prints"]
        elif language == "python":
            if notes.get("no-run") == "":
                raise ValueError(f"line {line}: no-run needs a reason")
            provider = notes["provider"].split() if "provider" in notes else None
            blocks.append(Block(content, line, no_run=notes.get("no-run"), provider=provider))
            notes = {}
        elif content.strip() and notes:
            raise ValueError(f"line {line}: expected a block after the comment {sorted(notes)}")
    if notes:
        raise ValueError(f"expected a block after the comment {sorted(notes)}")
    return blocks


def _pieces(text: str) -> Iterator[tuple[int, str | None, str]]:
    """Yield each line outside fences as (number, None, line), each fenced block as (first line, language, content)."""
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        opening = FENCE.fullmatch(line)
        if not opening:
            yield number, None, line
            continue
        content = []
        for _, inner in lines:
            if inner.strip().startswith(opening["fence"]) and not inner.strip().strip(opening["fence"][0]):
                break
            content.append(inner)
        yield number + 1, opening["language"], textwrap.dedent("\n".join(content))


def run_page(page: Path, blocks: list[Block], monkeypatch: pytest.MonkeyPatch) -> None:
    """Run the blocks of a page in one namespace and, where they await, on one event loop."""
    module = ModuleType("documentation_page")
    monkeypatch.setitem(sys.modules, module.__name__, module)
    _use_provider(NOWHERE, NOWHERE, monkeypatch)
    with asyncio.Runner() as runner, ExitStack() as providers:
        providers.callback(_forget, module)
        for block in blocks:
            if block.provider is not None:
                from agentprod.testing import Provider

                provider = providers.enter_context(Provider(block.provider or None))
                _use_provider(provider.openai_url, provider.anthropic_url, monkeypatch)
            source = "\n" * (block.line - 1) + block.code  # so that a traceback names the line of the page
            code = compile(source, str(page), "exec", ast.PyCF_ALLOW_TOP_LEVEL_AWAIT, dont_inherit=True)
            if block.no_run is not None:
                continue
            printed = io.StringIO()
            with redirect_stdout(printed):
                awaitable = FunctionType(code, module.__dict__)()
                if awaitable is not None:
                    runner.run(awaitable)
            if block.prints is not None:
                assert printed.getvalue().rstrip() == block.prints.rstrip(), f"{page}:{block.line} prints otherwise"


def _forget(module: ModuleType) -> None:
    """Let go of a page's clients now: pages close none, and their sockets would be complained of in a later test."""
    vars(module).clear()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ResourceWarning)
        gc.collect()


def _use_provider(openai_url: str, anthropic_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_BASE_URL", openai_url)
    monkeypatch.setenv("ANTHROPIC_BASE_URL", anthropic_url)
    monkeypatch.setenv("OPENAI_API_KEY", "any")
    monkeypatch.setenv("ANTHROPIC_API_KEY", "any")


@pytest.fixture(autouse=True)
def process_as_it_was() -> Iterator[None]:
    """Let a page drain the process, set up the log or start a monitor: the next one begins anew."""
    logger = logging.getLogger("agentprod")
    handlers, level, propagate = list(logger.handlers), logger.level, logger.propagate
    yield
    if HAS_PUBLIC_NAMES:
        from agentprod import draining
        from agentprod.telemetry import logs, sinks

        draining.resume()
        logs.write_calls(False)
        for stop in sinks._stop_listening:
            stop()
        sinks._sinks, sinks._stop_listening = (), ()
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_the_blocks_of_a_page_run(page: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What a reader copies from a page, from top to bottom, works and prints what the page says."""
    blocks = read_blocks(page.read_text("utf-8"))
    if not HAS_PUBLIC_NAMES and any("import agentprod as ap" in block.code for block in blocks):
        pytest.skip("the package has no public names yet")
    monkeypatch.chdir(tmp_path)
    run_page(page, blocks, monkeypatch)


def run(text: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run a page with this text."""
    run_page(tmp_path / "page.md", read_blocks(text), monkeypatch)


def test_a_page_without_blocks_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Prose, and blocks in other languages, are left alone."""
    run("# Title\n\n```console\n$ false\n```\n", tmp_path, monkeypatch)


def test_blocks_share_names_and_may_await(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page is one namespace and one event loop; indented and tilde fences count."""
    text = """
```python title="first.py"
async def double(x):
    return 2 * x
```
=== "tab"

    ~~~python
    y = await double(21)
    print(y)
    ~~~

<!-- prints -->
```text
42
```
"""
    run(text, tmp_path, monkeypatch)


def test_a_failing_block_fails_at_its_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The traceback points into the page."""
    with pytest.raises(ZeroDivisionError) as caught:
        run("text\n\n```python\nx = 1\nx / 0\n```\n", tmp_path, monkeypatch)
    assert caught.traceback[-1].lineno + 1 == 5


def test_another_output_fails(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A page that says what is printed has to be right about it."""
    with pytest.raises(AssertionError, match="prints otherwise"):
        run("```python\nprint(1)\n```\n<!-- prints -->\n```\n2\n```\n", tmp_path, monkeypatch)


def test_a_block_not_to_be_run_is_compiled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`no-run` spares a block from running, not from being Python."""
    run("<!-- no-run: it would take a minute -->\n```python\n1 / 0\n```\n", tmp_path, monkeypatch)
    with pytest.raises(SyntaxError):
        run("<!-- no-run: it is broken -->\n\n```python\n1 /\n```\n", tmp_path, monkeypatch)


@pytest.mark.parametrize(
    "text",
    [
        "<!-- no-run: -->\n```python\n1\n```\n",
        "<!-- no-run: no block -->\ntext\n",
        "<!-- provider: ok -->\n",
        "<!-- prints -->\n```\n1\n```\n",
    ],
)
def test_a_comment_that_does_nothing_is_an_error(text: str) -> None:
    """A comment without its block or its reason is a mistake of the writer."""
    with pytest.raises(ValueError, match=r"needs a reason|expected a block|no block before"):
        read_blocks(text)


def test_a_provider_answers_the_blocks_that_follow(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With `provider`, a client made without arguments talks to a scripted provider on this machine."""
    pytest.importorskip("agentprod.testing.provider", exc_type=ImportError)
    text = """
<!-- provider: rate_limit ok -->
```python
from openai import OpenAI, RateLimitError

with OpenAI(max_retries=0) as client:
    for _ in range(2):
        try:
            client.chat.completions.create(model="gpt-5-mini", messages=[{"role": "user", "content": "hi"}])
        except RateLimitError as error:
            print(error.status_code)
        else:
            print("answered")
```

<!-- prints -->
```text
429
answered
```
"""
    run(text, tmp_path, monkeypatch)
