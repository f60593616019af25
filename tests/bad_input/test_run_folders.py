"""Run folders, recipes and sweep files that come from another person build nothing but parts of eaglebench."""

import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

import eaglebench
from eaglebench.config.targets import MODULES, check_targets, find_targets
from eaglebench.runs import CONFIG
from eaglebench.utils.errors import UserError
from tests.conftest import Outcome, command_of

# (the field of a configuration, what it names): what each would do is read a pickle, write a file or start a program
HOSTILE = [
    ("experts.clip", "torch.load"),
    ("experts.sam", "torch.hub.load"),
    ("fusion", "numpy.load"),
    ("llm", "builtins.open"),
    ("stages.sft", "os.system"),
    ("trainer.strategy", "subprocess.run"),
    ("logger.csv", "runpy.run_path"),
    ("launcher", "pickle.load"),
    # through modules of eaglebench
    ("experts.clip", "eaglebench.utils.provenance.subprocess.run"),
    ("experts.clip", "eaglebench.experts.base.torch.load"),
    ("experts.clip", "eaglebench.experts.base.read_checkpoint"),  # which it only imports
    ("stages.sft", "eaglebench.stages.store.write_json"),
    ("stages.sft", "eaglebench.utils.files.write_bytes"),
    ("fusion", "eaglebench.experts.clip.Clip"),  # of another group
    ("experts.clip", "eaglebench.experts"),
    ("experts.clip", "eaglebench_experts.Clip"),
    ("llm", "evil.Model"),
    ("llm", ""),
    ("llm", 3),
]


@pytest.fixture
def run(finished_run: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A finished run beside a module that must not be imported."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("evil.py").write_text("from pathlib import Path\nPath('imported').touch()\nModel = print\n")
    return Path(shutil.copytree(finished_run, tmp_path / "run"))


def set_field(run: Path, path: str, value: Any) -> None:
    """Set a field of the configuration in a run folder."""
    config = yaml.safe_load((run / CONFIG).read_text())
    node = config
    *parents, name = path.split(".")
    for parent in parents:
        node[parent] = node.get(parent) or {}
        node = node[parent]
    node[name] = value
    (run / CONFIG).write_text(yaml.safe_dump(config, sort_keys=False))


@pytest.mark.parametrize(("field", "target"), HOSTILE)
def test_a_run_folder_builds_nothing_else(run: Path, field: str, target: Any) -> None:
    set_field(run, f"{field}._target_", target)
    with pytest.raises(UserError, match=rf"{field}\._target_="):
        eaglebench.load(run).model  # noqa: B018
    assert not Path("imported").exists()


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("experts.clip.image_size", {"_target_": "os.getpid"}),
        ("experts.clip.windows", [[{"_target_": "os.getpid"}]]),
        ("stages.pre_align.projector", {"_target_": "evil.Model"}),
        ("evaluation.generate", {"_target_": "evil.Model"}),
    ],
)
def test_nor_deeper_in_it(run: Path, field: str, value: Any) -> None:
    set_field(run, field, value)
    with pytest.raises(UserError, match=field.rpartition(".")[0]):
        eaglebench.load(run).model  # noqa: B018
    assert not Path("imported").exists()


def test_a_run_folder_cannot_declare_modules_itself(run: Path) -> None:
    set_field(run, "plugins", ["evil"])
    set_field(run, "llm._target_", "evil.Model")
    with pytest.raises(UserError, match="if it is your own, declare its module, 'plugins=\\[MODULE\\]'"):
        eaglebench.load(run)
    assert not Path("imported").exists()


def test_the_user_can(run: Path) -> None:
    Path("mine.py").write_text("from eaglebench.experts.clip import Clip\nclass Own(Clip):\n    pass\n")
    set_field(run, "experts.clip._target_", "mine.Own")
    with pytest.raises(UserError, match="declare its module"):
        eaglebench.load(run)
    found = eaglebench.load(run, plugins=["mine"])
    assert type(found.model.experts["clip"]).__name__ == "Own"
    assert "mine" in sys.modules


