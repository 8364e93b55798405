"""The error tree.

SweepError                a mistake the user can mend: exit code 1
├── StudyFileError        a study or profile file, or a --set, breaks its rules; lists every mistake
├── RunFolderError        the run folder exists, is missing, belongs to another study, cannot be written
├── DriverLockedError     another driver works on this study
├── SubmissionError       Slurm refuses the study's jobs
└── BreakerError          trial after trial fails in the same way; nothing more is submitted

Anything else that escapes a command is a bug of ours: exit code 3, with a log.
"""

from __future__ import annotations

EXIT_USER_ERROR = 1
EXIT_BUG = 3
EXIT_DETACHED = 130  # what shells report after Ctrl-C


class SweepError(Exception):
    """A mistake the user can mend; the message says the rule, the value received and what to do."""


class StudyFileError(SweepError):
    """A study or profile file breaks its rules."""


class RunFolderError(SweepError):
    """A run folder cannot be used as asked."""


class DriverLockedError(SweepError):
    """Another driver works on this study."""


class BreakerError(SweepError):
    """The same failure hits trial after trial, so the driver stops submitting."""


class SubmissionError(SweepError):
    """Slurm refuses the study's jobs."""
