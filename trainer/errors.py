"""What the user can get wrong about a training run.

TrainerError
├── ConfigError   the recipe: a network that does not fit the images, a rate below zero
└── DataError     the data set: missing, empty, unreadable, of one class
"""

from __future__ import annotations


class TrainerError(Exception):
    """A mistake the user can mend; the message says the rule, the value received and what to do."""


class ConfigError(TrainerError):
    """The recipe cannot be run as written."""


class DataError(TrainerError):
    """The data set cannot be used as it lies on disk."""
