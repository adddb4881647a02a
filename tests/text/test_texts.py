"""Names of files and people are text: in terminals, logs, errors and spreadsheets."""

from __future__ import annotations

import csv
import io
import json
import shutil
from typing import TYPE_CHECKING

import pandas as pd
import pytest
import ready
from hypothesis import given
from hypothesis import strategies as st

import facekit as fk
from facekit.text.names import one_line
from facekit.text.spreadsheets import csv_bytes, unguarded

if TYPE_CHECKING:
    from pathlib import Path

    from facekit.library.local import LocalLibrary

EVIL = "\x1b]0;pwn\x07\x1b[31mred\nERROR    forged\u202egpj.jpg"


@given(st.text())
def test_no_text_steers_a_terminal_or_ends_a_line(text: str) -> None:
    said = one_line(text)
    assert len(said.splitlines()) <= 1
    assert not any(ord(letter) < 32 or 0x7F <= ord(letter) < 0xA0 or letter in "\u202e\u2066" for letter in said)
    said.encode()


def test_letters_of_all_scripts_stay() -> None:
    assert one_line("Анна ☺ 王 عمر \u200d [b] \\n") == "Анна ☺ 王 عمر \u200d [b] \\n"


def test_a_name_reaches_neither_terminal_nor_log(ordinary_photos: Path, tmp_path: Path) -> None:
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(ordinary_photos / "img20.jpg", photos / EVIL)
    (photos / ("x" + EVIL)).write_bytes(b"\xff\xd8\xff no picture")

    def facekit(*arguments: str | Path) -> str:
        done = ready.facekit("-L", tmp_path / "faces", *arguments)
        return done.stdout + done.stderr

    said = [facekit("ingest", photos), facekit("photos"), facekit("search", photos / EVIL)]
    said += [facekit("search", tmp_path / EVIL)]
    assert "forged" not in (tmp_path / "faces" / "logs" / "facekit.log").read_text("utf-8")
    for text in said:
        assert "forged" in text
        assert not any(letter in text for letter in ("\x1b", "\x07", "\u202e"))
        assert not any(line.startswith("ERROR    forged") for line in text.splitlines())
    exact = json.loads(facekit("photos", "--json"))
    assert {row["path"].rpartition("/")[2] for row in exact} == {EVIL, "x" + EVIL}


def test_errors_have_one_line_of_at_most_500_characters() -> None:
    for error in (
        fk.FacekitError("m" * 10_000 + EVIL, "r" * 1000),
        fk.PhotoError(fk.Status.CORRUPT, EVIL + "p" * 10_000),
        fk.NameTakenError("n" * 600, "Merge them.", "id"),
    ):
        assert len(str(error)) <= 500
        assert len(str(error).splitlines()) == 1
    assert fk.NameTakenError("n" * 600, "Merge them.").remedy == "Merge them."


@given(st.lists(st.text(alphabet="=+-@\t\r\n'a1ж＝", max_size=6), min_size=1))
def test_no_cell_is_a_formula_and_all_come_back(texts: list[str]) -> None:
    data = csv_bytes(pd.DataFrame({"name": texts, "number": [-1.5] * len(texts)}))
    assert data.startswith(b"\xef\xbb\xbf")
    rows = list(csv.reader(io.StringIO(data.decode("utf-8-sig"), newline="")))[1:]
    assert [unguarded(row[0]) for row in rows] == texts
    assert not any(row[0].startswith(("=", "+", "-", "@", "\t", "\r", "\n", "＝")) for row in rows)
    assert {row[1] for row in rows} == {"-1.5"}


@pytest.mark.parametrize("table", ["people", "photos", "faces", "constraints"])
def test_every_export_is_for_spreadsheets(grouped_library: LocalLibrary, tmp_path: Path, table: str) -> None:
    grouped_library.people.name(grouped_library.people[0], "=1+1 Анна")
    data = grouped_library.export(table, tmp_path / "t.csv").read_bytes()  # type: ignore[arg-type]
    assert data.startswith(b"\xef\xbb\xbf")
    assert b",=1+1" not in data
    assert ("'=1+1 Анна".encode() in data) == (table == "people")
    exact = json.loads(grouped_library.export("people", tmp_path / "t.json").read_text(encoding="utf-8"))
    assert "=1+1 Анна" in {row["person"] for row in exact}
