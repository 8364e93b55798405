"""Who imports whom: read from the source, and from what a quick command loads."""

from __future__ import annotations

import ast
import json
import subprocess
import sys
from functools import cache
from pathlib import Path

import pytest

from sweep.run import create_run
from sweep.toml_files import load_profile, load_study

ROOT = Path(__file__).parent.parent
LAYERS = {
    # From the bottom up; a module imports modules of lower layers only.
    "trainer": [
        {
            "trainer.checkpoint",
            "trainer.config",
            "trainer.context",
            "trainer.errors",
            "trainer.own_code",
            "trainer.recipes",
        },
        {
            "trainer",
            "trainer.models",
            "trainer.losses",
            "trainer.progress",
            "trainer.schedules",
            "trainer.sources",
        },
        {"trainer.averaging", "trainer.devices", "trainer.figures", "trainer.scalars", "trainer.watch"},
        {"trainer.cache", "trainer.optim", "trainer.weights"},
        {"trainer.data", "trainer.steps"},
        {"trainer.augment", "trainer.evaluation", "trainer.identity", "trainer.network"},
        {"trainer.calibration"},
        {"trainer.explore", "trainer.measuring", "trainer.outputs"},
        {"trainer.training"},
        {"trainer.shell"},
        {"trainer.commands"},
        {"trainer.__main__"},
    ],
    "sweep": [
        {"sweep.clock", "sweep.errors", "sweep.durations", "sweep.files", "sweep.paths", "sweep.slots"},
        {"sweep.probe"},
        {"sweep.records", "sweep.space", "sweep.trainables", "sweep.events", "sweep.lock"},
        {"sweep.curves", "sweep.failures", "sweep.history", "sweep.packing", "sweep.spec", "sweep.timings"},
        {"sweep.costs", "sweep.ledger", "sweep.slurm_options", "sweep.sources"},
        {"sweep.walltime"},
        {"sweep.profile", "sweep.requests", "sweep.snapshot", "sweep.summary", "sweep.worker"},
        {"sweep.lane", "sweep.toml_files"},
        {"sweep.search", "sweep.launchers", "sweep.view"},
        {"sweep.board", "sweep.plan", "sweep.preflight", "sweep.retrying"},
        {"sweep.collecting", "sweep.proposing"},
        {"sweep.feeding"},
        {"sweep.refilling"},
        {"sweep.driver"},
        {"sweep.run", "sweep.surrogate"},
        {"sweep.doctor", "sweep.driving", "sweep.simulation", "sweep.warm_start"},
        {"sweep.forecast", "sweep.launching"},
        {"sweep.reporting"},
        {"sweep.api"},
        {"sweep"},
        {"sweep.commands"},
        {"sweep.cli"},
        {"sweep.__main__"},
    ],
}
PARTS = {
    "sweep.search": [
        {"features", "gaussian_process", "proposals", "pruners", "storage"},
        {"drawing", "forecast", "samplers", "views"},
        {"curve_sampler", "stored"},
        {"__init__"},
    ],
    "sweep.launchers": [
        {"environment", "simulated", "slurm_commands"},
        {"local", "slurm_script"},
        {"driver_job", "probing", "slurm_watch"},
        {"slurm"},
        {"__init__"},
    ],
    "sweep.doctor": [
        {"findings", "slurm_texts"},
        {"job", "site"},
        {"reports"},
        {"__init__"},
    ],
    "sweep.reporting": [{"figures", "predictions", "tables"}, {"page"}, {"__init__"}],
    "sweep.commands": [
        {"__init__", "options", "boards"},
        {"drive"},
        {
            "doctor",
            "download",
            "drive_in_job",
            "launch",
            "list_runs",
            "logs",
            "plan",
            "report",
            "resume",
            "retry",
            "status",
            "stop",
        },
    ],
}


def sources(package: str) -> list[Path]:
    return sorted((ROOT / package.replace(".", "/")).rglob("*.py"))


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts).removesuffix(".__init__")


def is_for_type_checkers(node: ast.AST) -> bool:
    return isinstance(node, ast.If) and "TYPE_CHECKING" in ast.dump(node.test)


