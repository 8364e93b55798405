"""What becomes of a trial that dies with its job: how often it is tried again, and what it is called then."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from sweep.records import JobState, TrialState

MORE_MEMORY = 1.5  # times as much as the job had that was killed for its memory


@dataclass(frozen=True)
class Policy:
    """The rule for one cause. A trial that is tried again goes on from its checkpoint."""

    state: TrialState  # once it is given up
    retries: int  # before that; each cause is counted for itself
    words: str  # what happened, for people


POLICIES: Mapping[JobState, Policy] = {
    JobState.EXITED: Policy(TrialState.LOST, 1, "its process died without a result"),
    JobState.TIMEOUT: Policy(TrialState.TIMEOUT, 0, "had to be killed at its limit"),
    JobState.PREEMPTED: Policy(TrialState.PREEMPTED, 10, "its job was told to leave"),
    JobState.NODE_FAILURE: Policy(TrialState.NODE_FAILURE, 3, "its node failed"),
    JobState.OUT_OF_MEMORY: Policy(TrialState.HOST_OUT_OF_MEMORY, 1, "its job was killed for its memory"),
    JobState.SETUP_FAILED: Policy(TrialState.SETUP_FAILED, 2, "a setup line of the profile failed"),
    JobState.CANCELLED: Policy(TrialState.CANCELLED, 0, "somebody cancelled its job"),
}
CAUSES = {policy.state.value: cause for cause, policy in POLICIES.items()}  # by the names that profiles use


def tell(failures: Iterable[JobState]) -> str:
    """What happened to a trial's attempts, for people: "its node failed, its job was told to leave (twice)"."""
    counts = Counter(failures)
    times = {1: "", 2: " (twice)"}
    return ", ".join(POLICIES[cause].words + times.get(n, f" ({n} times)") for cause, n in counts.items())


def retries_left(failures: tuple[JobState, ...], cause: JobState, allowed: Mapping[str, int]) -> int:
    """How often a trial may still be tried again that has died of these causes, the last one included.

    `allowed` are the profile's numbers, by the state that a trial is in when given up.
    """
    policy = POLICIES[cause]
    return allowed.get(policy.state.value, policy.retries) - failures.count(cause) + 1
