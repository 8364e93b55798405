"""What a check found, in the words and with the advice that people read."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum


class Verdict(StrEnum):
    """How bad it is."""

    OK = "ok"
    WARNING = "warning"  # a study runs, less well or less safely
    FAILED = "FAILED"  # a study does not run as the profile says


@dataclass(frozen=True)
class Finding:
    """The result of one check; whatever is not ok says what to do."""

    check: str
    verdict: Verdict
    found: str
    advice: str = ""


def ok(check: str, found: str) -> Finding:
    """All is well."""
    return Finding(check, Verdict.OK, found)


def warning(check: str, found: str, advice: str) -> Finding:
    """Worth mending."""
    return Finding(check, Verdict.WARNING, found, advice)


def failed(check: str, found: str, advice: str) -> Finding:
    """To be mended first."""
    return Finding(check, Verdict.FAILED, found, advice)


def is_healthy(findings: Iterable[Finding]) -> bool:
    """Whether nothing failed."""
    return all(finding.verdict != Verdict.FAILED for finding in findings)
