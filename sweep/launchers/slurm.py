"""Jobs of a Slurm cluster: submitted with submitit's scripts and pickles, watched by one query for all of them."""

from __future__ import annotations

import math
import time
from collections import deque
from collections.abc import Callable, Mapping

from submitit.core.utils import DelayedSubmission

from sweep import files
from sweep.errors import SubmissionError
from sweep.lane import run_bundle
from sweep.launchers import slurm_commands as slurm
from sweep.launchers.environment import environment
from sweep.launchers.slurm_script import script
from sweep.launchers.slurm_watch import Watch
from sweep.paths import RunPaths
from sweep.profile import Profile
from sweep.records import Bundle, JobState

LEAVING_SECONDS = 90.0  # that cancelled jobs get to be gone


class SlurmLauncher:
    """Runs each bundle as one Slurm job, which is found again by its id, else by its name."""

    is_bound_to_host = False

    def __init__(self, profile: Profile, paths: RunPaths, notice: Callable[[str], None]) -> None:
        """`notice` is told what the people who run the study should know."""
        options = profile.options
        self.profile, self.paths, self.retries, self.notice = profile, paths, profile.retries, notice
        self.packing = profile.packing
        self.slots = options.max_jobs
        self.visibility_seconds = options.visibility_seconds
        self.run_id = paths.run_id.read_text()
        self.watch = Watch(options, paths, self.run_id, notice)
        self.put_off: dict[str, Bundle] = {}  # the site takes no more for now
        self.put_off_until = 0.0
        self.submitted = deque[float](maxlen=options.submits_per_minute)

    @property
    def capacity(self) -> int:
        """As many as the profile allows, and no more in the queue than it says."""
        options = self.profile.options
        return min(options.max_jobs, self.watch.running + options.max_queued_jobs)

    @property
    def may_submit(self) -> bool:
        """Within the profile's rate, and unless the site has just said that the queue is full."""
        minute_full = len(self.submitted) == self.submitted.maxlen and time.monotonic() - self.submitted[0] < 60
        return not minute_full and not self.put_off

    def granted_seconds(self, wanted_seconds: float) -> float:
        """As the profile says, in whole minutes."""
        return self.profile.granted_seconds(wanted_seconds)

    def grantable_seconds(self, room_seconds: float) -> float:
        """As the profile says, in whole minutes."""
        return self.profile.grantable_seconds(room_seconds)

    def submit(self, bundle: Bundle) -> None:
        """Write the pickle and the script, then call sbatch.

        Raises:
            SubmissionError: the site does not take such a job; the message is sbatch's.
        """
        folder = self.paths.job(bundle.name)
        submission = DelayedSubmission(run_bundle, str(self.paths.root.absolute()), bundle.name)
        submission.set_timeout(math.ceil(bundle.request_seconds / 60), max_num_timeout=0)
        submission.dump(folder.pickle)
        text = script(self.profile, self.paths, bundle, self.run_id, environment(self.profile, self.paths))
        files.replace(folder.script, text)
        self._sbatch(bundle)

    def _sbatch(self, bundle: Bundle) -> None:
        """An unsure answer is left open: the job is looked up by its name before anything else is done."""
        folder = self.paths.job(bundle.name)
        self.submitted.append(time.monotonic())
        self.watch.submitted_at[bundle.name] = time.time()
        try:
            job_id = slurm.submit(folder.script)
        except slurm.QueueFullError as error:
            self.put_off[bundle.name] = bundle
            self.put_off_until = time.monotonic() + max(60.0, self.profile.options.query_seconds)
            self.notice(f"the site takes no more jobs for now, it is asked again later: {error}")
        except slurm.RefusedError as error:
            files.replace(folder.slurm, files.to_json({"refused": str(error)}))
            raise SubmissionError(
                f"sbatch refused job {bundle.name}: {error}\nMend the profile (`sweep doctor --profile ...` "
                f"checks it) and go on with `sweep resume {self.paths.root.name} --set profile.slurm.KEY=VALUE`"
            ) from error
        except slurm.SlurmError as error:
            self.notice(f"sbatch gave no clear answer for {bundle.name}, its name is looked up: {error}")
        else:
            files.replace(folder.slurm, files.to_json({"job_id": job_id}))

    def poll(self, bundles: Mapping[str, Bundle]) -> dict[str, JobState]:
        """What is known of the jobs; Slurm is asked at most every `query_seconds`."""
        if self.put_off and time.monotonic() >= self.put_off_until:
            for name in list(self.put_off):
                bundle = self.put_off.pop(name)
                self._sbatch(bundle)
                if self.put_off:  # still full
                    break
        states = self.watch.states({name: bundle for name, bundle in bundles.items() if name not in self.put_off})
        return {name: states.get(name, JobState.PENDING) for name in bundles}

    def charged_seconds(self, bundle: Bundle) -> float | None:
        """Elapsed time by Slurm's count, for every GPU that is charged."""
        seconds = self.watch.seconds(bundle.name)
        return None if seconds is None else seconds * bundle.gpus

    def earlier_seconds(self, bundle: Bundle) -> float:
        """What starts before the present one have cost."""
        return self.watch.earlier_seconds(bundle.name) * bundle.gpus

    def cancel(self, bundles: Mapping[str, Bundle]) -> set[str]:
        """scancel, and wait until they are gone: their checkpoints are then complete."""
        for name in set(self.put_off) & set(bundles):
            del self.put_off[name]
        patience = time.monotonic() + LEAVING_SECONDS
        try:
            live = self.watch.find_live(bundles)
            if live:
                slurm.cancel(live)
            while live and time.monotonic() < patience:
                time.sleep(1.0)
                live = self.watch.find_live(bundles)
        except slurm.SlurmError as error:
            self.notice(f"Slurm does not answer, jobs may go on: {error}")
            return set()
        return {name for name in bundles if self.watch.id_of(name) not in live}
