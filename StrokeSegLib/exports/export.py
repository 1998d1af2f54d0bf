"""Export of one case folder: the entry point for command line and worker."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from StrokeSegLib.cases.reading import read_case
from StrokeSegLib.datasets.labelled_case import case_name
from StrokeSegLib.documents.requests import Export
from StrokeSegLib.findings import Findings
from StrokeSegLib.storage.atomic import atomic
from StrokeSegLib.vocabulary.exports import LAYOUTS

if TYPE_CHECKING:
    import PIL.Image

READ = 0.3
"""Progress fraction at which the case has been read."""

KEY_PICTURES, PICTURE_WIDTH = 9, 720


@dataclass(frozen=True)
class Exported:
    """The name of the case, and the files or folders that were written."""

    name: str
    files: tuple[Path, ...]


def export(asked: Export, progress: Callable[[float, str], None]) -> Exported:
    """Write the requested export.

    Raises:
        StrokeSegError: whatever the user can change; nothing of this case is written.
    """
    progress(0.0, "reading the case")
    findings = read_case(asked.case, asked.source)
    name = case_name(findings, asked.name)
    progress(READ, "writing")
    if asked.kind in LAYOUTS:
        from StrokeSegLib.datasets.adding import LAYOUTS as WRITERS

        files = WRITERS[asked.kind](findings, asked.name, asked.output)
    elif asked.kind == "csv":
        from StrokeSegLib.reports.table import add_to_table

        files = [add_to_table(findings, name, asked.output)]
    else:
        files = _document(asked, findings, name, lambda part, stage: progress(READ + part * (1 - READ), stage))
    progress(1.0, "done")
    return Exported(name, tuple(files))


def _document(asked: Export, findings: Findings, name: str, progress: Callable[[float, str], None]) -> list[Path]:
    """Write the files of a case, all of them or none."""
    if asked.kind in ("pdf", "html"):
        with atomic(asked.output) as place:
            path = place(f"{name}.{asked.kind}")
            if asked.kind == "pdf":
                from StrokeSegLib.reports.pdf import write_pdf

                write_pdf(findings, name, path)
            else:
                from StrokeSegLib.reports.html import write_html

                write_html(findings, path)
        return [asked.output / path.name]
    with atomic(asked.output) as place:
        folder = place(name)
        folder.mkdir()
        if asked.kind == "dicom":
            from StrokeSegLib.exports.dicom_objects import write_dicom

            write_dicom(findings, asked.source, lambda file: folder / file, asked.empty_patient, progress)
        elif asked.kind == "dicom-report":
            from StrokeSegLib.exports.dicom_documents import write_documents

            pictures = [picture for _, picture in _key_pictures(findings, progress)]
            write_documents(findings, name, pictures, asked.source, folder, asked.empty_patient)
        else:
            for index, picture in _key_pictures(findings, progress):
                picture.save(folder / f"slice-{index + 1:03d}.png")
    return sorted((asked.output / name).iterdir())


def _key_pictures(
    findings: Findings, progress: Callable[[float, str], None]
) -> Iterator[tuple[int, "PIL.Image.Image"]]:
    """The key slices with their index, from the lowest up."""
    from StrokeSegLib.reports.pictures import key_slices, slice_image

    shown = key_slices(findings, KEY_PICTURES)
    for number, index in enumerate(shown):
        progress(number / len(shown), f"drawing slice {index + 1}")
        yield index, slice_image(findings, index, PICTURE_WIDTH)
