"""Core against hypoperfusion in numbers: what selection for thrombectomy on CT perfusion looks at."""

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class CoreAndHypoperfusion:
    """The two volumes that trials select patients by, from thresholds or as a reader corrected them.

    Args:
        core_ml: tissue of critically low flow.
        hypoperfused_ml: tissue of critical delay (Tmax > 6 s by default), the core included.
    """

    core_ml: float
    hypoperfused_ml: float

    @property
    def mismatch_ml(self) -> float:
        """Hypoperfused volume minus core volume."""
        return self.hypoperfused_ml - self.core_ml

    @property
    def ratio(self) -> float | None:
        """Hypoperfused volume over core volume; None without core, where it is undefined."""
        return self.hypoperfused_ml / self.core_ml if self.core_ml else None


@dataclass(frozen=True)
class Mismatch(CoreAndHypoperfusion):
    """Volumes by threshold of one study, clusters below the method's minimum left out.

    Args:
        core_ml, hypoperfused_ml: as in `CoreAndHypoperfusion`.
        delayed_ml, severe_ml: tissue of critical and of severe delay (Tmax > 6 and > 10 s by default) in the maps,
            whatever a reader corrects.
        tmax_ml: volume above each level of Tmax, by its seconds, ascending.
        cbv_index: mean CBV of the delayed tissue relative to normal tissue; None where there is none.
        normal_cbf, normal_cbv: CBF and CBV of the reference tissue, in ml/100 g/min and ml/100 g.
        affected_side: ``left`` or ``right`` of the patient, the hemisphere opposite the reference; None where nothing
            is hypoperfused and both are the reference.
    """

    delayed_ml: float
    severe_ml: float
    tmax_ml: Mapping[float, float]
    cbv_index: float | None
    normal_cbf: float
    normal_cbv: float
    affected_side: str | None

    @property
    def hypoperfusion_intensity_ratio(self) -> float | None:
        """Severely over critically delayed volume; None where nothing is delayed."""
        return self.severe_ml / self.delayed_ml if self.delayed_ml else None
