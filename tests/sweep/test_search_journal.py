"""The journal file: torn, locked by the dead, damaged, deleted; the trial folders are the truth."""

from __future__ import annotations

from pathlib import Path

import pytest
from optuna.trial import TrialState as Verdict
from sweep_builders import (
    board_of,
    ended,
    exact_model,
    gone,
    job,
    study,
    trial_spec,
    waiting,
    write_job,
    written_run,
)

from sweep.driver import Driver
from sweep.errors import RunFolderError
from sweep.events import EventLog
from sweep.records import TrialRecord, TrialState
from sweep.search import Search
from sweep.search.storage import mend_journal
from sweep.spec import StudySpec
from sweep.timings import setting_of

SPEC = study(sampler="random")
Records = dict[int, TrialRecord]


@pytest.fixture
def journal(tmp_path: Path) -> Path:
    return tmp_path / "journal.log"


def asked(search: Search) -> TrialRecord:
    new = search.ask({}, 60.0)
    number, params, recipe = new.number, new.params, new.recipe
    return TrialRecord(trial_spec(number, recipe=recipe, params=params))


def told(search: Search, state: str = "completed") -> TrialRecord:
    """A trial that was proposed, ended and told."""
    spec = asked(search).spec
    record = ended(spec.number, state, 1 - spec.recipe["x"] / 2, 5.0 + spec.number, spec=spec)
    search.tell(record)
    return record


def some_trials(journal: Path) -> Records:
    """A study of three trials that ended in different ways and one that runs."""
    search = Search(SPEC, journal)
    records = [told(search), told(search, "failed"), told(search, "diverged"), asked(search)]
    return {record.number: record for record in records}


def reopened(journal: Path, records: Records) -> Search:
    """What a resumed driver does with the storage."""
    search = Search(SPEC, journal)
    search.reconcile(records)
    for record in records.values():
        if record.state.is_final:
            search.tell(record)
    return search


def contents(search: Search) -> list[tuple[object, ...]]:
    return [(trial.number, trial.state, trial.value, trial.params) for trial in search.stored.study.get_trials()]


def test_a_study_that_is_reopened_knows_its_trials(journal: Path) -> None:
    records = some_trials(journal)
    known = contents(Search(SPEC, journal))
    assert [state for _, state, _, _ in known] == [
        Verdict.COMPLETE,
        Verdict.FAIL,
        Verdict.COMPLETE,
        Verdict.RUNNING,
    ]
    assert contents(reopened(journal, records)) == known


@pytest.mark.parametrize("torn", [b'{"op_code": 6, "tri', b"{", b'{"op_code": 6, "worker_id": "w"}', b"\x00\x00"])
def test_a_last_line_that_was_torn_is_cut(journal: Path, torn: bytes) -> None:
    records = some_trials(journal)
    before = contents(Search(SPEC, journal))
    with journal.open("ab") as file:
        file.write(torn)
    search = reopened(journal, records)
    assert contents(search) == before
    assert asked(search).number == 4
    assert len(Search(SPEC, journal).stored.study.get_trials()) == 5


def test_a_result_whose_line_was_torn_is_told_again(journal: Path) -> None:
    search = Search(SPEC, journal)
    record = told(search)
    expected = contents(search)
    journal.write_bytes(journal.read_bytes()[:-5])
    assert contents(reopened(journal, {0: record})) == expected


def test_a_journal_without_a_torn_line_is_left_as_it_is(journal: Path) -> None:
    some_trials(journal)
    before = journal.read_bytes()
    mend_journal(journal)
    assert journal.read_bytes() == before


def test_a_journal_that_is_missing_needs_no_mending(journal: Path) -> None:
    mend_journal(journal)
    assert not journal.exists()


@pytest.mark.timeout(25)  # Optuna waits 30 s for a lock that nobody holds
def test_a_lock_that_a_dead_writer_left_does_not_block(journal: Path) -> None:
    records = some_trials(journal)
    lock = journal.with_name("journal.log.lock")
    lock.symlink_to(journal)
    journal.with_name("journal.log.lock.rename").touch()
    assert asked(reopened(journal, records)).number == 4
    assert not lock.is_symlink()


def test_a_journal_that_was_deleted_is_rebuilt_with_the_same_numbers_and_values(journal: Path) -> None:
    records = some_trials(journal)
    before = contents(Search(SPEC, journal))
    journal.unlink()
    assert contents(reopened(journal, records)) == before


def test_a_rebuilt_study_goes_on_as_the_old_one_would_have(journal: Path, tmp_path: Path) -> None:
    records = some_trials(journal)
    expected = asked(Search(SPEC, journal)).spec.recipe
    assert asked(reopened(tmp_path / "rebuilt.log", records)).spec.recipe == expected


def test_a_rebuilt_study_keeps_the_place_of_a_trial_whose_folder_is_gone(journal: Path) -> None:
    records = some_trials(journal)
    del records[0]
    journal.unlink()
    search = reopened(journal, records)
    assert [number for number, *_ in contents(search)] == [0, 1, 2, 3]
    assert contents(search)[0][1] == Verdict.FAIL
    assert contents(search)[2][1] == Verdict.COMPLETE


def test_a_journal_that_is_damaged_before_its_end_is_set_aside_and_rebuilt(journal: Path) -> None:
    records = some_trials(journal)
    before = contents(Search(SPEC, journal))
    lines = journal.read_bytes().splitlines(keepends=True)
    lines[3] = b"\x00" * 20 + b"\n"
    journal.write_bytes(b"".join(lines))
    assert contents(reopened(journal, records)) == before
    (aside,) = journal.parent.glob("journal.log.damaged-*")
    assert aside.read_bytes() == b"".join(lines)