def imported(node: ast.AST) -> list[str]:
    """The modules that the node and all below it import, also inside functions; `from x import y` may mean x.y."""
    if is_for_type_checkers(node):
        return []
    if isinstance(node, ast.Import):
        return [alias.name for alias in node.names]
    if isinstance(node, ast.ImportFrom):
        assert node.level == 0, "imports are absolute"
        return [known_module(f"{node.module}.{alias.name}", str(node.module)) for alias in node.names]
    return [name for child in ast.iter_child_nodes(node) for name in imported(child)]


def known_module(name: str, parent: str) -> str:
    path = ROOT / name.replace(".", "/")
    return name if path.with_suffix(".py").is_file() or (path / "__init__.py").is_file() else parent


@cache
def imports(path: Path) -> frozenset[str]:
    return frozenset(imported(ast.parse(path.read_text(encoding="utf-8"))))


def top(module: str) -> str:
    """A module's place in the layers: packages below `sweep` count as one."""
    return ".".join(module.split(".")[:2])


def rank(layers: list[set[str]], name: str) -> int:
    found = [number for number, layer in enumerate(layers) if name in layer]
    assert found, f"{name} is in no layer of this test; put it where it belongs"
    return found[0]


def part(package: str, module: str) -> str:
    return module.removeprefix(package).removeprefix(".") or "__init__"


@pytest.mark.parametrize("path", sources("trainer"), ids=module_of)
def test_the_trainer_knows_nothing_of_sweep(path: Path) -> None:
    assert [name for name in imports(path) if name.split(".")[0] == "sweep"] == []


@pytest.mark.parametrize(("library", "package"), [("optuna", "sweep.search"), ("submitit", "sweep.launchers")])
def test_a_library_is_imported_by_one_package_alone(library: str, package: str) -> None:
    users = {
        module_of(path)
        for path in [*sources("sweep"), *sources("trainer")]
        if any(name.split(".")[0] == library for name in imports(path))
    }
    assert users
    assert {user for user in users if top(user) != package} == set()


@pytest.mark.parametrize("package", LAYERS)
def test_modules_import_lower_layers_only(package: str) -> None:
    upward = {
        f"{module_of(path)} imports {name}"
        for path in sources(package)
        for name in imports(path)
        if name.split(".")[0] == package
        and top(name) != top(module_of(path))
        and rank(LAYERS[package], top(name)) >= rank(LAYERS[package], top(module_of(path)))
    }
    assert upward == set()


@pytest.mark.parametrize("package", PARTS)
def test_modules_of_a_part_import_lower_layers_of_it_only(package: str) -> None:
    upward = {
        f"{module_of(path)} imports {name}"
        for path in sources(package)
        for name in imports(path)
        if top(name) == package
        and rank(PARTS[package], part(package, name)) >= rank(PARTS[package], part(package, module_of(path)))
    }
    assert upward == set()


def test_every_module_has_its_layer() -> None:
    for package, layers in LAYERS.items():
        assert {top(module_of(path)) for path in sources(package)} == set().union(*layers)
    for package, layers in PARTS.items():
        assert {part(package, module_of(path)) for path in sources(package)} == set().union(*layers)


SLOW = {"torch", "optuna", "pandas", "submitit"}
RUN = """
import json, sys
from sweep.cli import main
sys.argv = ["sweep", *sys.argv[1:]]
try:
    main() if len(sys.argv) > 1 else None
except SystemExit as end:
    assert not end.code, end.code
print(json.dumps(sorted(sys.modules)))
"""


def loaded(*arguments: str) -> set[str]:
    """The packages that a command has loaded at its end, in a process of its own."""
    command = [sys.executable, "-c", RUN, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    return {name.split(".")[0] for name in json.loads(done.stdout.splitlines()[-1])}


def test_the_command_line_starts_without_the_slow_libraries() -> None:
    packages = loaded()
    assert "typer" in packages
    assert packages & SLOW == set()


@pytest.mark.parametrize("arguments", [("status", "quickstart"), ("status", "--json"), ("list",)])
def test_a_look_at_a_run_needs_none_of_the_slow_libraries(tmp_path: Path, arguments: tuple[str, ...]) -> None:
    create_run(load_study("quickstart"), load_profile("local"), tmp_path)
    packages = loaded(*arguments, "--runs", str(tmp_path))
    assert "pydantic" in packages
    assert packages & SLOW == set()
