"""The upstream cases of all experts: those of `conf/experts/NAME.yaml` are in `NAME.py` beside this file."""

from importlib import import_module
from pathlib import Path

from eaglebench.config.compose import options
from tests.helpers.upstream.base import Cases, FullSize

EXPERTS = tuple(name for name in options("experts") if Path(__file__).with_name(f"{name}.py").is_file())
MODULES = {name: import_module(f"tests.helpers.upstream.{name}") for name in EXPERTS}
CASES: Cases = {f"{name}: {case}": write for name, module in MODULES.items() for case, write in module.CASES.items()}
FULL_SIZES: dict[str, FullSize] = {name: module.FULL_SIZE for name, module in MODULES.items()}
