"""A launcher of somebody else's is one class and one YAML: trials and task=train need nothing more."""

import json
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
from rich.console import Console

from eaglebench.config.compose import compose_command
from eaglebench.launchers.base import Job, Launcher, Slot, build_launcher, stop_on_exit
from eaglebench.search.trials import Trial, run_trials
from eaglebench.utils.errors import TERMINATED, UserError
from tests.conftest import Outcome

OTHER = f"launcher._target_={__name__}.OtherLauncher"
OURS = f"plugins=[{__name__}]"


class OtherLauncher(Launcher):
    """Writes what a run leaves, at once; a job of seed 3 fails."""

    def __init__(self, at_once: int = 1, score: float = 0.5) -> None:
        super().__init__(at_once)
        self.score = score

    def run_elsewhere(self, job: Job) -> bool:
        print(f"took {job.name}")
        return True

    def start(self, job: Job, slot: Slot) -> None:
        job.folder.mkdir(parents=True)
        (job.folder / "scores.json").write_text(json.dumps({"overall": {"score": self.score}, "families": {}}))
        (job.folder / "manifest.json").write_text("{}")

    def wait(self, job: Job, log: Callable[[str], None]) -> str | None:
        log(f"waits for {job.name}")
        return "seed 3 fails" if "seed=3" in job.arguments else None

    def output_path(self, job: Job) -> Path:
        return Path("elsewhere")


def test_its_fields_are_arguments_of_its_constructor() -> None:
    launcher = build_launcher(
        compose_command([OURS, OTHER, "launcher.at_once=3", "+launcher.score=0.25"]).config.launcher
    )
    assert isinstance(launcher, OtherLauncher)
    assert (launcher.at_once, launcher.score) == (3, 0.25)
    with pytest.raises(UserError, match=r"launcher\.scores is unknown: did you mean launcher\.score\?"):
        compose_command([OURS, OTHER, "+launcher.scores=0.25"])


def test_it_runs_trials(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    trials = [Trial(f"seed {seed}", (f"seed={seed}",)) for seed in (2, 3)]
    console = Console(record=True, width=200)
    command = compose_command(["task=sweep", "sweep=any.yaml", OURS, OTHER])
    found = run_trials(trials, command, build_launcher(command.config.launcher), console)
    assert [result.scores for result in found] == [{"overall": {"score": 0.5}, "families": {}}, None]
    assert found[1].error == "seed 3 fails (full output: elsewhere)"
    assert f"seed 2: waits for {found[0].folder.name}" in console.export_text()


def test_it_runs_a_training(command: Callable[..., Outcome], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    outcome = command("fast=true", OURS, OTHER)
    assert (outcome.code, outcome.out.partition("-")[0]) == (0, "took clip+sam")


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_the_process_whatever_exception_its_exit_becomes(number: signal.Signals) -> None:
    launcher = OtherLauncher()
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # as without nohup
    try:
        with pytest.raises(SystemExit) as exit, stop_on_exit(launcher):
            try:
                signal.raise_signal(number)
            finally:
                raise AttributeError("while cleaning up")
        assert exit.value.code == TERMINATED
        assert launcher.stopping.is_set()
        with pytest.raises(AttributeError), stop_on_exit(launcher):
            raise AttributeError("of its own")
    finally:
        signal.signal(signal.SIGHUP, before)
