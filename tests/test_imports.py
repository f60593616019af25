"""Imports run one way: down the list of rooms below. Hydra and Lightning stay where they belong."""

import ast
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

import eaglebench

PACKAGE = Path(eaglebench.__file__).parent
MODULES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}

# From top to bottom: a room may import those below it, and itself. Rooms of one floor do not import each other.
FLOORS = [
    {"__main__", "__init__"},
    {"tasks"},
    {"search", "trained"},
    {"launchers", "integrations", "profiling"},
    {"config", "report"},
    {"stages", "evaluation"},
    {"training", "zoo", "runs"},
    {"model"},
    {"experts", "language", "fusion"},
    {"data", "weights"},
    {"utils"},
]
ROOMS = {room for floor in FLOORS for room in floor}
# Where the configuration becomes plain objects.
HYDRA = ("eaglebench.config.", "eaglebench.tasks.", "eaglebench.__main__", "eaglebench.search.overrides")
LIGHTNING = ("training", "integrations")
# Commands that answer without torch.
LIGHT_TASKS = (
    "store",
    "report",
    "compare",
    "convert",
    "sweep",
    "select",
    "train",
    "eval",
    "predict",
    "pretrain",
    "plan",
    "bench",
)
HEAVY = ("torch", "lightning", "transformers", "timm", "torchvision")


@cache
def imports_of(module: str) -> frozenset[str]:
    """The modules that a module imports, those within functions too, type-checking imports aside."""
    tree = ast.parse(MODULES[module].read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    found = set()
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return frozenset(found)


def room_of(module: str) -> str:
    parts = module.split(".")
    return "__init__" if parts == ["eaglebench"] else parts[1]


def floor_of(room: str) -> int:
    return next(number for number, floor in enumerate(FLOORS) if room in floor)


def test_every_room_has_its_floor() -> None:
    assert {room_of(module) for module in MODULES} == ROOMS


@pytest.mark.parametrize("module", sorted(MODULES))
def test_imports_run_down_the_floors(module: str) -> None:
    room = room_of(module)
    for name in imports_of(module):
        if name.startswith("eaglebench.") and (other := room_of(name)) != room:
            assert floor_of(other) > floor_of(room), name


def test_hydra_stops_where_configuration_becomes_objects() -> None:
    for module in MODULES:
        if not module.startswith(HYDRA):
            assert not {name.split(".")[0] for name in imports_of(module)} & {"hydra", "omegaconf"}, module


def test_lightning_stays_in_training() -> None:
    for module in MODULES:
        if room_of(module) not in LIGHTNING and module not in (
            "eaglebench.config.build",
            "eaglebench.utils.distributed",
        ):
            assert "lightning" not in {name.split(".")[0] for name in imports_of(module)}, module


def test_imports_are_absolute() -> None:
    for path in MODULES.values():
        relative = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and n.level]
        assert relative == [], path


def test_tasks_start_without_torch() -> None:
    """What a task does not need is not waited for, and every mistake is answered at once."""
    modules = ["eaglebench", "eaglebench.__main__", *(f"eaglebench.tasks.{task}" for task in LIGHT_TASKS)]
    program = f"import sys, {', '.join(modules)}; print([m for m in {HEAVY} if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
