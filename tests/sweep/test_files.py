"""Files that are whole or absent."""

from __future__ import annotations

import json
import math
import subprocess
import sys
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sweep.files import append_line, must_read_json, publish, read_json, read_lines, replace, to_json

PUBLISHER = """
import sys, time
from pathlib import Path
from sweep.files import publish
folder, name = Path(sys.argv[1]), sys.argv[2]
(folder / f"ready-{name}").touch()
while not (folder / "go").exists():
    time.sleep(0.001)
print(publish(folder / "decided", name * 50_000))
"""


def test_a_replaced_file_holds_the_new_text_and_leaves_nothing_beside_it(tmp_path: Path) -> None:
    replace(tmp_path / "file", "old")
    replace(tmp_path / "file", "new")
    assert (tmp_path / "file").read_text() == "new"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_a_replacement_that_cannot_be_written_leaves_the_old_text(tmp_path: Path) -> None:
    replace(tmp_path / "file", "old")
    with pytest.raises(UnicodeEncodeError):
        replace(tmp_path / "file", "new \ud800")
    assert (tmp_path / "file").read_text() == "old"


def test_readers_see_the_old_text_or_the_new_one_while_a_file_is_replaced(tmp_path: Path) -> None:
    path, texts = tmp_path / "file", [letter * 100_000 for letter in "ab"]
    replace(path, texts[0])
    over, seen = threading.Event(), set()

    def read() -> None:
        while not over.is_set():
            seen.add(path.read_text())

    reader = threading.Thread(target=read)
    reader.start()
    for turn in range(40):
        replace(path, texts[turn % 2])
    over.set()
    reader.join()
    assert seen <= set(texts)


def test_only_the_first_publication_counts(tmp_path: Path) -> None:
    assert publish(tmp_path / "file", "first")
    assert not publish(tmp_path / "file", "second")
    assert (tmp_path / "file").read_text() == "first"
    assert [path.name for path in tmp_path.iterdir()] == ["file"]


def test_of_several_processes_that_publish_at_once_one_wins_and_its_text_is_whole(tmp_path: Path) -> None:
    names = "abcd"
    publishers = {
        name: subprocess.Popen(
            [sys.executable, "-c", PUBLISHER, str(tmp_path), name], stdout=subprocess.PIPE, text=True
        )
        for name in names
    }
    while not all((tmp_path / f"ready-{name}").exists() for name in names):
        assert all(publisher.poll() is None for publisher in publishers.values())
    (tmp_path / "go").touch()
    said = {name: publisher.communicate()[0].strip() for name, publisher in publishers.items()}
    winners = [name for name, word in said.items() if word == "True"]
    assert len(winners) == 1
    assert (tmp_path / "decided").read_text() == winners[0] * 50_000


def test_a_folder_that_is_missing_is_an_error_and_no_defeat(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        publish(tmp_path / "nowhere" / "file", "text")


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_numbers_that_json_lacks_become_null_however_deep(value: float) -> None:
    assert json.loads(to_json({"a": value, "b": [1, (value, {"c": value})]})) == {
        "a": None,
        "b": [1, [None, {"c": None}]],
    }


def refuse(constant: str) -> None:
    raise AssertionError(constant)


records = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(records)
def test_every_record_is_one_line_of_strict_json(record: Any) -> None:
    text = to_json(record)
    assert "\n" not in text
    json.loads(text, parse_constant=refuse)


@given(st.lists(st.dictionaries(st.text(), st.integers())), st.binary().filter(lambda torn: b"\n" not in torn))
def test_lines_after_a_torn_one_are_read_like_those_before_it(
    tmp_path_factory: pytest.TempPathFactory, lines: list[Any], torn: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "torn.jsonl"
    path.unlink(missing_ok=True)
    for line in lines:
        append_line(path, line)
    with path.open("ab") as file:
        file.write(b'{"torn": ' + torn)
    append_line(path, {"last": 1})
    assert [line for line in read_lines(path) if isinstance(line, dict) and "torn" not in line] == [
        *lines,
        {"last": 1},
    ]


def test_a_line_that_is_torn_is_skipped(tmp_path: Path) -> None:
    (tmp_path / "lines").write_bytes(b'{"a": 1}\n{"b": \n\n\x00\x00\x00\n{"c": 3}\n{"d"')
    assert list(read_lines(tmp_path / "lines")) == [{"a": 1}, {"c": 3}]


def test_a_file_that_is_missing_has_no_lines_and_no_object(tmp_path: Path) -> None:
    assert list(read_lines(tmp_path / "lines")) == []
    assert read_json(tmp_path / "lines") is None
    with pytest.raises(FileNotFoundError):
        must_read_json(tmp_path / "lines")


def test_an_object_that_is_published_is_read_again(tmp_path: Path) -> None:
    publish(tmp_path / "file", to_json({"a": [1, None, "é\n"]}))
    assert read_json(tmp_path / "file") == {"a": [1, None, "é\n"]}