def test_a_driver_tells_a_rebuilt_study_what_it_told_the_old_one(tmp_path: Path) -> None:
    search = Search(SPEC, tmp_path / "first.log")
    records = [told(search), told(search)]
    paths = written_run(tmp_path, SPEC, records)
    events = EventLog(paths.events)
    for record in records:
        events.write("told", trial=record.number, state=record.state.value)
    rebuilt = Search(SPEC, paths.journal)
    Driver(board_of(paths, SPEC, rebuilt)).adopt()
    assert contents(rebuilt) == contents(search)


def test_a_proposal_that_never_reached_its_folder_is_closed(journal: Path) -> None:
    search = Search(SPEC, journal)
    records = {0: told(search)}
    asked(search)
    search = Search(SPEC, journal)
    assert search.reconcile(records) == [1]
    assert [state for _, state, _, _ in contents(search)] == [Verdict.COMPLETE, Verdict.FAIL]
    assert asked(search).number == 2


def test_a_first_proposal_that_never_reached_its_folder_is_closed(journal: Path) -> None:
    asked(Search(SPEC, journal))
    search = Search(SPEC, journal)
    assert search.reconcile({}) == [0]
    assert asked(search).number == 1


def test_a_proposal_is_closed_once(journal: Path) -> None:
    search = Search(SPEC, journal)
    records = {0: told(search)}
    asked(search)
    Search(SPEC, journal).reconcile(records)
    assert Search(SPEC, journal).reconcile(records) == []


def test_a_driver_that_dies_twice_before_the_first_trial_can_be_resumed(journal: Path) -> None:
    asked(Search(SPEC, journal))
    Search(SPEC, journal).reconcile({})
    search = Search(SPEC, journal)
    assert search.reconcile({}) == []
    assert asked(search).number == 1


@pytest.fixture
def shared(tmp_path: Path) -> StudySpec:
    """A study in a database that other runs use as well."""
    return SPEC.model_copy(update={"storage": f"sqlite:///{tmp_path / 'optuna.db'}"})


@pytest.mark.parametrize("trials", [0, 2])
def test_a_storage_that_holds_a_study_of_another_run_is_refused(
    shared: StudySpec, journal: Path, trials: int
) -> None:
    search = Search(shared, journal, "first")
    for _ in range(trials):
        told(search)
    with pytest.raises(
        RunFolderError, match="already holds a study 'toy' of another run; give this study another"
    ):
        Search(shared, journal, "second")
    assert len(Search(shared, journal, "first").stored.study.get_trials()) == trials


def test_runs_of_other_names_share_a_storage(shared: StudySpec, journal: Path) -> None:
    told(Search(shared, journal, "first"))
    other = Search(shared.model_copy(update={"name": "other"}), journal, "second")
    assert contents(other) == []


def test_a_run_opens_its_own_study_again(shared: StudySpec, journal: Path) -> None:
    search = Search(shared, journal, "first")
    told(search)
    assert contents(Search(shared, journal, "first")) == contents(search) != []


def test_a_storage_at_a_url_is_used_instead_of_the_journal(tmp_path: Path, journal: Path) -> None:
    spec = SPEC.model_copy(update={"storage": f"sqlite:///{tmp_path / 'optuna.db'}"})
    search = Search(spec, journal)
    record = told(search)
    assert contents(Search(spec, journal)) == contents(search)
    assert contents(search)[0][:2] == (record.number, Verdict.COMPLETE)
    assert not journal.exists()


def test_a_driver_goes_on_though_the_folder_of_a_trial_in_flight_is_gone(tmp_path: Path) -> None:
    paths = written_run(tmp_path, SPEC, [ended(0)])
    write_job(paths, job(1))  # of which no trial is there
    driver = Driver(board_of(paths, SPEC))
    driver.adopt()
    driver.collector.collect()
    assert driver.board.bundles_in_flight() == {}


def test_a_trial_whose_last_job_was_booked_by_a_driver_that_died_then_is_lost(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"retries": 0})
    paths = written_run(tmp_path, spec, [waiting(0)])
    write_job(paths, job(0, end=gone(0)))
    driver = Driver(board_of(paths, spec))
    driver.adopt()
    assert driver.board.trials[0].state == TrialState.LOST


def test_a_recipe_to_start_with_is_not_lost_with_the_driver_that_asked_for_it(tmp_path: Path) -> None:
    spec = SPEC.model_copy(update={"start": ({"x": 0.25},)})
    for _ in range(2):  # the first dies before the trial's folder is there
        search = Search(spec, tmp_path / "journal.log")
        search.reconcile({})
        assert search.ask({}, 60.0).recipe["x"] == 0.25


def test_a_recipe_to_start_with_keeps_the_fixed_keys_though_no_epoch_is_said_to_fit(tmp_path: Path) -> None:
    space = {"x": {"low": 0.0, "high": 1.0}, "epochs": {"up_to": 9}}
    spec = study(fixed={"model": "mine"}, space=space, start=[{"x": 0.25}])
    models = {setting_of({"model": "mine"}): exact_model(500.0, startup_seconds=0.0, margin=1.1)}
    recipe = Search(spec, tmp_path / "journal.log").ask(models, 60.0).recipe
    assert recipe["model"] == "mine"
    assert recipe["x"] == 0.25
    assert 1 <= recipe["epochs"] <= 3
