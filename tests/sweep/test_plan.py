"""What a launch would do, worked out without launching anything."""

from __future__ import annotations

import json
from typing import Any

import pytest
from sweep_builders import exact_model, here, study

from sweep.errors import StudyFileError
from sweep.files import to_json
from sweep.forecast import simulate_studies
from sweep.plan import SAMPLES, Plan, make_plan
from sweep.records import JOB_OVERHEAD_SECONDS
from sweep.timings import setting_of

SPACE = {
    "epochs": {"up_to": 30},
    "batch_size": {"powers_of": 2, "low": 8, "high": 256},
    "optimizer": {"choices": ["momentum", "nesterov", "adam"]},
    "width": {"low": 1, "high": 8},
}
LIMIT = 60 - JOB_OVERHEAD_SECONDS  # a job of one minute


def planned(slots: int = 2, space: dict[str, Any] = SPACE, **limits: Any) -> Plan:
    spec = study(space=space, limits={"trials": 30, "trial": LIMIT} | limits)
    return make_plan(spec, here(slots=slots), {})


def facts(plan: Plan) -> dict[str, str]:
    return dict(plan.facts())


def test_the_space_is_described_in_words() -> None:
    assert planned().space == {
        "epochs": "1 to what fits the limit, at most 30",
        "batch_size": "6 values: 8, 16, 32, 64, 128, 256",
        "optimizer": "one of momentum, nesterov, adam",
        "width": "1 to 8",
    }


@pytest.mark.parametrize(
    ("parameter", "words"),
    [
        ({"divisors_of": 50_000}, "30 values: 1, 2, 4, 5, ..., 50000"),
        ({"low": 1e-6, "high": 0.01, "log": True}, "1e-06 to 0.01, log scale"),
        ({"choices": [True, 1.5]}, "one of True, 1.5"),
    ],
)
def test_long_lists_and_scales_are_described_in_short(parameter: dict[str, Any], words: str) -> None:
    assert planned(space={"key": parameter}).space == {"key": words}


def test_combinations_are_counted() -> None:
    plan = planned()
    assert plan.combinations == 30 * 6 * 3 * 8
    assert facts(plan)[""] == "4,320 combinations, sampler curves"


def test_a_space_with_a_continuous_key_has_no_number_of_combinations() -> None:
    plan = planned(space={**SPACE, "lr": {"low": 0.1, "high": 1.0}})
    assert plan.combinations is None
    assert facts(plan)[""].startswith("continuous")


def test_without_a_budget_every_trial_is_affordable() -> None:
    assert planned().trials_affordable == 30


@pytest.mark.parametrize(
    ("limits", "affordable"),
    [
        ({"gpu_hours": 0.2}, 12),  # 12 minutes
        ({"gpu_hours": 100}, 30),
        ({"walltime": "5 min"}, 10),  # on two slots
        ({"walltime": "299s"}, 8),
        ({"gpu_hours": 0.1, "walltime": "5 min"}, 6),
    ],
)
def test_a_budget_surely_covers_the_trials_that_fit_it_at_their_limit(
    limits: dict[str, Any], affordable: int
) -> None:
    assert planned(**limits).trials_affordable == affordable


@pytest.mark.parametrize(("limits", "hours"), [({}, 0.5), ({"gpu_hours": 0.2}, 0.2), ({"gpu_hours": 9}, 0.5)])
def test_costs_are_at_most_those_of_all_trials_and_of_the_budget(limits: dict[str, Any], hours: float) -> None:
    assert planned(**limits).gpu_hours_at_most == pytest.approx(hours)


@pytest.mark.parametrize(
    ("slots", "limits", "seconds"),
    [(1, {}, 1800.0), (2, {}, 900.0), (4, {}, 480.0), (50, {}, 60.0), (2, {"walltime": "5 min"}, 300.0)],
)
def test_a_study_takes_at_most_the_rounds_of_its_slots(slots: int, limits: dict[str, Any], seconds: float) -> None:
    assert planned(slots, **limits).walltime_seconds_at_most == pytest.approx(seconds)


def test_samples_are_recipes_of_the_space() -> None:
    samples = planned().samples
    assert len(samples) == SAMPLES
    assert all(list(sample) == list(SPACE) for sample in samples)
    assert all(1 <= sample["epochs"] <= 30 for sample in samples)


def test_a_plan_is_json_for_scripts() -> None:
    plan = planned()
    assert json.loads(to_json(plan.as_json()))["trials_affordable"] == 30


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("goal", "speed, target 90%"),
        ("space.width", "1 to 8"),
        ("fixed", "-"),
        ("trials", "30 of at most 45 s each; the budget surely covers 6, more if trials end early"),
        ("jobs", "2 at once, one trial each"),
        ("costs", "at most 0.1 GPU-hours"),
        ("takes", "at most 15 min"),
    ],
)
def test_the_facts_of_a_plan_are_lines_for_people(name: str, text: str) -> None:
    assert facts(planned(gpu_hours=0.1))[name] == text


