"""Runs as SLURM jobs, submitted by submitit's sbatch script."""

import os
import runpy
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from getpass import getuser
from pathlib import Path
from typing import Any, ClassVar

from pydantic import PositiveFloat, PositiveInt
from submitit import AutoExecutor
from submitit.core.utils import FailedJobError

from eaglebench.launchers.base import InterruptedJob, Job, Launcher, Slot
from eaglebench.training.requeue import REQUEUE, run_slurm_command
from eaglebench.utils.errors import UserError, first_line


class SlurmLauncher(Launcher):
    """Submits each job with one task for each device.

    When the launcher is stopped, jobs stay in the queue; the same command, run again, waits for them.

    Args:
        at_once: jobs of a selection or a sweep that are submitted side by side.
        folder: submission scripts, and what jobs print.
        time: of a job, in minutes.
        warning: seconds before the end of its time at which a job writes a checkpoint and is requeued.
        partition, account, qos, constraint: of sbatch; None: the cluster's own choice.
        cpus_per_task: CPU cores of each device.
        mem_gb: memory of each node, in GB; None: the cluster's own choice.
        setup: shell lines before the run.
        options: any other option of sbatch.
    """

    result_polls: ClassVar[int] = 5  # the files of another node can be seen after its job is gone
    squeue_retries: ClassVar[int] = 150  # failed calls of squeue before a trial fails: five minutes

    def __init__(
        self,
        *,
        at_once: PositiveInt,
        folder: Path,
        time: PositiveInt,
        warning: PositiveInt,
        partition: str | None,
        account: str | None,
        qos: str | None,
        constraint: str | None,
        cpus_per_task: PositiveInt,
        mem_gb: PositiveFloat | None,
        setup: Sequence[str],
        options: Mapping[str, Any] | None,
    ) -> None:
        super().__init__(at_once)
        self.folder = Path(folder)
        self.time = time
        self.warning = warning
        named = {"partition": partition, "account": account, "qos": qos, "constraint": constraint}
        self.named_options = {key: value for key, value in named.items() if value is not None}
        self.cpus_per_task = cpus_per_task
        self.mem_gb = mem_gb
        self.setup = list(setup)
        self.options = dict(options or {})

    def check(self) -> None:
        if shutil.which("sbatch") is None:
            raise UserError("launcher=slurm needs SLURM's sbatch, which is not on this machine: leave launcher=local.")

    def check_job(self, job: Job) -> None:
        if job.devices == "auto":
            raise UserError(
                "trainer.devices=auto is not known until the job is scheduled: give a number with launcher=slurm."
            )
        if not job.resumable:
            raise UserError("store=none loses the work of a pre-empted job: give a folder with launcher=slurm.")

    def run_elsewhere(self, job: Job) -> bool:
        """Submit the job and return at once."""
        self.check_job(job)
        self.check()
        self.submit(job)
        return True

    def is_running(self, job: Job) -> bool:
        """Whether the queue holds a job of this name that was submitted from this folder.

        Raises:
            UserError: SLURM does not answer.
            InterruptedJob: this process has to end.
        """
        for _ in range(self.squeue_retries):
            answer = run_slurm_command(
                "squeue", f"--user={getuser()}", "--noheader", "--format=%Z", f"--name={job.name}"
            )
            if answer.returncode == 0:
                return str(Path.cwd()) in answer.stdout.splitlines()
            if self.stopping.wait(self.poll_seconds):
                raise InterruptedJob("SLURM did not answer")
        raise UserError(f"SLURM does not answer ({answer.stderr.strip()})")

    def start(self, job: Job, slot: Slot) -> None:
        self.submit(job)

    def wait(self, job: Job, log: Callable[[str], None]) -> str | None:
        while self.is_running(job):
            if self.stopping.wait(self.poll_seconds):
                log("its job stays in the queue")
                raise InterruptedJob("its job stays in the queue")
        return None

    def output_path(self, job: Job) -> Path:
        return self.folder

    def submit(self, job: Job) -> None:
        """Submit the job, and print its number and log file.

        Raises:
            UserError: SLURM rejects it.
        """
        executor = AutoExecutor(self.folder, cluster="slurm")
        executor.update_parameters(
            name=job.name,
            nodes=job.nodes,
            tasks_per_node=job.processes_per_node,
            cpus_per_task=self.cpus_per_task,
            timeout_min=self.time,
            **({} if self.mem_gb is None else {"mem_gb": self.mem_gb}),
            **({} if job.on_cpu else {"gpus_per_node": job.processes_per_node}),
            slurm_setup=self.setup,
            # srun does not take cpus_per_task over from sbatch. --wait=0 sets no limit, because one process evaluates
            # long after the others have ended.
            slurm_srun_args=["--kill-on-bad-exit=1", f"--cpus-per-task={self.cpus_per_task}", "--wait=0"],
            # On submitit's own signal it would requeue the job itself, in the middle of a step.
            slurm_additional_parameters={
                "signal": f"USR1@{self.warning}",
                "requeue": True,
                **self.named_options,
                **self.options,
            },
        )
        try:
            submitted = executor.submit(run_in_job, list(job.arguments))
        except (FailedJobError, subprocess.CalledProcessError) as error:
            raise UserError(f"SLURM rejects the job: {first_line(error)}") from error
        print(f"{job.name}: submitted job {submitted.job_id}, log: {submitted.paths.stdout}")


def run_in_job(arguments: Sequence[str]) -> None:
    """Run `python -m eaglebench` with these arguments; this is what a job unpickles and calls."""
    os.environ[REQUEUE] = "1"
    sys.argv = ["eaglebench", *arguments]
    runpy.run_module("eaglebench", run_name="__main__", alter_sys=True)
