"""Where in the user's own code an error came from."""

from __future__ import annotations

import sysconfig
import traceback
from pathlib import Path

OTHERS = (  # whose code is not the user's
    *(sysconfig.get_path(kind) for kind in ("stdlib", "platstdlib", "purelib", "platlib")),
    str(Path(__file__).parent),
)


def described(error: BaseException) -> str:
    """An error's kind and text, with the innermost line of the user's own code that it came through, if any."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if _is_own(frame.filename)]
    place = f" ({frames[-1].filename}, line {frames[-1].lineno})" if frames else ""
    return f"{type(error).__name__}: {error}{place}"


def _is_own(file: str) -> bool:
    return not file.startswith("<") and not any(Path(file).is_relative_to(folder) for folder in OTHERS)
