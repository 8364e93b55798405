"""The code of a run: a copy of what was launched, which its jobs import, and how today's differs from it.

A snapshot holds the packages `sweep` and `trainer`, the user's modules that the study names, and those of the
user's that these import. It lies in a folder named by its hash, so that jobs of an earlier one keep theirs;
`code.json` names the one in use.
"""

from __future__ import annotations

import ast
import contextlib
import hashlib
import importlib
import os
import shutil
import subprocess
import sys
import sysconfig
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

import trainer
from sweep import files
from sweep.paths import RunPaths
from sweep.space import Choices
from sweep.spec import StudySpec
from sweep.trainables import see_current_folder

DISTRIBUTION = "slurm-sweep"
OUR_FOLDERS = (Path(__file__).parent, Path(trainer.__file__).parent)
OUR_PACKAGES = frozenset(folder.name for folder in OUR_FOLDERS)
NO_PART_OF_A_JOB = ("sweep/studies/", "sweep/slurm_profiles/", "sweep/benchmarks/")  # in an installed copy
SMALL_BYTES = 2**20  # larger files are linked, not copied
MOST_COPIED = 2000  # files, code first; what is more is linked
GIT_SECONDS = 5.0
STANDARD_LIBRARY = tuple(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib"))

Sources = dict[str, Path]  # place in the snapshot -> file


@dataclass(frozen=True)
class Code:
    """What a run's jobs import."""

    version: str  # of the package; empty if it is not installed
    commit: str  # of the checkout that the package lies in; empty without one
    edited: bool  # whether that checkout has changes that are not committed
    hash: str  # of all copied files: their places and contents

    def describe(self) -> str:
        """The code in a few words."""
        commit = f", commit {self.commit[:7]}{' with changes' if self.edited else ''}" if self.commit else ""
        return f"{self.hash} ({DISTRIBUTION} {self.version or 'not installed'}{commit})"


def read_code(paths: RunPaths) -> Code | None:
    """The code that the run's jobs import; None before there is a snapshot."""
    facts = files.read_json(paths.code)
    return None if facts is None else Code(**{field.name: facts[field.name] for field in fields(Code)})


def take_snapshot(paths: RunPaths, spec: StudySpec) -> Code:
    """Copy the code as it is now into the run folder, and make it the one in use."""
    scratch = paths.snapshot(".taking")  # the driver's lock is held: it is ours, or a dead driver's
    shutil.rmtree(scratch, ignore_errors=True)
    hashes = _copy(find_sources(spec, paths.root.parent), scratch)
    code = Code(_version(), *_commit(OUR_FOLDERS[0]), hash=_short_hash(hashes))
    folder = paths.snapshot(code.hash)
    if folder.is_dir():  # in use already, or once before
        shutil.rmtree(scratch)
    else:
        scratch.rename(folder)
    files.replace(paths.code, files.to_json({**asdict(code), "files": hashes}))
    return code


def changed_files(paths: RunPaths, spec: StudySpec) -> list[str]:
    """The files that differ now from the snapshot in use, the user's first; none if there is no snapshot.

    A module of the user's that cannot be found from here, as in another folder than that of the launch, tells
    nothing.
    """
    facts = files.read_json(paths.code)
    if facts is None:
        return []
    then: Mapping[str, str] = facts["files"]
    now = _hashes(find_sources(spec, paths.root.parent))
    found = {_module(place) for place in now}
    differing = {place for place in then.keys() | now.keys() if then.get(place) != now.get(place)}
    told = (place for place in differing if _module(place) in found)
    return sorted(told, key=lambda place: (_module(place) in OUR_PACKAGES, place))


def job_pythonpath(paths: RunPaths, inherited: str | None = None) -> str:
    """$PYTHONPATH of a job: the snapshot in use, then `inherited`, which is this process's unless given.

    Python must be started with -P (or $PYTHONSAFEPATH), or it looks into the current folder before.
    """
    inherited = os.environ.get("PYTHONPATH", "") if inherited is None else inherited
    code = read_code(paths)
    first = [] if code is None else [str(paths.snapshot(code.hash).absolute())]
    return os.pathsep.join([*first, *filter(None, inherited.split(os.pathsep))])


@contextlib.contextmanager
def imports_from_snapshot(paths: RunPaths) -> Iterator[None]:
    """In here, modules are imported from where jobs do."""
    folder = job_pythonpath(paths, "")
    sys.path.insert(0, folder)
    try:
        yield
    finally:
        sys.path.remove(folder)


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
    return [_module(name.partition(":")[0].replace(".", "/")) for name in names]


def _module_sources(name: str, runs: Path) -> Sources:
    """The files of a top-level module of the user's; none if it is installed or cannot be found."""
    finders = (finder.find_spec(name, None) for finder in sys.meta_path)  # whatever was imported before
    spec = next(filter(None, finders), None)
    if spec is None:
        return {}
    if spec.submodule_search_locations is not None:
        found: Sources = {}
        for folder in map(Path, spec.submodule_search_locations):
            found = (_package(name, folder, runs) if _is_users(folder) else {}) | found
        has_code = any(path.suffix == ".py" for path in found.values())
        return found if has_code else {}  # to Python, any folder is a package, one of pictures too
    file = Path(spec.origin or "")
    return {file.name: file} if file.is_file() and _is_users(file) else {}


def _is_users(path: Path) -> bool:
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


def _copied(sources: Sources) -> Sources:
    """The sources to copy: the small files, up to a number."""
    small = [place for place, path in sources.items() if path.is_file() and path.stat().st_size <= SMALL_BYTES]
    small.sort(key=lambda place: (not place.endswith(".py") and _module(place) not in OUR_PACKAGES, place))
    return {place: sources[place] for place in small[:MOST_COPIED]}


def _hashes(sources: Sources) -> dict[str, str]:
    return {place: _hash(path.read_bytes()) for place, path in _copied(sources).items()}


def _copy(sources: Sources, folder: Path) -> dict[str, str]:
    """Copy the sources, and link what is not copied; the hashes of the copies."""
    for parent in {(folder / place).parent for place in sources}:
        parent.mkdir(parents=True, exist_ok=True)
    copied, hashes = _copied(sources), {}
    for place, path in sources.items():
        if place in copied:
            content = path.read_bytes()
            hashes[place] = _hash(content)
            (folder / place).write_bytes(content)
        else:
            (folder / place).symlink_to(path.absolute())
    return hashes


def _hash(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _short_hash(hashes: Mapping[str, str]) -> str:
    """One hash of all files, whatever their order."""
    return _hash("".join(f"{place}\0{hashes[place]}\n" for place in sorted(hashes)).encode())[:12]


def _module(place: str) -> str:
    """The top-level module that a file of a snapshot belongs to."""
    return place.partition("/")[0].partition(".")[0]


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a bare checkout
        return ""


def _commit(package: Path) -> tuple[str, bool]:
    """The commit of the checkout that a package lies in, and whether it was edited since."""
    command = ["git", "status", "--porcelain=v2", "--branch", "--", *map(str, OUR_FOLDERS)]
    if not _is_users(package):  # git would tell of the project whose folder the virtual environment lies in
        return "", False
    environment = {**os.environ, "GIT_OPTIONAL_LOCKS": "0"}
    try:
        done = subprocess.run(
            command, cwd=package, env=environment, capture_output=True, text=True, timeout=GIT_SECONDS, check=True
        )
    except (OSError, subprocess.SubprocessError):  # no git, no checkout, or a slow disk
        return "", False
    lines = done.stdout.splitlines()
    commits = [line.split()[-1] for line in lines if line.startswith("# branch.oid ") and "(initial)" not in line]
    return "".join(commits), any(not line.startswith("#") for line in lines)
