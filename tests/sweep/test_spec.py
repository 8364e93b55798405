"""Study files, read and checked whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from sweep.errors import StudyFileError
from sweep.records import JOB_OVERHEAD_SECONDS
from sweep.spec import StudySpec, recipe_mistakes
from sweep.toml_files import builtin_names, load_frozen_study, load_study, parse_changes, save


def quickstart(*changes: str) -> StudySpec:
    """The quickstart study with these changes."""
    return load_study("quickstart", parse_changes(changes))


def mistakes(*changes: str) -> list[str]:
    """The lines of the refusal of the quickstart study with these changes, without the line that counts them."""
    with pytest.raises(StudyFileError) as refusal:
        quickstart(*changes)
    return [line.strip() for line in str(refusal.value).splitlines()[1:]]


@pytest.mark.parametrize("name", builtin_names("studies"))
def test_every_built_in_study_loads_and_is_named_like_its_file(name: str) -> None:
    assert load_study(name).name == name


def test_the_challenge_searches_epochs_and_batch_size_alone() -> None:
    assert set(load_study("frontier_challenge").space) == {"epochs", "batch_size"}


@pytest.mark.parametrize(
    ("change", "key", "allowed"),
    [
        ("trials=3", "trials", "name, description, goal, target"),
        ("limits.trails=3", "limits.trails", "trials, trial, walltime, gpu_hours"),
        ("space.lr_scale.hi=3", "space.lr_scale.hi", "low, high, log"),
        ("space.optimizer.default='adam'", "space.optimizer.default", "choices"),
        ("space.batch_size.step=2", "space.batch_size.step", "values, divisors_of, powers_of, low, high"),
        ("space.epochs.low=2", "space.epochs.low", "up_to"),
    ],
)
def test_an_unknown_key_is_named_with_the_keys_allowed_there(change: str, key: str, allowed: str) -> None:
    (line,) = mistakes(change)
    assert line.startswith(f"{key}: unknown key; allowed here: {allowed}")


@pytest.mark.parametrize(
    ("change", "line"),
    [
        (
            "target='high'",
            "target: Input should be a valid number, unable to parse string as a number; got 'high'",
        ),
        ("target=0", "target: Input should be greater than 0; got 0"),
        ("target=1.01", "target: Input should be less than or equal to 1; got 1.01"),
        ("goal='fun'", "goal: Input should be 'speed', 'accuracy' or 'both'; got 'fun'"),
        ("seed=-1", "seed: Input should be greater than or equal to 0; got -1"),
        ("retries=-1", "retries: Input should be greater than or equal to 0; got -1"),
        ("limits.trials=0", "limits.trials: Input should be greater than or equal to 1; got 0"),
        ("limits.trial=0", "limits.trial: Input should be greater than 0; got 0"),
        ("limits.gpu_hours=0", "limits.gpu_hours: Input should be greater than 0; got 0"),
        ("limits.walltime=0", "limits.walltime: Input should be greater than 0; got 0"),
        ("limits=7", "limits: Input should be a valid dictionary or instance of Limits; got 7"),
        ("space={}", "space: Dictionary should have at least 1 item after validation, not 0; got {}"),
        ("space.lr_scale={low=2,high=1}", "space.lr_scale: low must be below high; got low = 2, high = 1"),
        ("space.lr_scale={low=2}", "space.lr_scale.high: is missing"),
        ("space.dataset={choices=['digits']}", "dataset is in both [fixed] and [space]"),
        ("space.lr={up_to=3}", "space.lr: up_to is for epochs only"),
    ],
)
def test_a_mistake_is_told_with_its_key_rule_and_value(change: str, line: str) -> None:
    assert mistakes(change) == [line]


@pytest.mark.parametrize("target", [1e-9, 1.0])
def test_a_target_may_be_anything_above_zero_up_to_one(target: float) -> None:
    assert quickstart(f"target={target}").target == target


@pytest.mark.parametrize("name", ["", "../elsewhere", "a b", "-x", ".hidden", "a/b", "x" * 65])
def test_a_name_that_is_no_plain_folder_is_refused(name: str) -> None:
    (line,) = mistakes(f"name={name!r}")
    assert line.startswith("name: ")


def test_a_duration_that_cannot_be_read_is_told_with_examples() -> None:
    (line,) = mistakes("limits.trial='a while'")
    assert line.startswith("limits.trial: ")
    assert '"1h 30m"' in line
    assert line.endswith("got 'a while'")


@pytest.mark.parametrize(
    ("change", "key"),
    [
        ("space.optimizer.choices=['adam', 'sgdx']", "space.optimizer"),
        ("space.lr_scale={low=0.0,high=1.0}", "space.lr_scale"),
        ("space.batch_size={values=[0, 5]}", "space.batch_size"),
        ("space.momentum={low=0.5,high=1.0}", "space.momentum"),
        ("fixed.momentum=7", "fixed.momentum"),
        ("fixed.dataset='cats'", "fixed.dataset"),
    ],
)
def test_a_value_that_the_trainer_refuses_is_refused_before_the_launch(change: str, key: str) -> None:
    (line,) = mistakes(change)
    assert line.startswith(f"{key}: ")


@pytest.mark.parametrize("table", ["fixed.colour='red'", "space.colour={choices=['red']}"])
def test_a_key_that_the_trainer_does_not_know_is_told_with_those_it_knows(table: str) -> None:
    (line,) = mistakes(table)
    assert line.startswith("colour is no key of trainer.training:train; it knows batch_size, ")


def test_a_walltime_must_cover_one_trial_with_its_start_and_end() -> None:
    limits = ["limits.trial=60", f"limits.walltime={60 + JOB_OVERHEAD_SECONDS}"]
    assert quickstart(*limits).limits.walltime == 60 + JOB_OVERHEAD_SECONDS
    (line,) = mistakes("limits.trial=60", f"limits.walltime={59.9 + JOB_OVERHEAD_SECONDS}")
    assert line.startswith("limits: walltime must cover one trial of 60 s")


def test_gpu_hours_must_cover_one_trial_with_its_start_and_end() -> None:
    limits = ["limits.trial=345", "limits.gpu_hours=0.1"]
    assert quickstart(*limits).limits.gpu_hours == 0.1
    (line,) = mistakes("limits.trial=345", "limits.gpu_hours=0.099")
    assert (
        line
        == "limits: gpu_hours must cover one trial of 345 s and 15 s for its start and end, 0.1 in all; got 0.099"
    )


def test_several_mistakes_are_told_at_once() -> None:
    changes = ["bogus=1", "target=0", "limits.bogus=2", "limits.trials=0", "space.epochs.x=3", "space.lr_scale={}"]
    told = {line.partition(":")[0] for line in mistakes(*changes)}
    assert told == {
        "bogus",
        "target",
        "limits.bogus",
        "limits.trials",
        "space.epochs.x",
        "space.lr_scale.low",
        "space.lr_scale.high",
    }


def test_several_values_that_the_trainer_refuses_are_told_at_once() -> None:
    lines = mistakes(
        "space.optimizer.choices=['sgdx', 'sgdy']", "fixed.momentum=7", "space.batch_size={values=[0]}"
    )
    assert sorted(line.rpartition(" ")[2] for line in lines) == ["'sgdx'", "'sgdy'", "0", "7"]


def test_mistakes_between_the_tables_are_told_at_once() -> None:
    lines = mistakes("space.dataset={choices=['digits']}", "space.lr={up_to=3}", "fixed.colour='red'")
    assert len(lines) == 3


def test_mistakes_of_fields_between_tables_and_of_values_are_told_at_once() -> None:
    both = "space.dataset={choices=['digits']}"
    lines = mistakes("goal='fun'", "limits.trials=0", "space.lr_scale={low=2,high=1}", both)
    assert lines == [
        "goal: Input should be 'speed', 'accuracy' or 'both'; got 'fun'",
        "limits.trials: Input should be greater than or equal to 1; got 0",
        "space.lr_scale: low must be below high; got low = 2, high = 1",
        "dataset is in both [fixed] and [space]",
    ]
    assert [line.partition(":")[0] for line in mistakes("seed=-1", "fixed.momentum=7", "space={}")] == [
        "seed",
        "space",
        "fixed.momentum",
    ]


def test_mistakes_of_keys_and_of_values_are_told_at_once() -> None:
    lines = mistakes("fixed.colour='red'", "fixed.momentum=7")
    assert [line.partition(" ")[0] for line in lines] == ["colour", "fixed.momentum:"]


@pytest.mark.parametrize(
    ("fixed", "mistake"),
    [
        ({"colour": "red"}, "colour is no key of trainer.training:train; it knows batch_size, "),
        ({"lr_scale": 1.0}, "lr_scale is in both [fixed] and [space]"),
        ({"momentum": 7}, "fixed.momentum: "),
        ({"momentum": {"start": 0.5}}, "fixed.momentum: a recipe holds text, numbers, true or false, and lists"),
        ({"momentum": [[0.5, None]]}, "fixed.momentum: a recipe holds text, numbers, true or false, and lists"),
    ],
)
def test_a_recipe_is_checked_whatever_else_is_wrong_with_its_file(fixed: dict[str, Any], mistake: str) -> None:
    data = {"goal": 7, "limits": "none", "fixed": fixed, "space": {"lr_scale": {"low": 0.5, "high": 2.0}}}
    (line,) = recipe_mistakes(data)
    assert line.startswith(mistake)


@pytest.mark.parametrize(
    "data",
    [
        {},
        {"fixed": 7},
        {"space": 7},
        {"trainer": 7},
        {"space": {"lr_scale": 7, "momentum": {"low": 2.0, "high": 1.0}, "optimizer": {}}},
        {"trainer": "sleepers:sleep", "fixed": {"any": "thing"}},
    ],
)
def test_what_breaks_the_rules_of_its_own_form_is_no_mistake_of_the_recipes(data: dict[str, Any]) -> None:
    assert recipe_mistakes(data) == []


NEEDY = """
from pydantic import BaseModel
class Recipe(BaseModel, extra="forbid"):
    width: int
