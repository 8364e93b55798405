"""A sweep command that is killed with SIGKILL just after its Nth write, ask, tell or submit.

python dying_driver.py N launch STUDY ...
"""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from sweep import cli, files, run
from sweep.launchers.local import LocalLauncher
from sweep.search import Search

COUNT = int(sys.argv[1])
calls = 0


def mortal(function: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **named: Any) -> Any:
        global calls  # noqa: PLW0603  # one count over all functions
        calls += 1
        mine = calls == COUNT
        result = function(*arguments, **named)
        if mine:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    return call


for owner, name in (
    (files, "replace"),
    (files, "publish"),
    (LocalLauncher, "submit"),
    (Search, "ask"),
    (Search, "tell"),
):
    setattr(owner, name, mortal(getattr(owner, name)))
append = mortal(files.append_line)
files.append_line = append
sys.modules["sweep.events"].append_line = append
run.toml_files.replace = mortal(run.toml_files.replace)
sys.argv = ["sweep", *sys.argv[2:]]
cli.main()
