"""The training functions that can be swept: ours, or any `module:function` of the same signature."""

from __future__ import annotations

import dataclasses
import importlib
import inspect
import sys
import typing
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from sweep.errors import StudyFileError
from trainer.context import RunContext, TrainResult

OURS = "trainer.training:train"
Trainable = Callable[[Any, RunContext], TrainResult]


def load_function(name: str) -> Trainable:
    """Import `module:function`; modules beside the current folder are found too.

    Raises:
        StudyFileError: it cannot be imported, or does not take (config, context).
    """
    module_name, _, function_name = name.partition(":")
    see_current_folder()
    try:
        function: Any = getattr(importlib.import_module(module_name), function_name)
    except (Exception, SystemExit) as error:  # importing runs the user's code, which may raise anything
        raise StudyFileError(
            f"trainer must be an importable module:function; got {name!r} ({type(error).__name__}: {error}); "
            "mend or install the module, or run where it can be imported"
        ) from error
    if not callable(function) or len(_parameters(function)) != 2:
        raise StudyFileError(f"trainer must be a function of (config, context); got {name!r}")
    return typing.cast(Trainable, function)


def see_current_folder() -> None:
    """Let modules of the current folder be found, after all others."""
    if str(Path.cwd()) not in sys.path:
        sys.path.append(str(Path.cwd()))


def _parameters(function: Callable[..., Any]) -> list[inspect.Parameter]:
    """The parameters of a callable; none where it tells nothing, as things written in C do."""
    try:
        return list(inspect.signature(function).parameters.values())
    except (TypeError, ValueError):
        return []


def config_class(name: str) -> type[Any] | None:
    """The class of recipes that the function takes, from its first annotation; None if any mapping will do.

    Ours is known without importing torch.
    """
    if name == OURS:
        from trainer.config import TrainConfig

        return TrainConfig
    function = load_function(name)
    annotation = _parameters(function)[0].annotation
    if isinstance(annotation, str):
        names = vars(sys.modules[getattr(function, "__module__", name.partition(":")[0])])
        try:
            annotation = eval(annotation, dict(names))  # what typing.get_type_hints does, for this one parameter
        except Exception:  # noqa: BLE001  # an annotation that only a type checker can resolve
            return None
    if annotation is inspect.Parameter.empty:
        return None
    if not isinstance(annotation, type) or typing.get_origin(annotation) is not None:
        return None
    return None if annotation in (Any, object) or issubclass(annotation, Mapping) else annotation


def recipe_keys(config: type[Any] | None) -> frozenset[str] | None:
    """The keys that a recipe may have; None if any."""
    if config is None:
        return None
    if hasattr(config, "model_fields"):
        return frozenset(config.model_fields)
    if dataclasses.is_dataclass(config):
        return frozenset(field.name for field in dataclasses.fields(config) if field.init)
    parameters = _parameters(config)
    open_ended = any(parameter.kind is parameter.VAR_KEYWORD for parameter in parameters)
    return None if open_ended or not parameters else frozenset(parameter.name for parameter in parameters)


def build_config(config: type[Any] | None, recipe: dict[str, Any]) -> Any:
    """The function's first argument: a validated config object, or the recipe itself."""
    if config is None:
        return dict(recipe)
    return config.model_validate(recipe) if hasattr(config, "model_validate") else config(**recipe)