def test_a_plan_that_is_covered_says_nothing_of_its_budget() -> None:
    assert facts(planned())["trials"] == "30 of at most 45 s each"


def warned(plan: Plan, words: str) -> bool:
    return any(words in warning for warning in plan.warnings)


def test_a_plan_warns_that_the_first_epochs_are_few_while_nothing_is_timed() -> None:
    assert warned(planned(), "nothing has been timed yet: the first proposals have at most 3 epochs")
    assert not warned(planned(space={"epochs": {"values": [1, 2]}}), "timed")


@pytest.mark.parametrize(
    ("trials", "sampler", "warns"),
    [(19, "auto", True), (20, "auto", False), (19, "tpe", True), (5, "random", False)],
)
def test_a_plan_warns_of_a_sampler_that_has_little_to_learn_from(trials: int, sampler: str, warns: bool) -> None:
    spec = study(sampler=sampler, limits={"trials": trials, "trial": 60})
    assert warned(make_plan(spec, here(), {}), f"learns little from {trials} trials") is warns


def test_a_plan_warns_of_slots_that_the_budget_leaves_empty() -> None:
    assert warned(
        planned(slots=8, gpu_hours=0.1), "the budget covers 6 trial(s) at a time, fewer than the 8 slots"
    )
    assert not warned(planned(slots=6, gpu_hours=0.1), "slots")


def test_a_plan_of_fewer_trials_than_slots_does_not_blame_a_budget() -> None:
    assert not warned(planned(slots=50), "the budget covers")


MODELS = {setting_of({}): exact_model(constant=2.0, per_batch=80.0, startup_seconds=3.0, margin=1.2)}


def test_what_was_timed_before_predicts_the_samples_the_requests_and_the_number_of_trials() -> None:
    spec = study(space=SPACE, limits={"trials": 300, "trial": 60, "gpu_hours": 0.5})
    plan = make_plan(spec, here(time_step=60, time_limit="2h"), MODELS)
    for sample in plan.samples:
        model = MODELS[setting_of({})]
        assert sample["seconds"] == pytest.approx(
            model.trial_seconds(sample["batch_size"], sample["epochs"]), abs=0.1
        )
    assert plan.trials_expected is not None
    assert plan.trials_affordable < plan.trials_expected < 300
    assert f"about {plan.trials_expected} by the predictions" in facts(plan)["trials"]
    assert facts(plan)["jobs"] == "2 at once, one trial each, asking for 1 min to 2 min (the profile allows 2 h)"
    assert not warned(plan, "nothing has been timed")


def test_batch_sizes_of_which_no_epoch_fits_are_named() -> None:
    spec = study(space=SPACE | {"batch_size": {"values": [1, 2, 256]}}, limits={"trials": 30, "trial": 30})
    assert warned(make_plan(spec, here(), MODELS), "no epoch fits 30 s with batch size 1, 2: never proposed")


def test_a_limit_in_which_no_epoch_of_anything_fits_is_refused_with_what_is_needed() -> None:
    spec = study(space=SPACE, limits={"trials": 30, "trial": 5})
    with pytest.raises(StudyFileError, match=r"trial = 5 s fits no epoch .* about 5.78 s; raise limits.trial"):
        make_plan(spec, here(), MODELS)


def test_a_job_that_is_shorter_than_a_trial_is_warned_of() -> None:
    assert warned(make_plan(study(), here(time_limit=60), {}), "go on from their checkpoint in another job")


def test_the_first_jobs_script_is_shown() -> None:
    script = planned().job_script
    assert "export OMP_NUM_THREADS=1" in script
    assert script.splitlines()[-1].endswith("runs/toy/jobs/toy-00000-1")


def test_a_simulation_runs_the_whole_study_on_each_of_its_seeds() -> None:
    spec = study(
        goal="accuracy",
        target=0.5,
        sampler="random",
        fixed={"dataset": "cifar10", "model": "convnet"},
        limits={"trials": 12, "trial": 25},
        space={
            "epochs": {"up_to": 12},
            "batch_size": {"values": [25, 100]},
            "optimizer": {"choices": ["adam", "muon"]},
        },
    )
    simulated = simulate_studies(spec, 2, [])
    assert [each.seed for each in simulated] == [0, 1, 2]
    assert {(each.trials, each.ends_because) for each in simulated} == {(12, "all trials are done")}
    assert all(0.3 < (each.best_accuracy or 0) < 0.75 for each in simulated)
    assert all(0 < each.gpu_hours * 3600 <= 12 * (25 + JOB_OVERHEAD_SECONDS) for each in simulated)
    assert simulated == simulate_studies(spec, 2, [])


def test_a_simulation_without_curves_of_the_data_set_says_where_to_get_them() -> None:
    with pytest.raises(StudyFileError, match="name a run of this data set with --from"):
        simulate_studies(study(fixed={"dataset": "digits"}), 2, [])
