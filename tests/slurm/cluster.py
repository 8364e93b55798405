"""Boots and stops a real Slurm of four emulated nodes with two GPUs each, in a folder of its own.

From a shell: `python tests/slurm/cluster.py start FOLDER`, then `status FOLDER` and `stop FOLDER`.
"""

from __future__ import annotations

import argparse
import os
import shutil
import signal
import stat
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path
from types import TracebackType

from cluster_config import ACCOUNT, GPUS, NODES, write_configuration
from cluster_processes import (
    alive,
    daemons_of,
    job_processes,
    kill,
    step_managers_of,
    wait_until,
    with_descendants,
)

APT = "apt-get install -y --no-install-recommends slurm-wlm slurmdbd slurm-wlm-mysql-plugin munge mariadb-server"
COMMANDS = ("slurmctld", "slurmd", "slurmdbd", "munged", "mungekey", "mariadbd", "mariadb-install-db", "sbatch")
PATH = os.pathsep.join([os.environ.get("PATH", ""), "/usr/sbin", "/usr/bin", "/sbin", "/bin"])
SMALL_DATABASE = ("--no-defaults", "--user=root", "--innodb-log-file-size=4M")
UP = ("idle", "mixed", "allocated", "completing", "planned")


class Cluster:
    """One emulated cluster: its daemons, and the faults that tests inject into it."""

    def __init__(self, folder: Path, base_port: int = 17000) -> None:
        self.folder = folder.resolve()
        self.base_port = base_port
        self.name = f"sweep{base_port}"

    @property
    def environ(self) -> dict[str, str]:
        """What a process needs in its environment for Slurm's commands to mean this cluster."""
        return {"SLURM_CONF": str(self.folder / "slurm.conf")}

    @staticmethod
    def missing() -> list[str]:
        """What this machine lacks for a cluster; empty where one can boot."""
        lacking = [command for command in COMMANDS if shutil.which(command, path=PATH) is None]
        return lacking + ([] if os.geteuid() == 0 else ["root (slurmd starts jobs as their users)"])

    def __enter__(self) -> Cluster:
        self.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def start(self) -> None:
        """Boot, unless the cluster of this folder already answers."""
        if self.answers():
            return
        if missing := self.missing():
            raise RuntimeError(f"no Slurm cluster without {', '.join(missing)}; try: {APT}")
        self.stop()
        try:
            self._boot()
        except BaseException:
            self.stop()
            raise

    def _boot(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        write_configuration(self.folder, self.name, self.base_port)
        _make_gpus()
        self._start_munge()
        self._start_database()
        self.start_accounting()
        self._make_account()
        self.start_controller()
        for node in NODES:
            self._start_slurmd(node)
        wait_until(self.answers, 30, self._problem)

    def stop(self) -> None:
        """End every daemon, step and job process of this cluster, and of no other."""
        jobs = job_processes(self.folder)
        daemons = daemons_of(self.folder)
        database = {pid for pid in daemons if pid == self._pid("mariadbd")}
        kill(with_descendants(daemons - database) | jobs)
        kill(database, signal.SIGTERM)  # so that the next boot need not repair it
        wait_until(lambda: not any(map(alive, daemons | jobs)), 20, self._problem)
        for left in (*self.folder.glob("*.pid"), *self.folder.glob("*.socket*")):
            left.unlink()

    def answers(self) -> bool:
        """Whether controller and accounting answer and all nodes can run jobs."""
        if not (self.folder / "slurm.conf").exists() or not alive(self._pid("slurmctld")):
            return False
        nodes = self._ask("sinfo", "--noheader", "--Node", "--format=%N %T", "--partition=main")
        states = dict(line.split() for line in nodes.stdout.splitlines())
        return set(states) == set(NODES) and set(states.values()) <= set(UP) and self.accounting_answers()

    def accounting_answers(self) -> bool:
        """Whether sacct works."""
        return self._ask("sacct", "-X", "-n").returncode == 0

    # Jobs

    def run(self, *command: str) -> str:
        """What one of Slurm's commands prints; a RuntimeError with its complaint where it fails."""
        done = self._ask(*command)
        if done.returncode:
            raise RuntimeError(f"{' '.join(command)}: {done.stderr.strip() or done.stdout.strip()}")
        return done.stdout.strip()

    def submit(self, script: str, *options: str) -> str:
        """Submit a shell script's text; the job's id."""
        return self.run("sbatch", "--parsable", f"--output={self.folder}/job-%j.out", *options, "--wrap", script)

    def output_of(self, job_id: str) -> str:
        """What a job of submit has written."""
        return (self.folder / f"job-{job_id}.out").read_text()

    def state_of(self, job_id: str) -> str:
        """The job's state as sacct has it, or else squeue; empty while neither knows it."""
        booked = self._ask("sacct", "-X", "-n", "-P", "-j", job_id, "-o", "State").stdout.split("\n")[0]
        return booked.split()[0] if booked else self.queue_state_of(job_id)  # "CANCELLED by 0"

    def queue_state_of(self, job_id: str) -> str:
        """The state as slurmctld has it: seconds ahead of sacct, but forgotten minutes after the job's end."""
        return self._ask("squeue", "--noheader", "--states=all", f"--jobs={job_id}", "--format=%T").stdout.strip()

    def wait_for_state(self, job_id: str, states: str | Iterable[str], seconds: float = 60) -> str:
        """Wait until the job is in one of the states; which one."""
        wanted = {states} if isinstance(states, str) else set(states)
        seen = ""

        def there() -> bool:
            nonlocal seen
            seen = self.state_of(job_id)
            return seen in wanted

        wait_until(
            there, seconds, lambda: f"job {job_id} is {seen or 'unknown'}, not {' or '.join(sorted(wanted))}"
        )
        return seen

    def node_of(self, job_id: str) -> str:
        """The node that a running job is on; empty while it waits."""
        return self.run("squeue", "--noheader", f"--jobs={job_id}", "--format=%N")

    def cancel(self, job_id: str) -> None:
        """scancel."""
        self.run("scancel", job_id)

    def hold(self, job_id: str) -> None:
        """Keep a pending job from starting."""
        self.run("scontrol", "hold", job_id)

    def release(self, job_id: str) -> None:
        """Let a held job start."""
        self.run("scontrol", "release", job_id)

    def suspend(self, job_id: str) -> None:
        """Stop a running job's processes."""
        self.run("scontrol", "suspend", job_id)

    def resume(self, job_id: str) -> None:
        """Continue a suspended job."""
        self.run("scontrol", "resume", job_id)

    def requeue(self, job_id: str) -> None:
        """Send a running job back into the queue."""
        self.run("scontrol", "requeue", job_id)

    def free_cancel_all(self) -> None:
        """Cancel every job and wait until none is left on a node."""
        self._ask("scancel", "--full", "--user=root")
        wait_until(lambda: self.run("squeue", "--noheader") == "", 60, lambda: self.run("squeue"))

    # Faults

    def kill_node(self, name: str) -> None:
        """The node is gone at once, with all that ran on it."""
        daemon = {self._pid(name)} - {0}
        kill(daemon)
        managers = step_managers_of(self.folder / f"{name}.log")
        steps = with_descendants(managers) | job_processes(self.folder, name)
        kill(managers)  # first, lest one tells that its job has failed
        kill(steps - managers)
        wait_until(lambda: not any(map(alive, daemon | steps)), 10, self._problem)

    def start_node(self, name: str) -> None:
        """Bring a node back, if it is gone, and wait until Slurm uses it again."""
        if not alive(self._pid(name)):
            self._start_slurmd(name)
        if self.node_state(name).startswith("drain"):  # as after a step that would not end
            self.run("scontrol", "update", f"NodeName={name}", "State=RESUME")
        wait_until(lambda: self.node_state(name) in UP, 30, lambda: f"{name} is {self.node_state(name)}")

    def node_state(self, name: str) -> str:
        """What sinfo says of the node, with a * where it does not respond."""
        return self.run("sinfo", "--noheader", "--Node", f"--nodes={name}", "--partition=main", "--format=%T")

    def revive(self) -> None:
        """Whatever a test has stopped runs again."""
        if not alive(self._pid("slurmdbd")):
            self.start_accounting()
        if not alive(self._pid("slurmctld")):
            self.start_controller()
        for node in NODES:
            self.start_node(node)

    def kill_controller(self) -> None:
        """slurmctld dies without a word: Slurm's commands hang, then fail; jobs go on."""
        self._end("slurmctld", signal.SIGKILL)

    def start_controller(self) -> None:
        """slurmctld, and wait until it answers."""
        self._launch("slurmctld")
        wait_until(lambda: self._ask("scontrol", "ping").returncode == 0, 20, self._problem)

    def restart_controller(self) -> None:
        """An orderly restart, as after a change of the configuration."""
        self._end("slurmctld", signal.SIGTERM)
        self.start_controller()

    def stop_accounting(self) -> None:
        """slurmdbd goes: sacct fails, and slurmctld keeps what it has to book for later."""
        self._end("slurmdbd", signal.SIGTERM)

    def start_accounting(self) -> None:
        """slurmdbd, and wait until it answers."""
        self._launch("slurmdbd", {"MYSQL_UNIX_PORT": f"{self.folder}/mariadb.socket"})
        wait_until(lambda: self._ask("sacctmgr", "-n", "list", "cluster").returncode == 0, 20, self._problem)

    # Daemons

    def _start_munge(self) -> None:
        key = self.folder / "munge.key"
        if not key.exists():
            self._do("mungekey", "--create", f"--keyfile={key}")
        files = {
            "key-file": key.name,
            "socket": "munge.socket",
            "pid-file": "munged.pid",
            "log-file": "munged.log",
        }
        files["seed-file"] = "munge.seed"
        # A folder below /tmp is not as munged wants it, hence --force.
        self._do("munged", "--force", *(f"--{option}={self.folder / file}" for option, file in files.items()))

    def _start_database(self) -> None:
        data = self.folder / "database"
        if not data.exists():
            unfinished = self.folder / "database.new"
            shutil.rmtree(unfinished, ignore_errors=True)
            self._do("mariadb-install-db", *SMALL_DATABASE, f"--datadir={unfinished}", "--skip-test-db")
            unfinished.rename(data)
        socket = self.folder / "mariadb.socket"
        self._do(
            *("setsid", "--fork", "mariadbd", *SMALL_DATABASE, "--skip-networking"),
            *(f"--datadir={data}", f"--socket={socket}", f"--pid-file={self.folder}/mariadbd.pid"),
            *(f"--log-error={self.folder}/mariadbd.log", "--innodb-flush-log-at-trx-commit=0"),
        )
        wait_until(lambda: socket.exists() and alive(self._pid("mariadbd")), 30, self._problem)

    def _make_account(self) -> None:
        """What is there already, if only in part after a boot that was cut off, sacctmgr refuses to add."""

        def there() -> bool:
            return f"{ACCOUNT}|root" in self.run("sacctmgr", "-n", "-P", "list", "assoc", "format=account,user")

        if there():
            return
        here = f"cluster={self.name}"
        self._ask("sacctmgr", "-i", "add", "cluster", self.name)
        self._ask("sacctmgr", "-i", "add", "account", ACCOUNT, here)
        self._ask("sacctmgr", "-i", "add", "user", "root", f"account={ACCOUNT}", here)
        wait_until(there, 5, self._problem)

    def _start_slurmd(self, node: str) -> None:
        (self.folder / f"{node}.pid").unlink(missing_ok=True)
        self._launch("slurmd", {}, "-N", node)

    def _launch(self, daemon: str, extra: dict[str, str] | None = None, *options: str) -> None:
        """Slurm's daemons leave their terminal and session by themselves, once they have read what they need."""
        self._do(daemon, *options, extra=extra)

    def _do(self, *command: str, extra: dict[str, str] | None = None) -> None:
        environment = {"PATH": PATH, "LC_ALL": "C", **self.environ, **(extra or {})}
        with (self.folder / "boot.log").open("a") as log:
            code = subprocess.run(
                command, env=environment, cwd="/", stdin=subprocess.DEVNULL, stdout=log, stderr=log, check=False
            ).returncode
        if code:
            raise RuntimeError(f"{' '.join(command)} ended with {code}\n{self._problem()}")

    def _end(self, daemon: str, number: signal.Signals) -> None:
        pid = self._pid(daemon)
        kill({pid} - {0}, number)
        wait_until(lambda: not alive(pid), 20, self._problem)

    def _pid(self, daemon: str) -> int:
        """Of a running daemon of this cluster; 0 where there is none."""
        file = self.folder / f"{daemon}.pid"
        text = file.read_text().strip() if file.exists() else ""
        pid = int(text) if text.isdigit() else 0
        return pid if pid in daemons_of(self.folder) else 0

    def _ask(self, *command: str) -> subprocess.CompletedProcess[str]:
        environment = {**os.environ, "PATH": PATH, **self.environ}
        return subprocess.run(command, env=environment, capture_output=True, text=True, check=False)

    def _problem(self) -> str:
        """The ends of the logs."""
        logs = sorted(self.folder.glob("*.log"))
        tails = (f"{log}:\n" + "\n".join(log.read_text(errors="replace").splitlines()[-8:]) for log in logs)
        return "the cluster is not as it should be\n" + "\n".join(tails)


def _make_gpus() -> None:
    """Device files that behave as /dev/null; Slurm only hands out their numbers."""
    for gpu in map(Path, GPUS):
        if not gpu.exists():
            os.mknod(gpu, 0o666 | stat.S_IFCHR, os.makedev(1, 3))


def main() -> None:
    """The command line."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("action", choices=["start", "stop", "status"])
    parser.add_argument("folder", type=Path)
    parser.add_argument("--base-port", type=int, default=17000)
    arguments = parser.parse_args()
    cluster = Cluster(arguments.folder, arguments.base_port)
    if arguments.action == "stop":
        cluster.stop()
    elif arguments.action == "start":
        cluster.start()
        print("\n".join(f"export {name}={value}" for name, value in cluster.environ.items()))
    else:
        print("up" if cluster.answers() else "down")
        sys.exit(not cluster.answers())


if __name__ == "__main__":
    main()