def test_a_text_with_a_dollar_stays_a_text(run: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is read from a run folder refers to nothing: not to fields, and not to the environment."""
    monkeypatch.setenv("SECRET", "told")
    set_field(run, "run_name", "${oc.env:SECRET}")
    set_field(run, "fusion.name", "${oc.env:SECRET}")
    found = eaglebench.load(run)
    assert found.config.fusion.name == "${oc.env:SECRET}"
    assert found.model is not None


@pytest.mark.parametrize("task", ["task=predict prompt=x", "task=eval"])
def test_commands_refuse_it_too(run: Path, command: Callable[..., Outcome], task: str) -> None:
    set_field(run, "experts.clip._target_", "evil.Model")
    outcome = command(*task.split(), f"run={run}")
    assert outcome.code == 2
    assert "error: experts.clip._target_=evil.Model is refused" in outcome.err
    assert not Path("imported").exists()


@pytest.mark.parametrize(
    ("recipe", "mistake"),
    [
        ("fusion: {_target_: evil.Model}", r"fusion\._target_=evil\.Model is refused"),
        ("plugins: [evil]", r"a file of the configuration sets plugins=\['evil'\]"),
        ("hydra: {callbacks: {x: {_target_: evil.Model}}}", r"hydra\.callbacks\.x\._target_=evil\.Model is refused"),
        ("hydra: {sweeper: {_target_: evil.Model}}", r"hydra\.sweeper\._target_=evil\.Model is refused"),
        (
            "hydra: {job_logging: {handlers: {x: {(): evil.Model}}}}",
            r"hydra\.job_logging\.handlers\.x\.\(\)=evil\.Model is not built",
        ),
        (
            "hydra: {hydra_logging: {handlers: {x: {class: evil.Model}}}}",
            r"hydra\.hydra_logging\.handlers\.x\.class=evil\.Model is not built",
        ),
        *(
            (f"hydra: {setting}", r"a file of the configuration sets hydra\.[\w.]+=.*: say it on the command line")
            for setting in (
                "{run: {dir: imported}}",
                "{sweep: {dir: imported}}",
                "{sweep: {subdir: ../imported}}",
                "{output_subdir: imported}",
                "{job: {env_set: {LD_PRELOAD: evil.so}}}",
                "{job: {env_copy: [HOME]}}",
                "{job: {chdir: true}}",
                "{job_logging: {handlers: {x: {class: logging.FileHandler, filename: imported}}}}",
                "{hydra_logging: {handlers: {x: {class: logging.FileHandler, filename: imported}}}}",
            )
        ),
    ],
)
@pytest.mark.parametrize("flags", [(), ("-m", "seed=0,1")])
def test_a_recipe_builds_nothing_else(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    command: Callable[..., Outcome],
    recipe: str,
    mistake: str,
    flags: tuple[str, ...],
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    Path("evil.py").write_text("from pathlib import Path\nPath('imported').touch()\nModel = print\n")
    Path("conf/experiment").mkdir(parents=True)
    Path("conf/experiment/theirs.yaml").write_text(f"# @package _global_\n{recipe}\n")
    outcome = command("--config-dir", "conf", "experiment=theirs", "fast=true", *flags)
    assert outcome.code == 2

    assert re.search(mistake, outcome.err)
    assert not Path("imported").exists()


@pytest.mark.parametrize("name", ["hydra.callbacks.x._target_", "plugins", "task", "launcher", "+hydra.run.dir"])
def test_a_sweep_file_chooses_no_code_to_run(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: Callable[..., Outcome], name: str
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("sweep.yaml").write_text(yaml.safe_dump({"method": "grid", "parameters": {name: {"value": "x"}}}))
    outcome = command("task=sweep", "sweep=sweep.yaml")
    assert (outcome.code, f"{name} is not for a sweep file" in outcome.err) == (2, True)


def test_everything_in_conf_may_be_built() -> None:
    """The table of rooms covers every group that names a class."""
    for task in ("train", "select", "bench", "pretrain", "sweep"):
        resolved = command_of(f"task={task}").resolved
        assert {path.partition(".")[0] for path, _ in find_targets(resolved)} <= set(MODULES)
        check_targets(resolved)
