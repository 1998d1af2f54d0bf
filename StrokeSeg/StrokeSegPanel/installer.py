"""The part of the panel that sets StrokeSeg up: what is missing, its size, one consent, progress, what is next."""

import html
import shutil
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import qt
import slicer
from slicer.i18n import tr as _

from StrokeSegPanel import dependencies

EXTENSIONS = "extensions"
"""Link that opens the Extensions Manager."""

STEPS = ("Collecting", "Processing", "Downloading", "Installing collected")
"""Beginnings of the lines by which pip tells its progress."""

STEPS_A_PACKAGE = 6
"""A package brings about two others, each with a line for looking it up and one for its download."""


class Installer:
    """Installs the missing packages in a process beside Slicer, which stays usable and can cancel it.

    pip is run directly rather than by `slicer.packaging`, which before 5.13 neither tells its progress nor ends on
    request. PyTorch is left to its extension, which knows the build for this computer; all else comes without it.

    Args:
        ui: the panel's widgets.
        on_log: takes what pip writes.
        on_changed: called when packages have come.
    """

    def __init__(self, ui, on_log: Callable[[str], None], on_changed: Callable[[], None]):
        self._ui, self._on_log, self._on_changed = ui, on_log, on_changed
        self._process = None
        self._folder: Path | None = None
        self._steps = 0
        self._output = ""
        self.missing: list[str] = []
        ui.installButton.connect("clicked(bool)", self._on_clicked)
        ui.offlineBox.connect("toggled(bool)", self._refresh)
        ui.wheelsEdit.connect("currentPathChanged(QString)", self._refresh)
        ui.installStage.connect("linkActivated(QString)", lambda *_: slicer.app.openExtensionsManagerDialog())
        self._say("")

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def look(self) -> list[str]:
        """What is missing now."""
        self.missing = dependencies.missing()
        self._refresh()
        return self.missing

    def close(self) -> None:
        """Stop an installation; what pip has not finished it does not leave half installed."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.waitForFinished(3000)
        self._clean_up()

    def _on_clicked(self, _checked=False) -> None:
        if self.is_running:
            self.close()
            self._say(_("The installation was cancelled. Press Install to continue."))
            self.look()
            return
        if slicer.util.confirmOkCancelDisplay(self._question()):
            self._start()

    def _question(self) -> str:
        if self._wheels is not None:
            return _("Install these packages from {folder} into Slicer’s Python?\n\n{packages}").format(
                folder=self._wheels, packages="\n".join(self.missing)
            )
        return _(
            "Download and install these packages into Slicer’s Python? {size} No patient data leave this "
            "computer.\n\n{packages}"
        ).format(size=self._size(), packages="\n".join(self.missing))

    def _size(self) -> str:
        parts = []
        if dependencies.without_torch(self.missing):
            parts.append(_("about {size} MB").format(size=dependencies.OTHERS_MB))
        if dependencies.needs_torch(self.missing):
            parts.append(
                _("PyTorch {small} GB, with an NVIDIA GPU {large} GB").format(
                    small=dependencies.TORCH_GB, large=dependencies.TORCH_GPU_GB
                )
            )
        return _("Download: {parts}.").format(parts=_(" and ").join(parts))

    @property
    def _wheels(self) -> Path | None:
        path = self._ui.wheelsEdit.currentPath if self._ui.offlineBox.checked else ""
        return Path(path) if path else None

    def _start(self) -> None:
        wanted = self.missing if self._wheels else dependencies.without_torch(self.missing)
        if not wanted:
            self._install_torch()
            return
        self._folder = Path(tempfile.mkdtemp(prefix="strokeseg-"))
        self._steps, self._output = 0, ""
        arguments = dependencies.pip_arguments(wanted, self._folder / "constraints.txt", self._wheels)
        self._process = qt.QProcess()
        self._process.setProcessChannelMode(qt.QProcess.MergedChannels)
        self._process.connect("readyReadStandardOutput()", self._read)
        self._process.connect("finished(int,QProcess::ExitStatus)", self._on_finished)
        self._say(_("Installing {count} packages…").format(count=len(wanted)))
        self._process.start(shutil.which("PythonSlicer") or sys.executable, arguments)
        self._refresh()

    def _read(self) -> None:
        if self._process is None:
            return
        text = bytes(self._process.readAllStandardOutput().data()).decode(errors="replace")
        self._output += text
        for line in text.splitlines():
            self._on_log(line)
            if line.strip().startswith(STEPS):
                self._steps += 1
                self._say(line.strip().split(" (from")[0])
        expected = STEPS_A_PACKAGE * max(len(self.missing), 1)
        self._ui.installBar.value = min(95, round(100 * self._steps / expected))

    def _on_finished(self, exit_code: int, _status) -> None:
        if self._process is None:
            return
        self._read()
        self._process = None
        self._clean_up()
        self.missing = dependencies.missing()
        if exit_code != 0:
            self._say(_("The packages could not be installed: {reason}").format(reason=self._reason()))
        elif dependencies.needs_torch(self.missing):
            self._install_torch()
            return
        self._conclude()

    def _install_torch(self) -> None:
        if not dependencies.has_torch_extension():
            self._say(
                _(
                    "All packages except PyTorch are installed. Install the extension “PyTorch” in the {manager}, "
                    "restart Slicer and press Install again."
                ).format(manager=f'<a href="{EXTENSIONS}">{_("Extensions Manager")}</a>')
            )
            self._refresh()
            return
        self._say(_("Installing PyTorch. Slicer will not respond for a few minutes."))
        slicer.app.processEvents()
        try:
            with slicer.util.WaitCursor():
                dependencies.install_torch()
        except Exception as error:
            self._say(_("PyTorch could not be installed: {reason}").format(reason=error))
        self.missing = dependencies.missing()
        self._conclude()

    def _conclude(self) -> None:
        if not self.missing:
            self._say(_("All packages are installed."))
        self._refresh()
        self._on_changed()

    def _reason(self) -> str:
        """pip's own last words."""
        lines = [line.strip() for line in self._output.splitlines() if line.strip()]
        errors = [line for line in lines if line.startswith("ERROR:")]
        return (errors or lines or [_("pip gave no reason. See the log.")])[-1].removeprefix("ERROR: ")

    def _clean_up(self) -> None:
        if self._folder is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            self._folder = None

    def _say(self, text: str) -> None:
        self._ui.installStage.text = text
        self._ui.installStage.visible = bool(text)

    def _refresh(self, _changed=None) -> None:
        offline = self._ui.offlineBox.checked
        self._ui.missingBox.visible = bool(self.missing)
        self._ui.missingLabel.text = _("StrokeSeg needs {count} Python packages: {packages}. {size}").format(
            count=len(self.missing), packages=", ".join(self.missing), size=self._size()
        )
        self._ui.offlineLabel.visible = offline
        self._ui.offlineLabel.text = _(
            "On a computer with internet and the same operating system, run<br><code>{command}</code><br>copy the "
            "folder “wheels” here and choose it:"
        ).format(command=html.escape(dependencies.download_command(self.missing)))
        self._ui.wheelsEdit.visible = offline
        for widget in (self._ui.offlineBox, self._ui.wheelsEdit):
            widget.enabled = not self.is_running
        self._ui.installBar.visible = self.is_running
        self._ui.installButton.text = _("Cancel") if self.is_running else _("&Install…")
        self._ui.installButton.enabled = self.is_running or not offline or self._wheels is not None
