"""The files that make up the code of a study: our packages, and the user's modules that its jobs would import."""

from __future__ import annotations

import ast
import contextlib
import importlib
import sys
import sysconfig
from collections.abc import Iterator
from pathlib import Path

import trainer
from sweep.space import Choices
from sweep.spec import StudySpec
from sweep.trainables import see_current_folder

OUR_FOLDERS = (Path(__file__).parent, Path(trainer.__file__).parent)
OUR_PACKAGES = frozenset(folder.name for folder in OUR_FOLDERS)
NO_PART_OF_A_JOB = ("sweep/studies/", "sweep/slurm_profiles/", "sweep/benchmarks/")  # in an installed copy
STANDARD_LIBRARY = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib"))

Sources = dict[str, Path]  # place in a snapshot -> file


def find_sources(spec: StudySpec, runs: Path) -> Sources:
    """The files that belong into a snapshot of the study's code, as they are now."""
    ours = {
        place: path
        for folder in OUR_FOLDERS
        for place, path in _package(folder.name, folder, runs).items()
        if not place.startswith(NO_PART_OF_A_JOB)
    }
    return ours | _users_sources(spec, runs)


def _users_sources(spec: StudySpec, runs: Path) -> Sources:
    """The modules that the study names and, from there on, the modules that they import; installed ones aside."""
    importlib.invalidate_caches()
    see_current_folder()
    found: Sources = {}
    seen = {"__main__", *sys.stdlib_module_names, *OUR_PACKAGES}
    waiting = _named_modules(spec)
    while waiting:
        if (name := waiting.pop()) not in seen:
            seen.add(name)
            module = _module_sources(name, runs)
            found |= module
            waiting += [name for path in module.values() if path.suffix == ".py" for name in _imports(path)]
    return found


def _named_modules(spec: StudySpec) -> list[str]:
    """The top-level modules of the trainer and of the networks that the study names as `module:name`."""
    searched = spec.space.get("model")
    models = [spec.fixed.get("model"), *(searched.choices if isinstance(searched, Choices) else ())]
    names = [spec.trainer, *(model for model in models if isinstance(model, str) and ":" in model)]
    return [module_of(name.partition(":")[0].replace(".", "/")) for name in names]


def _module_sources(name: str, runs: Path) -> Sources:
    """The files of a top-level module of the user's; none if it is installed or cannot be found."""
    finders = (finder.find_spec(name, None) for finder in sys.meta_path)  # whatever was imported before
    spec = next(filter(None, finders), None)
    if spec is None:
        return {}
    if spec.submodule_search_locations is not None:
        found: Sources = {}
        for folder in map(Path, spec.submodule_search_locations):
            found = (_package(name, folder, runs) if is_users(folder) else {}) | found
        has_code = any(path.suffix == ".py" for path in found.values())
        return found if has_code else {}  # to Python, any folder is a package, one of pictures too
    file = Path(spec.origin or "")
    return {file.name: file} if file.is_file() and is_users(file) else {}


def is_users(path: Path) -> bool:
    """Whether a module is no part of Python and was not installed as a package."""
    is_installed = {"site-packages", "dist-packages"} & set(path.parts)
    return not is_installed and not any(path.is_relative_to(folder) for folder in STANDARD_LIBRARY)


def _imports(path: Path) -> set[str]:
    """The top-level modules that a file imports by name, also inside functions."""
    names: set[str] = set()
    with contextlib.suppress(SyntaxError, ValueError):  # says more when it is imported
        for node in ast.walk(ast.parse(path.read_bytes())):
            if isinstance(node, ast.Import):
                names |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
                names.add(node.module.partition(".")[0])
    return names


def _package(name: str, folder: Path, runs: Path) -> Sources:
    return {f"{name}/{path.relative_to(folder).as_posix()}": path for path in _walk(folder, runs)}


def _walk(folder: Path, runs: Path) -> Iterator[Path]:
    """The files below a folder; no hidden ones, caches, virtual environments or runs. Links are not followed."""
    for path in sorted(folder.iterdir()):
        if path.name.startswith(".") or path.name == "__pycache__":
            continue
        if path.is_symlink() or not path.is_dir():
            yield path
        elif not (path / "pyvenv.cfg").exists() and not path.samefile(runs):
            yield from _walk(path, runs)


def module_of(place: str) -> str:
    """The top-level module that a file of a snapshot belongs to."""
    return place.partition("/")[0].partition(".")[0]
