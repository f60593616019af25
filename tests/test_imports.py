"""Imports run one way, and Hydra and Lightning stay where they belong."""

import ast
from pathlib import Path

import eaglebench

PACKAGE = Path(eaglebench.__file__).parent
MODULES = {".".join(path.relative_to(PACKAGE.parent).with_suffix("").parts): path for path in PACKAGE.rglob("*.py")}

APART = {"experts", "fusion", "language"}  # these know nothing of each other


# Where configs become plain objects: these may import anything below them.
TASKS = {"eaglebench.__main__", "eaglebench.config.compose", "eaglebench.config.build", "eaglebench.runs", "eaglebench.tasks.train", "eaglebench.launchers.local", "eaglebench.config.inputs", "eaglebench.tasks.store",
    "eaglebench.tasks.predict", "eaglebench.tasks.pretrain", "eaglebench.tasks.convert", "eaglebench.tasks.eval", "eaglebench.tasks.compare", "eaglebench.integrations.lmms_eval.evaluate", "eaglebench.tasks.report",
    "eaglebench.tasks.plan", "eaglebench.search.trials", "eaglebench.tasks.select", "eaglebench.tasks.sweep", "eaglebench.tasks.bench", "eaglebench.profiling.bench.experts", "eaglebench.profiling.bench.fusion", "eaglebench.profiling.bench.table"}  # fmt: skip


def imported(path: Path) -> set[str]:
    """The modules that a file imports, type-checking imports aside."""
    found = set()
    tree = ast.parse(path.read_text())
    skipped = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if id(node) in skipped:
            continue
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
    return found


def part_of(module: str) -> str:
    words = module.split(".")
    return words[1] if len(words) > 1 else ""


def test_experts_fusions_and_language_models_know_nothing_of_each_other() -> None:
    for module, path in MODULES.items():
        part = part_of(module)
        if part in APART and module != "eaglebench.language.tokenizer":  # its program reads the synthetic world
            others = {part_of(name) for name in imported(path) if name.startswith("eaglebench.")}
            assert others <= {part, "checkpoints", "errors", "files", "treatment", "weights"}, module


def test_hydra_stops_at_the_task_functions() -> None:
    for module, path in MODULES.items():
        if module not in TASKS:
            assert not {name.split(".")[0] for name in imported(path)} & {"hydra", "omegaconf"}, module


def test_lightning_stays_in_training() -> None:
    for module, path in MODULES.items():
        if part_of(module) not in ("training", "build"):
            assert "lightning" not in {name.split(".")[0] for name in imported(path)}, module


# What each part may import, besides itself and what serves all.
SERVES_ALL = {"errors", "files", "digests", "versions", "weights", "treatment"}
MAY_IMPORT = {
    "data": set(),
    "model": APART | {"data"},
    "zoo": APART | {"data", "model"},
    "training": {"data", "model"},
    "stages": APART | {"data", "model", "training"},
    "plan": {"data", "model", "training"},
    "selection": {"model", "plan", "report", "stages", "trials"},
    "sweep": {"trials"},
    "report": APART | {"data", "model", "stages", "evaluation", "runs"},
}


def test_imports_run_one_way() -> None:
    for module, path in MODULES.items():
        part = part_of(module)
        if part in MAY_IMPORT and module not in TASKS:
            others = {part_of(name) for name in imported(path) if name.startswith("eaglebench.")}
            assert others <= MAY_IMPORT[part] | SERVES_ALL | {part}, module


def test_imports_are_absolute() -> None:
    for module, path in MODULES.items():
        relative = [n for n in ast.walk(ast.parse(path.read_text())) if isinstance(n, ast.ImportFrom) and n.level]
        assert relative == [], module
