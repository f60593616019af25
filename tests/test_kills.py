"""A command that is killed at any moment ends, run again, as an unbroken one: with nothing lost, and nothing left."""

import time
from random import Random

import pytest

from eaglebench.utils.errors import TERMINATED
from tests.helpers.killed import FIRST_LINE, KILLS_IN_A_ROW, TASKS, Command, Material, Tally, Task


@pytest.fixture(scope="module")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    return Material(tmp_path_factory.mktemp("kills"))


def check(tally: Tally) -> None:
    faults = [*tally.lost, *tally.unequal, *tally.orphans, *tally.leftovers]
    assert not faults, "\n".join([str(tally), *faults])


def test_killed_at_random_moments_a_conversion_ends_the_same(material: Material) -> None:
    tally = Tally()
    material.kill("convert", 1, Random(0), tally)
    check(tally)


@pytest.mark.slow
def test_killed_again_and_again_every_task_ends_the_same(
    material: Material, pytestconfig: pytest.Config, capsys: pytest.CaptureFixture[str]
) -> None:
    """Each with every signal, at moments at which an unbroken one is still at work."""
    tally, random, wanted = Tally(), Random(1), pytestconfig.getoption("--kills")
    in_a_row = min(KILLS_IN_A_ROW, -(-wanted // len(TASKS)))
    while tally.kills < wanted:
        for name in TASKS:
            if tally.kills < wanted:
                material.kill(name, in_a_row, random, tally)
                with capsys.disabled():
                    print(f"\n{name}: {tally}", end="")
    check(tally)


def test_on_sigterm_it_says_where_it_resumes(material: Material) -> None:
    material.run_unbroken("train")
    task = Task([*TASKS["train"].overrides, "stages.pre_align.steps=100000", "checkpoint_every=10"], [])
    command = Command(task, material.root / "stopped", material.trained)
    process = command.start(FIRST_LINE)
    while not list((command.folder / "store").rglob("step-*")):  # before the first step, SIGTERM just ends a process
        assert process.is_alive(), command.out()
        time.sleep(0.02)
    process.terminate()
    process.join()
    assert process.exitcode == TERMINATED
    step = command.out().rpartition("received SIGTERM; the same command resumes from step ")[2].split()[0]
    command.start(f"pre_align/sam: resumes from step {step} of 100000").kill()
