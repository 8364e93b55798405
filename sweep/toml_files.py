"""Reads study and profile files: found by path or by name, changed by --set, every mistake reported at once."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar, get_args

import tomli_w
from pydantic import BaseModel, ValidationError

from sweep.errors import StudyFileError
from sweep.files import replace
from sweep.profile import Profile
from sweep.spec import StudySpec, recipe_mistakes

Model = TypeVar("Model", bound=BaseModel)
Changes = Mapping[str, Any]  # dotted key -> value
NONE: Changes = {}


def load_study(name: str, changes: Changes = NONE) -> StudySpec:
    """The study file at a path, or the built-in one of that name.

    Raises:
        StudyFileError: it is missing or breaks its rules; the message lists every mistake.
    """
    path = find_file(name, "studies")
    data = _read(path, changes)
    for key in changes:  # --set fixed.schedule=... fixes what the file searches
        if key.startswith("fixed.") and isinstance(data.get("space"), dict):
            data["space"].pop(key.removeprefix("fixed."), None)
    return _validated(StudySpec, path, data, recipe_mistakes(data))


def load_frozen_study(path: Path, changes: Changes = NONE) -> StudySpec:
    """The study file of a run folder; its trainer is not asked again. Raises as `load_study` does."""
    return _validated(StudySpec, path, _read(path, changes))


def load_profile(name: str, changes: Changes = NONE) -> Profile:
    """The profile at a path, or the built-in one of that name. Raises StudyFileError as `load_study` does."""
    path = find_file(name, "slurm_profiles")
    return _validated(Profile, path, _read(path, changes))


def parse_changes(texts: Iterable[str]) -> dict[str, Any]:
    """The `key=value` texts of --set; a value is read as TOML, else taken as text.

    Raises:
        StudyFileError: there is no key or no `=`.
    """
    changes: dict[str, Any] = {}
    for text in texts:
        key, equals, value = (part.strip() for part in text.partition("="))
        if not equals or not all(key.split(".")):
            raise StudyFileError(f"--set needs key=value, such as limits.trials=20; got {text!r}")
        changes.pop(key, None)  # the last one counts, also against what came in between
        try:
            changes[key] = tomllib.loads(f"value = {value}")["value"]
        except tomllib.TOMLDecodeError:
            changes[key] = value
    return changes


def split_changes(changes: Changes) -> tuple[dict[str, Any], dict[str, Any]]:
    """The changes to the study and, after `profile.`, those to the profile."""
    prefix = "profile."
    for_study = {key: value for key, value in changes.items() if not key.startswith(prefix)}
    for_profile = {key.removeprefix(prefix): value for key, value in changes.items() if key.startswith(prefix)}
    return for_study, for_profile


def save(path: Path, model: BaseModel) -> None:
    """Write the model as TOML."""
    replace(path, tomli_w.dumps(model.model_dump(exclude_none=True)))


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


def _read(path: Path, changes: Changes) -> dict[str, Any]:
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise StudyFileError(f"{path}: not a TOML file: {error}") from error
    for key, value in changes.items():
        apply_change(data, key, value)
    return data


def apply_change(data: dict[str, Any], dotted: str, value: Any) -> None:
    """Set the key at a dotted path in place.

    Raises:
        StudyFileError: the path runs through something that is no table.
    """
    *tables, key = dotted.split(".")
    for table in tables:
        data = data.setdefault(table, {})
        if not isinstance(data, dict):
            raise StudyFileError(f"--set {dotted}: {table!r} is a value, not a table of keys")
    data[key] = value


def _validated(kind: type[Model], path: Path, data: dict[str, Any], more: Sequence[str] = ()) -> Model:
    """The model of the data; its mistakes and those found elsewhere are raised together."""
    mistakes: list[str] = []
    model = None
    try:
        model = kind.model_validate(data)
    except ValidationError as error:
        mistakes = [line for mistake in error.errors() for line in _describe(kind, mistake)]
    mistakes += more
    if model is None or mistakes:
        shown = "\n".join(f"  {line}" for line in mistakes)
        raise StudyFileError(f"{path}: {len(mistakes)} mistake(s)\n{shown}")
    return model


def _describe(kind: type[BaseModel], mistake: Any) -> list[str]:
    """One mistake as lines: key, rule, value received, and the keys allowed where one is unknown."""
    loc = mistake["loc"]
    tagged = loc[:1] == ("space",)  # the third part is then the kind of parameter
    where = [str(part) for index, part in enumerate(loc) if not (tagged and index == 2)]
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
        return sorted(getattr(space, str(where[2]).capitalize()).model_fields, key=lambda key: key == "when")
    for part in where:
        annotation = kind.model_fields[str(part)].annotation
        for model in (annotation, *get_args(annotation)):  # the table itself, or None
            if isinstance(model, type) and issubclass(model, BaseModel):
                kind = model
    return list(kind.model_fields)
