"""Table, pictures, HTML and PDF of a corrected case: its numbers now, the automatic ones beside, and no patient."""

import csv

import pypdfium2
import pytest
from cases import REGULAR, correct, head_series, more_core, write_case
from PIL import Image

from StrokeSegLib.documents.requests import Export
from StrokeSegLib.errors import CaseError
from StrokeSegLib.exports.export import export


def silent(fraction: float, stage: str) -> None:
    """No progress."""


@pytest.fixture
def case(tmp_path):
    write_case(tmp_path / "Doe^Jane", head_series(tmp_path / "series", REGULAR))
    correct(tmp_path / "Doe^Jane", more_core)
    return tmp_path / "Doe^Jane"


def pdf_text(path) -> str:
    return "\n".join(page.get_textpage().get_text_range() for page in pypdfium2.PdfDocument(path))


def test_a_row_holds_the_numbers_now_and_before_and_is_replaced_by_its_name(case, tmp_path):
    for name in ("one", "two", "one"):
        (table,) = export(Export(case, "csv", tmp_path / "out", name), silent).files
    with table.open(encoding="utf-8") as lines:
        rows = {row["case"]: row for row in csv.DictReader(lines)}
    assert set(rows) == {"one", "two"}
    more_ml = float(rows["one"]["core_ml"]) - float(rows["one"]["core_ml_automatic"])
    assert more_ml == pytest.approx(36 * 2 * 2 * 8 / 1000)
    assert (rows["one"]["edited"], rows["one"]["models"]) == ("core", "drawn 1.2.0")


@pytest.mark.parametrize("kind", ["pdf", "html"])
def test_the_report_marks_what_was_edited_beside_its_automatic_value(case, tmp_path, kind):
    (file,) = export(Export(case, kind, tmp_path / "out"), silent).files
    text = pdf_text(file) if kind == "pdf" else file.read_text(encoding="utf-8")
    assert "corrected by a reader: core" in text
    assert "edited" in text
    for volume in ("19.2 ml", "18.0 ml"):
        assert volume in text
    assert "For research use only" in text
    assert "Doe" not in text + file.name


def test_pictures_show_the_slices_with_most_affected_tissue(case, tmp_path):
    files = export(Export(case, "pictures", tmp_path / "out", "one"), silent).files
    assert [file.name for file in files] == [f"slice-{number:03d}.png" for number in (1, 3, 4, 5, 6, 7)]
    assert Image.open(files[0]).width == 720


def test_an_unknown_kind_is_refused(case, tmp_path):
    with pytest.raises(CaseError, match="choose one of"):
        Export(case, "word", tmp_path)
    with pytest.raises(CaseError, match="is not a valid case name"):
        export(Export(case, "csv", tmp_path, "../one"), silent)
