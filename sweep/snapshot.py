"""The code of a run: a copy of what was launched, which its jobs import, and how today's differs from it.

A snapshot holds the packages `sweep` and `trainer`, the user's modules that the study names, and those of the
user's that these import. It lies in a folder named by its hash, so that jobs of an earlier one keep theirs;
`code.json` names the one in use.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from sweep import files
from sweep.paths import RunPaths
from sweep.sources import OUR_FOLDERS, OUR_PACKAGES, Sources, find_sources, is_users, module_of
from sweep.spec import StudySpec

DISTRIBUTION = "slurm-sweep"
SMALL_BYTES = 2**20  # larger files are linked, not copied
MOST_COPIED = 2000  # files, code first; what is more is linked
GIT_SECONDS = 5.0


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
    found = {module_of(place) for place in now}
    differing = {place for place in then.keys() | now.keys() if then.get(place) != now.get(place)}
    told = (place for place in differing if module_of(place) in found)
    return sorted(told, key=lambda place: (module_of(place) in OUR_PACKAGES, place))


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


def _copied(sources: Sources) -> Sources:
    """The sources to copy: the small files, up to a number."""
    small = [place for place, path in sources.items() if path.is_file() and path.stat().st_size <= SMALL_BYTES]
    small.sort(key=lambda place: (not place.endswith(".py") and module_of(place) not in OUR_PACKAGES, place))
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


def _version() -> str:
    try:
        return version(DISTRIBUTION)
    except PackageNotFoundError:  # run from a bare checkout
        return ""


def _commit(package: Path) -> tuple[str, bool]:
    """The commit of the checkout that a package lies in, and whether it was edited since."""
    command = ["git", "status", "--porcelain=v2", "--branch", "--", *map(str, OUR_FOLDERS)]
    if not is_users(package):  # git would tell of the project whose folder the virtual environment lies in
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
