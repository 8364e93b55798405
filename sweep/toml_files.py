"""Reads study and profile files: found by path or by name, changed by --set, every mistake reported at once."""

from __future__ import annotations

import tomllib
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

import tomli_w
from pydantic import BaseModel, ValidationError

from sweep.errors import StudyFileError
from sweep.profile import Profile
from sweep.spec import FROZEN, StudySpec

Model = TypeVar("Model", bound=BaseModel)


def load_study(name: str, changes: list[str] | None = None) -> StudySpec:
    """The study file at a path, or the built-in one of that name.

    Raises:
        StudyFileError: it is missing or breaks its rules; the message lists every mistake.
    """
    return _load(StudySpec, find_file(name, "studies"), changes or [])


def load_frozen_study(path: Path, changes: list[str] | None = None) -> StudySpec:
    """The study file of a run folder; its trainer is not asked again. Raises as `load_study` does."""
    return _load(StudySpec, path, changes or [], FROZEN)


def load_profile(name: str, changes: list[str] | None = None) -> Profile:
    """The profile at a path, or the built-in one of that name. Raises StudyFileError as `load_study` does."""
    return _load(Profile, find_file(name, "slurm_profiles"), changes or [])


def split_changes(changes: list[str]) -> tuple[list[str], list[str]]:
    """`--set` values for the study and, after `profile.`, those for the profile."""
    prefix = "profile."
    ours = [change for change in changes if not change.startswith(prefix)]
    return ours, [change.removeprefix(prefix) for change in changes if change.startswith(prefix)]


def save(path: Path, model: BaseModel) -> None:
    """Write the model as TOML."""
    path.write_text(tomli_w.dumps(model.model_dump(exclude_defaults=False, exclude_none=True)))


def builtin_folder(kind: str) -> Path:
    """`studies` or `slurm_profiles`: beside the packages in a checkout, inside `sweep` in an installed copy."""
    packaged = Path(str(files("sweep"))) / kind
    return packaged if packaged.is_dir() else packaged.parent.parent / kind


def builtin_names(kind: str) -> list[str]:
    """The names of the built-in studies or profiles."""
    return sorted(path.stem for path in builtin_folder(kind).glob("*.toml"))


def find_file(name: str, kind: str) -> Path:
    """A file by path, or a built-in one by name."""
    path = Path(name).expanduser()
    builtin = builtin_folder(kind) / f"{name}.toml"
    if path.is_file():
        return path
    if builtin.is_file():
        return builtin
    what = "study" if kind == "studies" else "profile"
    raise StudyFileError(
        f"no {what} {name!r}: it is neither a file nor one of the built-in ones ({', '.join(builtin_names(kind))})"
    )


def _load(kind: type[Model], path: Path, changes: list[str], context: dict[str, bool] | None = None) -> Model:
    try:
        data = tomllib.loads(path.read_text())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyFileError(f"{path}: not a TOML file: {error}") from error
    for change in changes:
        apply_change(data, change)
    try:
        return kind.model_validate(data, context=context)
    except ValidationError as error:
        mistakes = [line for mistake in error.errors() for line in _describe(kind, mistake)]
        shown = "\n".join(f"  {line}" for line in mistakes)
        raise StudyFileError(f"{path}: {len(mistakes)} mistake(s)\n{shown}") from None


def apply_change(data: dict[str, Any], change: str) -> None:
    """Apply one `key=value` of --set in place; the value is read as TOML, else taken as text.

    Raises:
        StudyFileError: there is no `=`, or the key runs through something that is no table.
    """
    dotted, equals, text = change.partition("=")
    if not equals or not dotted.strip():
        raise StudyFileError(f"--set needs key=value, such as limits.trials=20; got {change!r}")
    *tables, key = dotted.strip().split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise StudyFileError(f"--set {change}: {table!r} is a value, not a table of keys")
    try:
        data[key] = tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        data[key] = text.strip()


def _describe(kind: type[BaseModel], mistake: Any) -> list[str]:
    """One mistake as lines: key, rule, value received, and the keys allowed where one is unknown."""
    tags = {"choices", "range", "ordinal", "budgeted"}
    where = [str(part) for part in mistake["loc"] if part not in tags]
    message = str(mistake["msg"]).removeprefix("Value error, ")
    key = ".".join(where)
    if mistake["type"] == "extra_forbidden":
        return [f"{key}: unknown key; allowed here: {', '.join(_allowed(kind, mistake['loc'][:-1]))}"]
    if mistake["type"] == "missing":
        return [f"{key}: is missing"]
    if mistake["type"] == "value_error" and (not where or isinstance(mistake["input"], dict)):
        return [f"{key}: {line}" if key else line for line in message.split("\n")]
    return [f"{key}: {message}; got {mistake['input']!r}"]


def _allowed(kind: type[BaseModel], where: tuple[Any, ...]) -> list[str]:
    from sweep import space

    if len(where) == 3 and where[0] == "space":
        return list(getattr(space, str(where[2]).capitalize()).model_fields)
    for part in where:
        annotation = kind.model_fields[str(part)].annotation
        if isinstance(annotation, type) and issubclass(annotation, BaseModel):
            kind = annotation
    return list(kind.model_fields)
