"""The report on paper: a PDF of the findings as the reader left them, the automatic values beside them."""

import base64
import io
from collections.abc import Sequence
from pathlib import Path
from xml.sax.saxutils import escape

import reportlab
from reportlab.lib import colors
from reportlab.lib.pagesizes import A4
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.platypus import Flowable, Image, KeepTogether, Paragraph, SimpleDocTemplate, Spacer, Table, TableStyle

from StrokeSegLib import __version__
from StrokeSegLib.findings import Findings
from StrokeSegLib.measures.aspects import EDITED, RegionFinding
from StrokeSegLib.measures.rows import MILLILITRES, Group, Row, region_texts, rows_in, rows_of
from StrokeSegLib.reports.aspects_figure import aspects_figure
from StrokeSegLib.reports.map_pictures import map_picture
from StrokeSegLib.reports.pictures import key_slices, slice_picture
from StrokeSegLib.vocabulary.map_scales import SCALES
from StrokeSegLib.vocabulary.terminology import TERMS

MARGIN_MM, WIDTH_MM = 16.0, 178.0
"""Margin and text width on A4, 210 mm wide."""

FRAME_PADDING = 6
"""Points that ReportLab leaves within the margins."""

KEY_SLICES, MAP_SLICES, COLUMNS = 6, 3, 3

INK, QUIET, LINE, NOTE = (colors.HexColor(code) for code in ("#1d232a", "#5b6670", "#d5dbe1", "#fff3d6"))

RESEARCH = "For research use only. Not a medical device; not for treatment decisions."


def write_pdf(findings: Findings, name: str, path: Path) -> None:
    """Write the report of a case under its pseudonym; it names no patient, and no date.

    Raises:
        OSError: the file cannot be written.
    """
    _register_fonts()
    rows = rows_of(findings)
    story = [
        Paragraph("StrokeSeg – acute ischaemic stroke on CT", TITLE),
        Paragraph(f"{escape(name)} · {_status(findings)}", QUIET_TEXT),
        _box(RESEARCH, LINE),
        *(_box(warning, NOTE) for warning in findings.warnings),
        *_volumes(rows),
        *_mismatch(findings, rows),
        *_aspects(findings, rows),
        *_slices(findings),
        *_maps(findings),
        *_origin(findings),
    ]
    document = SimpleDocTemplate(
        str(path),
        pagesize=A4,
        leftMargin=MARGIN_MM * mm - FRAME_PADDING,
        rightMargin=MARGIN_MM * mm - FRAME_PADDING,
        topMargin=14 * mm,
        bottomMargin=16 * mm,
        title=f"StrokeSeg report of {name}",
        author="StrokeSeg",
        invariant=1,
    )
    document.build(story, onFirstPage=_footer, onLaterPages=_footer)


def _register_fonts() -> None:
    """The fonts that come with ReportLab, which know ≥ and ×; the PDF carries them."""
    folder = Path(reportlab.__file__).parent / "fonts"
    for font, file in (("Vera", "Vera.ttf"), ("Vera-Bold", "VeraBd.ttf")):
        if font not in pdfmetrics.getRegisteredFontNames():
            pdfmetrics.registerFont(TTFont(font, str(folder / file)))
    pdfmetrics.registerFontFamily("Vera", normal="Vera", bold="Vera-Bold", italic="Vera", boldItalic="Vera-Bold")


TEXT = ParagraphStyle("text", fontName="Vera", fontSize=8.5, leading=12, textColor=INK)
QUIET_TEXT = ParagraphStyle("quiet", parent=TEXT, textColor=QUIET)
SMALL = ParagraphStyle("small", parent=QUIET_TEXT, fontSize=7, leading=9.5)
TITLE = ParagraphStyle("title", parent=TEXT, fontName="Vera-Bold", fontSize=14, leading=19)
HEADING = ParagraphStyle(
    "heading", parent=TEXT, fontName="Vera-Bold", fontSize=10.5, leading=14, spaceBefore=9, spaceAfter=3
)


def _footer(canvas, document) -> None:
    canvas.setFont("Vera", 6.5)
    canvas.setFillColor(QUIET)
    canvas.drawString(MARGIN_MM * mm, 9 * mm, f"StrokeSeg {__version__} · {RESEARCH}")
    canvas.drawRightString((MARGIN_MM + WIDTH_MM) * mm, 9 * mm, f"page {document.page}")


