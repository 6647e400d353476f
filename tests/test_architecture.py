"""The shape of the code: a core that only decides, imports that flow one way, frozen config."""

import ast
import dataclasses
import inspect
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

import httpx_resilience
from httpx_resilience._core import policy
from httpx_resilience._core.dialect import catalog
from httpx_resilience._core.headers import HeaderFamily
from httpx_resilience._core.retry.backoff import Backoff

ROOT = Path(httpx_resilience.__file__).parent
CORE = ROOT / "_core"

FORBIDDEN = {
    "asyncio", "datetime", "http", "io", "logging", "os", "pathlib", "queue", "random", "secrets",
    "select", "selectors", "signal", "socket", "ssl", "subprocess", "sys", "time", "urllib", "uuid",
}  # fmt: skip
"""Of the standard library: clocks, chance, input and output. The core is told what they say."""

ORDER = (
    "checks",
    "frozen",
    "tuples",
    "lru",
    "outcome",
    "headers",
    "dialect.paths",
    "dialect.document",
    "dialect.catalog",
    "dialect.requests",
    "dialect.toml",
    "dialect.dialect",
    "dialect.envelope",
    "retry.backoff",
    "policy",
    "dialect.classify",
    "retry.budget",
    "retry.decision",
    "telemetry.records",
    "telemetry.events",
    "telemetry.store_events",
    "retry.availability",
    "retry.parked_call",
    "retry.parking",
    "retry.origin_status",
    "throttle",
    "call_state",
    "telemetry.advice",
    "telemetry.recorder",
    "telemetry.traffic",
    "steps",
    "call_sharing",
    "call_run",
    "flow",
)
"""The core's modules and folders; each may import those before it."""

LAYERS = (
    "_core",
    "dialects",
    "_runtime",
    "_nesting",
    "instrumentation",
    "_store",
    "_http",
    "_budget",
    "_registry",
    "_recovery",
    "_exchange",
    "_call",
    "_observed",
    "_threaded_calls",
    "_transport",
    "_async",
    "_sync",
    "auth",
    "_update",
    "_httpx",
    "httpx2",
    "__init__",
    "testing",
    "_pytest",
    "cli",
)
"""The package's parts; each may import those before it."""

ONE_PLACE = {
    "httpx": {"_http", "_httpx", "testing", "cli"},
    "httpx2": {"_http", "httpx2", "testing", "cli"},
    "anyio": {"_runtime", "testing", "cli"},
    "asyncio": {"testing", "cli"},
    "trio": {"_runtime", "testing", "cli"},
    "structlog": {"instrumentation", "cli"},
    "opentelemetry": {"instrumentation"},
}
"""Which part may import a library, beside the front door."""

EXTRAS = {
    *("brotli", "zstandard", "starlette", "uvicorn", "typer", "rich", "trio", "opentelemetry"),
}
"""What may be imported inside a function, for it may not be installed."""

ON_DEMAND = {
    ("__init__.py", "httpx_resilience._httpx"),
    ("_core/checks.py", "difflib"),
    ("__init__.py", "httpx_resilience._store.redis"),
    ("_call.py", "httpx_resilience._store.redis"),
    ("_core/dialect/dialect.py", "httpx_resilience._core.dialect.toml"),
    ("_pytest.py", "httpx_resilience.testing"),
    ("_pytest.py", "httpx_resilience.testing.httpx2"),
    ("testing/__init__.py", "httpx_resilience.testing._with_httpx"),
    ("testing/httpx2.py", "httpx_resilience.testing._with_httpx2"),
}
"""What is imported inside a function although it is always there: only a misspelling, or a dialect
in TOML, needs it, while a program sets itself up; whoever uses httpx2 needs nothing of httpx;
pytest starts with every plugin that is installed."""


def modules(folder: Path = ROOT) -> list[Path]:
    return sorted(folder.rglob("*.py"))


def part_of(path: Path, base: Path) -> str:
    """The first name below the base: a module, or the folder it stands in."""
    first = path.relative_to(base).parts[0]
    return first.removesuffix(".py")


