"""The methods that can be trained, and what differs between them."""

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

from StrokeSegLib.methods import ctp_core, ncct_core_penumbra
from Training.data.case import Case
from Training.data.preparing import PreparedPatches, PreparedSlices, prepared_patches, prepared_slices
from Training.data.synthetic import synthetic_ct, synthetic_perfusion
from Training.recipe import Recipe


@dataclass(frozen=True)
class Trainable:
    """What training needs to know of a method.

    Args:
        classes: lesion classes by name, and the union of several; the label values of each.
        labels: of the bundle.
        preparation: makes the method's preparation of a recipe's settings.
        prepared: makes samples of a case.
        samples: what it makes.
        synthetic: the synthetic patient of a seed.
    """

    classes: Mapping[str, tuple[int, ...]]
    labels: Mapping[str, int]
    preparation: Callable[..., object]
    prepared: Callable[[Case, object], PreparedSlices | PreparedPatches]
    samples: type[PreparedSlices] | type[PreparedPatches]
    synthetic: Callable[[int], Case]

    @property
    def in_patches(self) -> bool:
        """Whether samples are patches, drawn at random, rather than whole slices."""
        return self.samples is PreparedPatches

    def preparation_of(self, recipe: Recipe) -> object:
        """The method's preparation, by a recipe whose constants are known."""
        return self.preparation(**asdict(recipe.preparation))

    def drawn(self, preparation: object, seed: int) -> PreparedSlices | PreparedPatches:
        """Samples of the synthetic patient of a seed."""
        return self.prepared(self.synthetic(seed), preparation)


TRAINABLE = {
    ncct_core_penumbra.ID: Trainable(
        classes={"core": (1,), "penumbra": (2,), "affected": (1, 2)},
        labels={"core": 1, "penumbra": 2},
        preparation=ncct_core_penumbra.Preparation,
        prepared=prepared_slices,
        samples=PreparedSlices,
        synthetic=synthetic_ct,
    ),
    ctp_core.ID: Trainable(
        classes={"core": (1,)},
        labels={"core": 1},
        preparation=ctp_core.Preparation,
        prepared=prepared_patches,
        samples=PreparedPatches,
        synthetic=synthetic_perfusion,
    ),
}
"""By method."""
