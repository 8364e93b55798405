"""Optuna's pruners by name."""

from __future__ import annotations

import inspect
import warnings
from typing import Any

import optuna
from optuna.pruners import BasePruner, NopPruner

from sweep.errors import StudyFileError
from sweep.spec import StudySpec


def make_pruner(spec: StudySpec) -> BasePruner:
    """The study's pruner; one that never prunes if it has none.

    Raises:
        StudyFileError: there is no such pruner, or it does not take its options.
    """
    if not spec.pruner:
        return NopPruner()
    kind = pruner_class(spec.pruner)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", optuna.exceptions.ExperimentalWarning)
            return kind(**spec.pruner_options)
    except (TypeError, ValueError, ImportError) as error:
        known = ", ".join(inspect.signature(kind).parameters)
        raise StudyFileError(
            f"pruner {spec.pruner} cannot be made with options {spec.pruner_options}: {error}; it takes {known}"
        ) from error


def pruner_class(name: str) -> type[BasePruner]:
    """The pruner of a name: `median` for short, or the name of a class of optuna.pruners.

    Raises:
        StudyFileError: there is none that goes by a trial's own epochs.
    """
    known: dict[str, Any] = {
        name.removesuffix("Pruner").lower(): getattr(optuna.pruners, name)
        for name in optuna.pruners.__all__
        # Wilcoxon's compares runs on problem instances, a patient one wraps another.
        if name not in ("BasePruner", "NopPruner", "WilcoxonPruner", "PatientPruner")
    }
    found: type[BasePruner] | None = known.get(name.removesuffix("Pruner").lower())
    if found is None:
        raise StudyFileError(f"pruner must be one of {', '.join(known)}; got {name!r}")
    return found