def of_the_library() -> list[Path]:
    """Without the parts that are an extra as a whole."""
    return [path for path in modules() if part_of(path, ROOT) not in ("cli", "testing")]


def imports(path: Path, *, nested: bool = True) -> Iterator[tuple[str, int]]:
    """Every module that a file imports, by its absolute name."""
    tree = ast.parse(path.read_text())
    package = ("httpx_resilience", *path.relative_to(ROOT).parent.parts)
    for node in ast.walk(tree) if nested else tree.body:
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield alias.name, node.lineno
        elif isinstance(node, ast.ImportFrom):
            if node.level == 0:
                assert node.module is not None
                yield node.module, node.lineno
                continue
            base = package[: len(package) - node.level + 1]
            if node.module is not None:
                yield ".".join((*base, node.module)), node.lineno
            else:
                for alias in node.names:
                    yield ".".join((*base, alias.name)), node.lineno


def told(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("path", modules(CORE), ids=told)
def test_the_core_imports_the_standard_library_only_and_of_it_no_clock_chance_or_io(
    path: Path,
) -> None:
    for name, line in imports(path):
        top = name.split(".")[0]
        if top == "httpx_resilience":
            assert name.startswith("httpx_resilience._core"), f"line {line}: {name}"
        else:
            assert top in sys.stdlib_module_names, f"line {line}: {name}"
            assert top not in FORBIDDEN or (top, path.parent.name) == ("datetime", "headers"), (
                f"line {line}: {name}"
            )


@pytest.mark.parametrize("path", modules(CORE), ids=told)
def test_a_module_of_the_core_imports_only_modules_before_it(path: Path) -> None:
    own = place_of(".".join(path.relative_to(CORE).with_suffix("").parts))
    if path.name == "__init__.py" and "." not in own:
        return  # a folder's front door
    for name, line in imports(path):
        if name.startswith("httpx_resilience._core."):
            other = place_of(name.removeprefix("httpx_resilience._core."))
            before = ORDER.index(other) < ORDER.index(own)
            assert before or other == own, f"line {line}: {own} imports {other}"


def place_of(module: str) -> str:
    """Return the entry of the order that a module of the core belongs to."""
    parts = module.split(".")
    for size in range(len(parts), 0, -1):
        if (name := ".".join(parts[:size])) in ORDER:
            return name
    if module.endswith("__init__"):
        return module.removesuffix("__init__").rstrip(".")
    raise AssertionError(f"{module} has no place in the order yet")


@pytest.mark.parametrize("path", modules(), ids=told)
def test_a_part_of_the_package_imports_only_parts_before_it(path: Path) -> None:
    own = part_of(path, ROOT)
    assert own in LAYERS, f"{own} has no place in the order yet"
    for name, line in imports(path):
        top, _, rest = name.partition(".")
        if top != "httpx_resilience":
            continue
        other = rest.split(".")[0]
        if other not in LAYERS:  # a name at the front door
            other = "__init__"
        before = LAYERS.index(other) < LAYERS.index(own)
        assert before or other == own, f"line {line}: {own} imports {other}"


@pytest.mark.parametrize("path", modules(), ids=told)
def test_each_library_is_imported_in_one_place(path: Path) -> None:
    part = part_of(path, ROOT)
    for name, line in imports(path):
        allowed = ONE_PLACE.get(name.split(".")[0])
        assert allowed is None or part in allowed, f"line {line}: {part} imports {name}"


def graph() -> dict[str, set[str]]:
    """Every module, and the modules of the package that it imports when it is imported."""
    names = {
        ".".join(("httpx_resilience", *p.relative_to(ROOT).with_suffix("").parts))
        for p in modules()
    }
    known = {name.removesuffix(".__init__") for name in names}
    found: dict[str, set[str]] = {}
    for path in modules():
        own = ".".join(("httpx_resilience", *path.relative_to(ROOT).with_suffix("").parts))
        own = own.removesuffix(".__init__")
        found[own] = {name for name, _ in imports(path, nested=False) if name in known} - {own}
    return found


def test_no_module_imports_itself_by_a_circle() -> None:
    found, done = graph(), set[str]()

    def visit(name: str, way: tuple[str, ...]) -> None:
        assert name not in way, " -> ".join((*way[way.index(name) :], name))
        if name not in done:
            for other in sorted(found[name]):
                visit(other, (*way, name))
            done.add(name)

    for name in sorted(found):
        visit(name, ())
    assert len(done) == len(found) > 90


RETIRED = {
    *("Teller", "tell", "Story", "Fact", "offer", "told", "Spoken", "Road", "road_to", "Seen"),
    *("HeaderScan", "Said", "new_place", "woken", "wake", "STAMP", "Trouble", "trouble_of"),
    *("call_of", "parts_of", "earn", "FOREVER", "KEPT", "abandon_exchange", "_Run", "trios"),
    *("Ledger", "Ledgers", "drops", "least", "ample", "scout", "ghost", "keep", "_hand_over"),
    *("Pacer", "Easing", "Account", "Verdict", "Gate", "home_of", "RecentMap", "_launch", "_land"),
}
"""Names that the field has better words for; none may be defined again."""


@pytest.mark.parametrize("path", modules(), ids=told)
def test_no_retired_name_is_defined(path: Path) -> None:
    assert path.stem not in RETIRED
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef):
            assert node.name not in RETIRED, f"line {node.lineno}: {node.name}"


