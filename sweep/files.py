"""Files that are whole or absent, whatever dies while they are written."""

from __future__ import annotations

import json
import math
import os
import socket
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def to_json(record: Any) -> str:
    """Compact JSON; NaN and infinity become null, as JSON has neither."""
    return json.dumps(_finite(record), separators=(",", ":"))


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    return [_finite(item) for item in value] if isinstance(value, list | tuple) else value


def replace(path: Path, text: str) -> None:
    """Write a file through a temporary one and rename: readers see the old text or the new."""
    scratch = _written(path, text)
    scratch.replace(path)


def publish(path: Path, text: str) -> bool:
    """Create a file whole, if it does not exist yet; False if somebody was first.

    A hard link to a synced temporary file is atomic and exclusive on local disks, NFS and Lustre alike.
    """
    scratch = _written(path, text)
    try:
        os.link(scratch, path)
    except FileExistsError:
        return False
    finally:
        scratch.unlink()
    return True


def _written(path: Path, text: str) -> Path:
    scratch = path.with_name(f".{path.name}.{socket.gethostname()}.{os.getpid()}")
    with scratch.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    return scratch


def append_line(path: Path, record: Any) -> None:
    """Append one JSON line, mending a torn line that a dead writer left behind."""
    with path.open("ab+") as file:
        if file.tell() > 0:
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(to_json(record).encode() + b"\n")


def read_lines(path: Path) -> Iterator[Any]:
    """The complete JSON lines of a file; torn ones are skipped, a missing file has none."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines:
        try:
            yield json.loads(line)
        except ValueError:
            continue


def read_text(path: Path) -> str:
    """What a small file says, without the spaces around it; empty if it is missing."""
    try:
        return path.read_text(encoding="utf-8", errors="replace").strip()
    except FileNotFoundError:
        return ""


def tail(path: Path, most_bytes: int = 4096) -> str:
    """The end of a log; empty if it is missing."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, file.seek(0, os.SEEK_END) - most_bytes))
            return file.read().decode(errors="replace")
    except FileNotFoundError:
        return ""


def read_json(path: Path) -> dict[str, Any] | None:
    """The file's JSON object, or None if it is missing."""
    try:
        return must_read_json(path)
    except FileNotFoundError:
        return None


def must_read_json(path: Path) -> dict[str, Any]:
    """The file's JSON object. Raises FileNotFoundError if it is missing."""
    value: dict[str, Any] = json.loads(path.read_bytes())
    return value