def train(config: Recipe, context): ...
"""


def test_a_key_that_the_trainer_needs_is_not_called_missing_where_its_range_is_wrong(tmp_path: Path) -> None:
    (tmp_path / "needy_trainer.py").write_text(NEEDY)
    lines = mistakes("trainer='needy_trainer:train'", "fixed={}", "space={width={low=2,high=1}}")
    assert lines == ["space.width: low must be below high; got low = 2, high = 1"]


def test_a_trainer_that_is_no_module_and_function_is_one_mistake() -> None:
    (line,) = mistakes("trainer='train'")
    assert line.startswith("trainer: ")


def test_a_walltime_and_gpu_hours_that_are_both_too_small_are_told_at_once() -> None:
    told = "\n".join(mistakes("limits.walltime=1", "limits.gpu_hours=0.001"))
    assert "walltime must cover" in told
    assert "gpu_hours must cover" in told


def test_a_choice_of_the_wrong_type_is_one_mistake() -> None:
    (line,) = mistakes("space.optimizer.choices=[['adam']]")
    assert line.startswith("space.optimizer")


def test_a_key_named_like_a_kind_of_parameter_is_named_in_full() -> None:
    (line,) = mistakes("space.range={low=2,high=1}")
    assert line.startswith("space.range: ")


@pytest.mark.parametrize(
    ("changes", "given"),
    [
        ([], True),
        (["fixed.seed=3"], False),
        (["space.seed={values=[1,2]}"], False),
        (["trainer='sleepers:sleep'"], True),
    ],
)
def test_trials_get_seeds_of_their_own_unless_the_study_sets_them(changes: list[str], given: bool) -> None:
    assert quickstart(*changes).takes_seed is given


def test_the_copy_in_a_run_folder_is_read_without_its_trainer(tmp_path: Path) -> None:
    save(tmp_path / "study.toml", quickstart("trainer='sleepers:sleep'"))
    text = (tmp_path / "study.toml").read_text().replace("sleepers:sleep", "gone:train")
    (tmp_path / "study.toml").write_text(text)
    assert load_frozen_study(tmp_path / "study.toml").trainer == "gone:train"
    with pytest.raises(StudyFileError, match="gone:train"):
        load_study("study.toml")


def test_a_change_of_the_copy_in_a_run_folder_is_checked(tmp_path: Path) -> None:
    save(tmp_path / "study.toml", load_study("quickstart"))
    assert load_frozen_study(tmp_path / "study.toml", {"limits.trials": 99}).limits.trials == 99
    with pytest.raises(StudyFileError, match=r"limits\.trials"):
        load_frozen_study(tmp_path / "study.toml", {"limits.trials": 0})


def test_a_trainer_that_takes_any_mapping_may_get_any_key() -> None:
    spec = quickstart("trainer='sleepers:sleep'", "fixed.colour='red'")
    assert spec.fixed["colour"] == "red"
