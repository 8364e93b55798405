"""From a study file and a profile to a run folder: everything is checked before the folder is made."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from sweep.paths import RunPaths
from sweep.preflight import check_budget, check_site
from sweep.run import check_data, check_search, create_run, known_models, read_files
from sweep.search.forecast import check_fits
from sweep.spec import StudySpec
from sweep.toml_files import Changes
from sweep.warm_start import WarmStart, gather, save_history


@dataclass(frozen=True)
class Launched:
    """A run that is ready to be driven."""

    spec: StudySpec
    paths: RunPaths
    data: str  # a sentence about the data set, empty for a trainer of the user's own
    starts: list[WarmStart]


def make_run(study: str, profile: str, changes: Changes, runs: Path, warm: Sequence[str]) -> Launched:
    """Check study, data, search, budgets and site, and make the run folder.

    Raises:
        SweepError, TrainerError: one of them is at fault.
    """
    spec, site = read_files(study, profile, changes)
    data = check_data(spec)
    check_search(spec)
    check_fits(spec, known_models(spec, site, runs))
    check_budget(spec, site)
    check_site(spec, site, RunPaths(runs / spec.name))
    starts = gather(spec, warm, runs)
    paths = create_run(spec, site, runs)
    save_history(paths, starts)
    return Launched(spec, paths, data, starts)