def _status(findings: Findings) -> str:
    if findings.automatic is None:
        return "automatic, not reviewed"
    if not findings.changes:
        return "reviewed, unchanged"
    return f"corrected by a reader: {', '.join(findings.changes)}"


def _volumes(rows: Sequence[Row]) -> list[Flowable]:
    lines = [["", "", "Volume", "Automatic", ""]]
    styles = []
    for row in rows_in(rows, Group.VOLUMES):
        colour = colors.Color(*(channel / 255 for channel in TERMS[row.segment].colour))
        styles.append(("BACKGROUND", (0, len(lines)), (0, len(lines)), colour))
        lines.append(["", row.title, _bold(row.text), row.automatic_text, "edited" if row.edited else ""])
    if len(lines) == 1:
        return []
    return _section("Volumes", _table(lines, (4, 66, 32, 32, 44), styles))


def _mismatch(findings: Findings, rows: Sequence[Row]) -> list[Flowable]:
    if findings.mismatch is None:
        return _not_evaluable(findings, rows)
    lines = [["", "Now", "Automatic"]]
    lines += [[row.title, _bold(row.text), row.automatic_text] for row in rows_in(rows, Group.MISMATCH)]
    for row in rows_in(rows, Group.MAPS):
        is_volume = row.quantity is MILLILITRES
        title = f"{row.title}, of the maps" if is_volume else row.title
        lines.append([title, row.text, "" if is_volume else row.automatic_text])
    criteria = [
        [row.title, row.text, _small("; ".join(part.text for part in row.requirements))]
        for row in rows_in(rows, Group.CRITERIA)
    ]
    return [
        *_section("Mismatch", _table(lines, (70, 40, 68))),
        *_section("Trial criteria, based on these volumes alone", _table(criteria, (30, 30, 118), header=False)),
    ]


def _not_evaluable(findings: Findings, rows: Sequence[Row]) -> list[Flowable]:
    if findings.perfusion is None or not findings.perfusion.not_evaluable:
        return []
    reasons = [Paragraph(escape(reason), SMALL) for reason in findings.perfusion.not_evaluable]
    criteria = [[row.title, row.text] for row in rows_in(rows, Group.CRITERIA)]
    return [
        *_section("Volumes and mismatch: not evaluable", *reasons),
        *(_section("Trial criteria", _table(criteria, (40, 138), header=False)) if criteria else ()),
    ]


def _aspects(findings: Findings, rows: Sequence[Row]) -> list[Flowable]:
    aspects = findings.aspects
    if aspects is None:
        return []
    scores = [["", "ASPECTS", "Automatic", "Affected regions"]]
    for row in rows_in(rows, Group.ASPECTS):
        hemisphere = row.hemisphere
        side = hemisphere.side.value.capitalize()
        if hemisphere.side is aspects.side:
            side += f", symptomatic ({'set by the reader' if aspects.side_source == EDITED else 'proposed'})"
        affected = ", ".join(hemisphere.affected_names) or "none"
        scores.append([side, _bold(row.text), row.automatic_text, affected])
    regions = [["Region", *(f"{side.side.value}: {title}" for side in aspects.hemispheres for title in REGION_TITLES)]]
    for pair in zip(*(side.regions for side in aspects.hemispheres), strict=True):
        cells = (cell for finding in pair for cell in _region_cells(finding, bool(aspects.scored_on)))
        regions.append([pair[0].region.name, *cells])
    levels = [level for level in aspects_figure(findings) if level.image]
    pictures = [(level.image, f"{level.name.capitalize()} level, slice {level.slice_number}") for level in levels]
    return [
        *_section("ASPECTS", _table(scores, (62, 24, 24, 68))),
        Spacer(1, 2 * mm),
        *_pictures(pictures, columns=2, width_mm=70),
        _table(regions, (14, *(23, 14, 14, 16, 15) * 2), font_size=6.5),
    ]


REGION_TITLES = ("", "%", "HU", "ratio", "by")


def _region_cells(finding: RegionFinding, has_tissue: bool) -> list[str]:
    if not finding.in_view:
        return ["affected" if finding.affected else "not in view", "", "", "", finding.source]
    told = region_texts(finding, has_tissue)
    return [told.affected, told.percent, told.mean_hu, told.hu_ratio, finding.source]


