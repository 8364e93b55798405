"""Study and profile files: found by path or name, changed by --set, written and read again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from sweep_builders import here, study

from sweep.errors import StudyFileError
from sweep.toml_files import (
    apply_change,
    builtin_names,
    load_profile,
    load_study,
    parse_changes,
    save,
    split_changes,
)

STUDIES = (
    "bn_cnn, cifar10_60, classifier_lab, finetune_resnet18, first_network_mnist, frontier_challenge, quickstart"
)

STUDY = """
name = "mine"
goal = "accuracy"
target = 0.5
trainer = "sleepers:sleep"
[limits]
trials = 3
trial = "10s"
[space]
x = { low = 0.0, high = 1.0 }
"""


def test_the_built_in_studies_and_profiles_are_listed_by_name() -> None:
    assert builtin_names("studies") == STUDIES.split(", ")
    assert "local" in builtin_names("slurm_profiles")


def test_a_study_is_found_by_its_path(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY)
    assert load_study("mine.toml").name == "mine"
    assert load_study(str(tmp_path / "mine.toml")).limits.trial == 10


def test_a_study_is_found_in_the_home_folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    (tmp_path / "mine.toml").write_text(STUDY)
    assert load_study("~/mine.toml").name == "mine"


def test_a_file_here_comes_before_the_built_in_study_of_that_name(tmp_path: Path) -> None:
    (tmp_path / "quickstart").write_text(STUDY)
    assert load_study("quickstart").name == "mine"


@pytest.mark.parametrize(
    ("load", "what", "names"),
    [(load_study, "study", STUDIES), (load_profile, "profile", "local")],
)
def test_a_file_that_is_missing_is_told_with_the_built_in_names(load: Any, what: str, names: str) -> None:
    with pytest.raises(StudyFileError, match=f"no {what} 'nowhere.toml'") as refusal:
        load("nowhere.toml")
    assert names in str(refusal.value)


@pytest.mark.parametrize("content", [b"name = ", b"name: mine", b"a = 1\na = 2", b"\xff\xfe\x00", b"[limits"])
def test_a_file_that_is_no_toml_is_told_with_its_path(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "bad.toml").write_bytes(content)
    with pytest.raises(StudyFileError, match=r"bad\.toml: not a TOML file: "):
        load_study("bad.toml")


def test_an_empty_file_is_told_every_key_that_is_missing(tmp_path: Path) -> None:
    (tmp_path / "empty.toml").touch()
    with pytest.raises(StudyFileError) as refusal:
        load_study("empty.toml")
    missing = {line.strip().removesuffix(": is missing") for line in str(refusal.value).splitlines()[1:]}
    assert missing == {"name", "goal", "target", "limits", "space"}


def test_the_mistakes_are_counted_and_the_file_named(tmp_path: Path) -> None:
    (tmp_path / "bad.toml").write_text(STUDY)
    with pytest.raises(StudyFileError, match=r"^bad\.toml: 2 mistake\(s\)\n"):
        load_study("bad.toml", {"target": 2, "seed": -1})


@pytest.mark.parametrize(
    ("text", "key", "value"),
    [
        ("seed=7", "seed", 7),
        ("target=0.5", "target", 0.5),
        ("target=1.0", "target", 1.0),
        ("fixed.test=true", "fixed.test", True),
        ("fixed.optimizer=adam", "fixed.optimizer", "adam"),
        ('fixed.optimizer="adam"', "fixed.optimizer", "adam"),
        ("fixed.optimizer='adam'", "fixed.optimizer", "adam"),
        ("fixed.optimizer='true'", "fixed.optimizer", "true"),
        ("limits.trial=1h 30m", "limits.trial", "1h 30m"),
        ("fixed.path=/a=b", "fixed.path", "/a=b"),
        ("description=", "description", ""),
        ("a.b.c.d=1", "a.b.c.d", 1),
        ("space.x={ low = 1, high = 2 }", "space.x", {"low": 1, "high": 2}),
        ("space.o.choices=['a', 'b']", "space.o.choices", ["a", "b"]),
        (" seed = 7", "seed", 7),
        ("fixed.word= plain words ", "fixed.word", "plain words"),
    ],
)
def test_the_value_of_a_change_is_read_as_toml_or_else_as_text(text: str, key: str, value: object) -> None:
    assert repr(parse_changes([text])) == repr({key: value})  # 1, 1.0 and True are equal, but not the same


def test_changes_are_read_in_the_order_in_which_they_were_given() -> None:
    texts = ["space.x={ low = 1, high = 2 }", "space.x.log=true", "seed=3"]
    assert list(parse_changes(texts)) == ["space.x", "space.x.log", "seed"]
    assert parse_changes([]) == {}


@pytest.mark.parametrize(
    ("key", "changed"),
    [
        ("seed", {"seed": 1}),
        ("fixed.seed", {"fixed": {"seed": 1}}),
        ("a.b.c.d", {"a": {"b": {"c": {"d": 1}}}}),
    ],
)
def test_a_change_makes_the_tables_on_its_way(key: str, changed: dict[str, Any]) -> None:
    data: dict[str, Any] = {}
    apply_change(data, key, 1)
    assert data == changed


def test_a_change_leaves_the_other_keys_of_a_table_as_they_are() -> None:
    data: dict[str, Any] = {"limits": {"trials": 3, "trial": "10s"}, "seed": 1}
    apply_change(data, "limits.trials", 5)
    assert data == {"limits": {"trials": 5, "trial": "10s"}, "seed": 1}


@pytest.mark.parametrize("change", ["limits.trials", "", "=3", " =3", ".trials=3", "limits.=3", "a..b=3"])
def test_a_change_without_a_key_or_a_value_is_refused(change: str) -> None:
    with pytest.raises(StudyFileError, match=r"--set needs key=value, such as limits\.trials=20"):
        parse_changes(["seed=1", change])


def test_a_change_may_not_run_through_a_value() -> None:
    with pytest.raises(StudyFileError, match="'name' is a value, not a table"):
        apply_change({"name": "mine"}, "name.first", "x")


def test_the_last_change_of_a_key_counts(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY)
    assert load_study("mine.toml", parse_changes(["seed=1", "seed=2"])).seed == 2


def test_a_key_that_is_fixed_by_a_change_is_no_longer_searched(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY + "y = { values = [1, 2] }\n")
    spec = load_study("mine.toml", {"fixed.x": 0.25})
    assert (spec.fixed, list(spec.space)) == ({"x": 0.25}, ["y"])


def test_a_file_that_fixes_and_searches_a_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY + "[fixed]\nx = 0.25\n")
    with pytest.raises(StudyFileError, match=r"x is in both \[fixed\] and \[space\]"):
        load_study("mine.toml")


def test_a_study_whose_only_key_is_fixed_searches_nothing_and_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine.toml").write_text(STUDY)
    with pytest.raises(StudyFileError, match=r"space: .* at least 1 item"):
        load_study("mine.toml", {"fixed.x": 0.25})


def test_changes_after_profile_are_for_the_profile() -> None:
    changes = {"limits.trials": 3, "profile.slots": 2, "profile.env.A": "1", "name": "profiles"}
    assert split_changes(changes) == (
        {"limits.trials": 3, "name": "profiles"},
        {"slots": 2, "env.A": "1"},
    )


def test_changes_of_the_profile_keep_their_order() -> None:
    keys = [f"env.{letter}" for letter in "qwertyuiopasdfgh"]
    assert list(split_changes(dict.fromkeys(f"profile.{key}" for key in keys))[1]) == keys


def test_a_change_given_again_is_made_when_it_was_given_last() -> None:
    texts = ["limits.trials=1", "limits={ trial = 60 }", "limits.trials=2"]
    assert list(parse_changes(texts)) == ["limits", "limits.trials"]


@pytest.mark.parametrize("name", builtin_names("studies"))
def test_a_built_in_study_that_is_saved_is_read_again_as_it_was(tmp_path: Path, name: str) -> None:
    spec = load_study(name)
    save(tmp_path / "saved.toml", spec)
    assert load_study("saved.toml") == spec


def test_a_profile_that_is_saved_is_read_again_as_it_was(tmp_path: Path) -> None:
    profile = here(env={"A": 'quotes " and \\ slashes'}, slots="auto", gpus=0)
    save(tmp_path / "saved.toml", profile)
    assert load_profile("saved.toml") == profile


words = st.text(st.characters(codec="utf-8"))
values = st.one_of(
    st.booleans(),
    st.integers(-(2**63), 2**63 - 1),
    st.floats(allow_nan=False, allow_infinity=False),
    words,
)


@given(words, st.dictionaries(st.text("ab.-é", min_size=1), values), st.lists(values))
def test_any_study_that_is_saved_is_read_again_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, description: str, fixed: dict[str, Any], choices: list[Any]
) -> None:
    spec = study(description=description, fixed=fixed, space={"picked": {"choices": [*choices, "last"]}})
    path = tmp_path_factory.getbasetemp() / "any-study.toml"
    save(path, spec)
    again = load_study(str(path))
    assert again == spec
    assert repr(again) == repr(spec)  # 1, 1.0 and True are equal, but not the same
