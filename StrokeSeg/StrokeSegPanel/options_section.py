"""The panel's collapsible options: method and model, with a one-line summary."""

import html
from collections.abc import Callable, Sequence
from pathlib import Path

import qt
from slicer.i18n import tr as _

from StrokeSegLib.documents.events import KnownModel
from StrokeSegPanel.choices import offer

PERFUSION_PREFIX = "ctp-"
"""A method's id begins with what it reads."""

TOGETHER = " + "
"""Between methods that run together."""

USUAL_METHODS = (("ncct-core-penumbra", "ncct-aspects"), ("ctp-threshold",))
"""Listed first, and so the default, each for its kind of scan."""

CARD, DEFAULT = "card", "default"
"""Links in the line on the model."""

LINK_COLOUR = "#3d8fdc"
"""Readable on light and dark backgrounds."""


def title_of(method: str) -> str:
    """Display name of a method or of several together."""
    titles = {
        "ncct-core-penumbra + ncct-aspects": _("Core, penumbra and ASPECTS"),
        "ncct-core-penumbra": _("Core and penumbra (non-contrast CT)"),
        "ncct-aspects": _("ASPECTS"),
        "ncct-infarct": _("Infarct (thin slices)"),
        "ctp-core": _("Core (CT perfusion)"),
        "ctp-threshold": _("Perfusion thresholds"),
    }
    return titles.get(method, method)


class OptionsSection:
    """Offers the methods and models that fit the scan.

    Args:
        ui: the panel's widgets.
        changed: called after a choice.
        make_default: called with the name of a model that its method is to run with by default.
    """

    def __init__(self, ui, changed: Callable[[], None], make_default: Callable[[str], None]):
        self._ui, self._changed, self._make_default = ui, changed, make_default
        self._parameters = None
        self._card_folder = qt.QTemporaryDir()
        self.models: Sequence[KnownModel] = ()
        ui.methodCombo.connect("currentIndexChanged(int)", self._on_method_chosen)
        ui.modelCombo.connect("currentIndexChanged(int)", self._on_model_chosen)
        ui.modelLabel.connect("linkActivated(QString)", self._on_link)

    def follow(self, parameters) -> None:
        """Keep the choice in these parameters from now on."""
        self._parameters = parameters

    def remove_files(self) -> None:
        """Remove what was written for the browser."""
        self._card_folder.remove()

    def offer_methods(self, perfusion: bool) -> bool:
        """Offer what reads this kind of scan, the usual ones first; whether the offer or the choice is another."""
        found = {model.method for model in self.models}
        single = sorted(method for method in found if method.startswith(PERFUSION_PREFIX) == perfusion)
        usual = [TOGETHER.join(methods) for methods in USUAL_METHODS if set(methods) <= set(single)]
        methods = list(dict.fromkeys([*usual, *single]))
        combo = self._ui.methodCombo
        listed = [combo.itemData(index) for index in range(combo.count)]
        if listed == methods and (not methods or self._parameters.method == combo.currentData):
            return False
        offer(combo, [(title_of(method), method) for method in methods], self._parameters.method)
        self._on_method_chosen()
        return True

    def refresh(self) -> None:
        """Show the model's origin and the summary."""
        self._ui.modelCombo.enabled = self._ui.modelCombo.count > 0
        chosen = self._chosen_models()
        origins = dict.fromkeys(_shortened(model.training_data) for model in chosen)
        licences = dict.fromkeys(model.licence for model in chosen)
        line = _("Trained on: {origins} · {licences}").format(origins=", ".join(origins), licences=", ".join(licences))
        links = {CARD: _("model card")}
        if self._parameters and self._parameters.model:
            links[DEFAULT] = _("use by default")
        linked = "".join(f' · <a href="{key}" style="color:{LINK_COLOUR}">{text}</a>' for key, text in links.items())
        self._ui.modelLabel.text = html.escape(line) + linked if chosen else ""
        device = self._parameters.device if self._parameters else "auto"
        parts = [
            title_of(self._parameters.method) if self._parameters and self._parameters.method else "",
            _("automatic device") if device == "auto" else device,
            *([] if self._side == "auto" else [{"left": _("left side"), "right": _("right side")}[self._side]]),
        ]
        self._ui.summaryLabel.text = " · ".join(part for part in parts if part)

    @property
    def _side(self) -> str:
        return self._parameters.side if self._parameters else "auto"

    def _chosen_models(self) -> Sequence[KnownModel]:
        methods = self._parameters.method.split(TOGETHER) if self._parameters else []
        if self._parameters and self._parameters.model:
            return [model for model in self.models if model.name == self._parameters.model][:1]
        return [model for method in methods for model in self.models if model.method == method and model.is_default]

    def _on_method_chosen(self, _index=None) -> None:
        self._parameters.method = self._ui.methodCombo.currentData or ""
        self.offer_models()

    def offer_models(self) -> None:
        """Offer the models of the chosen method, its default first."""
        own = [model for model in self.models if model.method == self._parameters.method]
        default = [(_("{name} (default)").format(name=model.name), "") for model in own if model.is_default]
        others = dict.fromkeys(model.name for model in own if not model.is_default)
        offer(self._ui.modelCombo, [*default, *((name, name) for name in others)], self._parameters.model)
        self._on_model_chosen()

    def _on_model_chosen(self, _index=None) -> None:
        self._parameters.model = self._ui.modelCombo.currentData or ""
        self._changed()

    def _on_link(self, link: str) -> None:
        if link == DEFAULT:
            self._make_default(self._parameters.model)
            return
        path = Path(self._card_folder.path()) / "models.html"
        path.write_text(card(self._chosen_models()), encoding="utf-8")
        qt.QDesktopServices.openUrl(qt.QUrl.fromLocalFile(str(path)))


def card(models: Sequence[KnownModel]) -> str:
    """A page on the models: intended use, training data, evaluation, licence."""
    rows = (
        (_("Method"), lambda model: title_of(model.method)),
        (_("Version"), lambda model: model.version),
        (_("Intended use"), lambda model: model.intended_use),
        (_("Training data"), lambda model: model.training_data),
        (_("Measured on"), lambda model: "; ".join(f"{key}: {value}" for key, value in model.evaluation.items())),
        (_("Licence"), lambda model: model.licence),
    )
    parts = ['<meta charset="utf-8"><style>body{font-family:sans-serif;max-width:50em;margin:2em}th{text-align:left}']
    parts.append("td,th{vertical-align:top;padding:.3em 1em .3em 0}</style>")
    for model in models:
        parts.append(f"<h1>{html.escape(model.name)}</h1><table>")
        parts += [f"<tr><th>{title}</th><td>{html.escape(str(read(model)))}</td></tr>" for title, read in rows]
        parts.append("</table>")
    return "".join(parts)


def _shortened(text: str) -> str:
    """The first words of a sentence, up to its first comma or bracket."""
    return text.split(" (")[0].split(",")[0].split(";")[0]
