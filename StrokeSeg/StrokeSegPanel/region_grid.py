"""The ASPECTS regions of both sides as boxes that the reader can change."""

from collections.abc import Callable

import qt
from slicer.i18n import tr as _

from StrokeSegLib.vocabulary.names import REGION_PREFIX
from StrokeSegPanel.parameters import SIDES
from StrokeSegPanel.record import Record

SHOWN_SIDES = ("right", "left")
"""Sides of the patient in the order of the columns: as in the images, right first."""

MNEMONICS = {
    "C": "&C",
    "L": "&L",
    "IC": "IC",
    "I": "&I",
    "M1": "M&1",
    "M2": "M&2",
    "M3": "M&3",
    "M4": "M&4",
    "M5": "M&5",
    "M6": "M&6",
}
"""Names of the regions, in the order of the score sheet, with the key that jumps to each."""

FIRST_ROW = 2
"""Above the regions stand the choice of the side and the scores."""


class RegionGrid:
    """Ten regions by two sides: a box says whether a region is affected, its name leads to it.

    Args:
        ui: the panel's widgets.
        decide: called with name, side and whether the reader says that it is affected.
        choose_side: called with ``auto``, ``left`` or ``right``.
        jump: called with names of segments to show.
    """

    def __init__(
        self,
        ui,
        decide: Callable[[str, str, bool], None],
        choose_side: Callable[[str], None],
        jump: Callable[[tuple[str, ...]], None],
    ):
        self._ui, self._decide, self._show_segments = ui, decide, jump
        self._symptomatic = SHOWN_SIDES[0]
        self._jumped_to = ("", "")
        self.boxes, self.names = {}, {}
        layout = ui.regions.layout()
        previous = ui.symptomaticCombo
        for row, (name, text) in enumerate(MNEMONICS.items(), start=FIRST_ROW):
            button = self.names[name] = qt.QToolButton()
            button.text = text
            button.autoRaise = True
            button.focusPolicy = qt.Qt.StrongFocus
            button.toolTip = _("Show {region} in the slice views. Click again for the other side.").format(
                region=_titles()[name]
            )
            button.connect("clicked(bool)", lambda *_, name=name: self._jump(name))
            layout.addWidget(button, row, 1, qt.Qt.AlignCenter)
            for column, side in ((0, "right"), (2, "left")):
                box = self.boxes[name, side] = qt.QCheckBox()
                box.accessibleName = f"{name} {side}"
                box.connect("clicked(bool)", lambda *_, place=(name, side): self._on_box_clicked(*place))
                layout.addWidget(box, row, column, qt.Qt.AlignRight if side == "right" else qt.Qt.AlignLeft)
            for widget in (self.boxes[name, "right"], button, self.boxes[name, "left"]):
                qt.QWidget.setTabOrder(previous, widget)
                previous = widget
        self.last_widget = previous
        ui.symptomaticCombo.connect("activated(int)", lambda index: choose_side(SIDES[index]))

    def show(self, record: Record | None) -> None:
        """Show a result's regions, or nothing where it has none.

        Args:
            record: the result's numbers; None without a result.
        """
        has_regions = record is not None and record.aspects is not None
        self._ui.regions.visible = has_regions
        if not has_regions:
            return
        self._symptomatic = record.aspects["side"] or SHOWN_SIDES[0]
        self._ui.symptomaticCombo.setCurrentIndex(SIDES.index(record.side))
        for side, label in (("right", self._ui.rightScoreLabel), ("left", self._ui.leftScoreLabel)):
            label.text = _score_text(side, record.aspects)
        decided = {(one["name"], one["side"]): one["affected"] for one in record.overrides}
        for (name, side), box in self.boxes.items():
            region = record.aspects[side]["regions"][name]
            box.setChecked(decided.get((name, side), region["affected"]))
            box.text = _box_text(region, (name, side) in decided)
            box.toolTip = _tip(name, side, region, record.run["aspects"][side]["regions"][name])

    def _on_box_clicked(self, name: str, side: str) -> None:
        self._decide(name, side, self.boxes[name, side].checked)

    def _jump(self, name: str) -> None:
        """Show a region on the symptomatic side; when it was shown there last, on the other one."""
        side = self._symptomatic
        if self._jumped_to == (name, side):
            side = next(other for other in SHOWN_SIDES if other != side)
        self._jumped_to = (name, side)
        self._show_segments((f"{REGION_PREFIX}{name} {side}",))


def _score_text(side: str, aspects: dict) -> str:
    titles = {"right": _("Right: {score}"), "left": _("Left: {score}")}
    points = aspects[side]["score"]
    text = titles[side].format(score=_("not scoreable") if points is None else points)
    return f"<b>{text}</b>" if side == aspects["side"] else text


def _box_text(region: dict, decided: bool) -> str:
    if decided:
        return _("edited")
    if not region["in_view"]:
        return _("not in view")
    return f"{100 * region['fraction']:.0f} %" if region["affected_ml"] else ""


def _tip(name: str, side: str, region: dict, automatic: dict) -> str:
    """What a region's judgement rests on."""
    sides = {"right": _("right"), "left": _("left")}
    lines = [
        _("{title}, {side}").format(title=_titles()[name], side=sides[side]),
        _("Infarct: {percent:.0f} % ({affected:.2f} of {volume:.2f} ml)").format(
            percent=100 * region["fraction"], affected=region["affected_ml"], volume=region["volume_ml"]
        ),
    ]
    if region["mean_hu"] is not None:
        lines.append(_("Density: {hu:.1f} HU").format(hu=region["mean_hu"]))
    if region["hu_ratio"] is not None:
        lines.append(
            _("Ratio to the other side: {ratio:.3f}; net water uptake: {uptake:.1f} %").format(
                ratio=region["hu_ratio"], uptake=region["net_water_uptake_percent"]
            )
        )
    if region["marked_by_hu"]:
        lines.append(_("Ischaemic by density alone."))
    if not region["in_view"]:
        lines.append(_("Outside the scan."))
    lines.append(_("Automatic: affected") if automatic["affected"] else _("Automatic: not affected"))
    return "\n".join(lines)


def _titles() -> dict[str, str]:
    return {
        "C": _("Caudate nucleus (C)"),
        "L": _("Lentiform nucleus (L)"),
        "IC": _("Internal capsule (IC)"),
        "I": _("Insula (I)"),
        "M1": _("Anterior cortex, ganglionic (M1)"),
        "M2": _("Lateral cortex, ganglionic (M2)"),
        "M3": _("Posterior cortex, ganglionic (M3)"),
        "M4": _("Anterior cortex, above (M4)"),
        "M5": _("Lateral cortex, above (M5)"),
        "M6": _("Posterior cortex, above (M6)"),
    }