@pytest.mark.parametrize("path", modules(), ids=told)
def test_nothing_cites_what_its_readers_never_see(path: Path) -> None:
    for number, line in enumerate(path.read_text().splitlines(), 1):
        assert not any(word in line for word in ("DESIGN", "STYLE", "house.md")), f"line {number}"


@pytest.mark.parametrize("path", of_the_library(), ids=told)
def test_nothing_is_imported_inside_a_function_but_extras_and_what_few_need(path: Path) -> None:
    top_level = {line for _, line in imports(path, nested=False)}
    tree = ast.parse(path.read_text())
    guarded = {
        child.lineno
        for node in tree.body
        if isinstance(node, ast.If)  # TYPE_CHECKING
        for child in ast.walk(node)
        if isinstance(child, ast.ImportFrom | ast.Import)
    }
    for name, line in imports(path):
        if line not in top_level | guarded and (told(path), name) not in ON_DEMAND:
            assert name.split(".")[0] in EXTRAS, f"line {line}: {name}"


@pytest.mark.parametrize("path", modules(), ids=told)
def test_files_stay_short_and_functions_fit_a_screen(path: Path) -> None:
    text = path.read_text()
    if path.name != "scaivault.py":  # data
        assert len(text.splitlines()) <= 500
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            lines = (node.end_lineno or node.lineno) - node.body[0].lineno
            assert lines <= 60, f"{node.name} has {lines} lines"


def config_classes() -> list[type]:
    found = [policy, catalog]
    classes = {
        value
        for module in found
        for value in vars(module).values()
        if inspect.isclass(value) and dataclasses.is_dataclass(value)
    }
    return sorted(classes | {Backoff, HeaderFamily}, key=lambda kind: kind.__name__)


@pytest.mark.parametrize("kind", config_classes(), ids=lambda kind: kind.__name__)
def test_a_config_class_is_frozen_and_made_by_keyword_only(kind: type) -> None:
    options = kind.__dataclass_params__  # type: ignore[attr-defined]
    assert options.frozen
    assert options.eq
    assert all(field.kw_only for field in dataclasses.fields(kind))


def test_the_drivers_of_the_core_know_no_retry_rule() -> None:
    """What to do is decided in the core: a driver compares no status, code or class."""
    source = (ROOT / "_async.py").read_text()
    for word in ("ErrorClass", "Backoff", "max_attempts", "Retry-After", "429", "503"):
        assert word not in source


def test_the_marker_of_a_typed_package_is_there() -> None:
    assert (ROOT / "py.typed").exists()
