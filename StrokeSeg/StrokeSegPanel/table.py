"""A run's numbers as rows for the reader: volumes as they are now, mismatch that follows them, the trials' criteria."""

from dataclasses import dataclass

from slicer.i18n import tr as _

SAME_ML = 0.02
"""Volumes that differ by less are the same; `results.json` rounds its own."""


@dataclass(frozen=True)
class Row:
    """One number or answer, as text."""

    finding: str
    value: str
    unit: str = ""


def rows_of(volumes_ml: dict[str, float], results: dict) -> list[Row]:
    """The rows of the table.

    Args:
        volumes_ml: of the segments as they are now, corrections included.
        results: of the run, as `results.json` has it; ``judged_ml`` are the volumes behind its criteria.
    """
    rows = [_ml(name, volume) for name, volume in volumes_ml.items()]
    perfusion = results.get("perfusion", {})
    if "mismatch_ml" in perfusion and {"core", "penumbra"} <= set(volumes_ml):
        rows += _mismatch(volumes_ml["core"], volumes_ml["penumbra"])
        rows += _thresholds(perfusion)
        rows += _criteria(results, is_judged(volumes_ml, results))
    return rows


def _mismatch(core_ml: float, penumbra_ml: float) -> list[Row]:
    """Penumbra is hypoperfused tissue without core, and stays so when a reader corrects either."""
    ratio = _number((core_ml + penumbra_ml) / core_ml) if core_ml else _("undefined")
    return [_ml(_("Mismatch volume"), penumbra_ml), Row(_("Mismatch ratio"), ratio)]


def _thresholds(perfusion: dict) -> list[Row]:
    rows = [_ml(_("Tmax > {seconds} s").format(seconds=level), ml) for level, ml in perfusion["tmax_ml"].items()]
    rows.append(Row(_("Hypoperfusion intensity ratio"), _number(perfusion["hypoperfusion_intensity_ratio"])))
    rows.append(Row(_("CBV index"), _number(perfusion["cbv_index"])))
    return rows


def is_judged(volumes_ml: dict[str, float], results: dict) -> bool:
    """Whether the trials' criteria, if there are any, were judged by these volumes."""
    judged_ml = results["judged_ml"]
    return "criteria" not in results or all(
        abs(volumes_ml.get(name, 0.0) - judged_ml[name]) <= SAME_ML for name in ("core", "penumbra")
    )


def _criteria(results: dict, judged: bool) -> list[Row]:
    answers = {True: _("met"), False: _("not met"), "not evaluable": _("not evaluable")}
    return [
        Row(name, answers[answer] if judged else _("being judged anew"))
        for name, answer in results.get("criteria", {}).items()
    ]


def _ml(finding: str, volume_ml: float) -> Row:
    return Row(finding, f"{volume_ml:.2f}", "ml")


def _number(value: float | str) -> str:
    return _("undefined") if isinstance(value, str) else f"{value:.2f}"