def _slices(findings: Findings) -> list[Flowable]:
    count = findings.study.ct.geometry.shape[0]
    pictures = [
        (slice_picture(findings, index), f"Slice {index + 1} of {count}") for index in key_slices(findings, KEY_SLICES)
    ]
    note = Paragraph("Stroke window (W 40, L 40). The patient's right is on the left of the image.", SMALL)
    first, *others = _pictures(pictures, COLUMNS, WIDTH_MM / COLUMNS - 2)
    return [*_section("Slices", note, first), *others]


def _maps(findings: Findings) -> list[Flowable]:
    if findings.perfusion is None:
        return []
    pictures = [
        (map_picture(findings, scale, index), f"{scale.title}, slice {index + 1}; 0–{scale.maximum:g} {scale.unit}")
        for index in key_slices(findings, MAP_SLICES)
        for scale in SCALES
    ]
    first, *others = _pictures(pictures, len(SCALES), WIDTH_MM / len(SCALES) - 2)
    return [*_section("Perfusion maps", first), *others]


def _origin(findings: Findings) -> list[Flowable]:
    geometry, acquisition = findings.study.ct.geometry, findings.study.acquisition
    slices, rows, columns = geometry.shape
    scanner = " ".join(filter(None, (acquisition.manufacturer, acquisition.scanner, acquisition.kernel)))
    scan = f"{slices} slices of {rows} × {columns} pixels, gantry tilt {geometry.tilt_deg:.1f}°"
    lines = [["Scan", _small(f"{scan}{', ' + scanner if scanner else ''}")]]
    for run in findings.runs:
        model = f"{run.model_name} {run.model_version} ({run.method}), sha256 {run.model_sha256}"
        lines.append(["Model", _small(f"{model}. Training data: {run.provenance.get('training_data', 'not stated')}.")])
        settings = ", ".join(f"{key} {value}" for key, value in run.prediction.items())
        lines.append(["Settings", _small(settings)])
    return _section("How this report was made", _table(lines, (22, 156), header=False))


def _bold(text: str) -> Paragraph:
    return Paragraph(f"<b>{escape(text)}</b>", TEXT)


def _small(text: str) -> Paragraph:
    return Paragraph(escape(text), SMALL)


def _section(title: str, *content: Flowable) -> list[Flowable]:
    return [KeepTogether([Paragraph(title, HEADING), *content])]


def _box(text: str, colour: colors.Color) -> Table:
    style = [("BACKGROUND", (0, 0), (-1, -1), colour), ("TOPPADDING", (0, 0), (-1, -1), 2)]
    table = Table([[Paragraph(escape(text), TEXT)]], colWidths=[WIDTH_MM * mm], style=TableStyle(style))
    table.spaceBefore = 3
    return table


def _table(
    rows: Sequence[Sequence[object]],
    widths_mm: Sequence[float],
    styles: Sequence[tuple] = (),
    header: bool = True,
    font_size: float = 8.5,
) -> Table:
    style = [
        ("FONT", (0, 0), (-1, -1), "Vera", font_size),
        ("TEXTCOLOR", (0, 0), (-1, -1), INK),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("LEFTPADDING", (0, 0), (-1, -1), 2),
        ("TOPPADDING", (0, 0), (-1, -1), 1.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
        *([("TEXTCOLOR", (0, 0), (-1, 0), QUIET)] if header else [("TEXTCOLOR", (0, 0), (0, -1), QUIET)]),
        *styles,
    ]
    return Table([list(row) for row in rows], colWidths=[width * mm for width in widths_mm], style=TableStyle(style))


def _pictures(pictures: Sequence[tuple[str, str]], columns: int, width_mm: float) -> list[Flowable]:
    """Pictures (PNG data URI and caption) in rows that no page break divides."""
    cells = [[_image(uri, width_mm), Paragraph(escape(caption), SMALL)] for uri, caption in pictures]
    rows = [cells[start : start + columns] for start in range(0, len(cells), columns)]
    style = TableStyle([("LEFTPADDING", (0, 0), (-1, -1), 0), ("VALIGN", (0, 0), (-1, -1), "TOP")])
    return [
        Table([row], colWidths=[(width_mm + 2) * mm] * len(row), style=style, hAlign="LEFT", splitByRow=0)
        for row in rows
    ]


def _image(uri: str, width_mm: float) -> Image:
    image = Image(io.BytesIO(base64.b64decode(uri.partition(",")[2])))
    image.drawHeight *= width_mm * mm / image.drawWidth
    image.drawWidth = width_mm * mm
    return image
