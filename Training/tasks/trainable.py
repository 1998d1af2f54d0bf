"""The methods that can be trained, and what differs between them."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from StrokeSegLib.methods import ctp_core, ncct_aspects, ncct_core_penumbra, ncct_infarct
from StrokeSegLib.networks.aspects import ANATOMY
from StrokeSegLib.preparation import volume as prepared_volume
from StrokeSegLib.preparation.slices import Preparation
from Training.data.case import Case
from Training.data.painted import painted_case, part_names
from Training.data.preparing import (
    LabelledVolume,
    PreparedPatches,
    PreparedSlices,
    labelled_volume,
    prepared_aspects,
    prepared_patches,
    prepared_slices,
)
from Training.data.sources import open_source
from Training.data.splits import split
from Training.data.synthetic import (
    VALIDATION_SEED,
    synthetic_aspects,
    synthetic_ct,
    synthetic_head,
    synthetic_perfusion,
    synthetic_volume,
)
from Training.recipes.recipe import DRAWN_SOURCES, DataSettings, Recipe


@dataclass(frozen=True)
class Output:
    """One output of a network: classes that exclude each other.

    Args:
        channels: number of logits: background and every class, or one for a single class against background.
        classes: by name, and the union of several; the label values of each.
        part: part of the network that gives only this output; None if there is only one.
    """

    channels: int
    classes: Mapping[str, tuple[int, ...]]
    part: str | None = None

    @property
    def labels(self) -> range:
        """Label values of the classes; 0 is background."""
        return range(1, max(self.channels, 2))


@dataclass(frozen=True)
class Trainable:
    """What training needs to know of a method.

    Args:
        outputs: outputs of the network, in the order of its channels and of a sample's labels.
        labels: labels of the bundle.
        preparation: makes the method's preparation of a recipe's settings.
        prepared: makes samples of a case.
        samples: what it makes.
        synthetic: the synthetic patient of a seed, as training draws them.
        evaluated: the synthetic patient of a seed, as evaluation draws them.
    """

    outputs: tuple[Output, ...]
    labels: Mapping[str, int]
    preparation: Callable[..., object]
    prepared: Callable[[Case, object], PreparedSlices | PreparedPatches | LabelledVolume]
    samples: type[PreparedSlices] | type[PreparedPatches] | type[LabelledVolume]
    synthetic: Callable[[int], Case]
    evaluated: Callable[[int], Case]

    @property
    def in_patches(self) -> bool:
        """Whether samples are patches, drawn at random, rather than whole slices."""
        return self.samples is PreparedPatches

    @property
    def in_volumes(self) -> bool:
        """Whether the network sees volumes; samples are patches of them."""
        return self.samples is LabelledVolume

    def preparation_of(self, recipe: Recipe) -> object:
        """The method's preparation, by a recipe whose constants are known."""
        return self.preparation(**asdict(recipe.preparation))

    def cases(self, data: DataSettings) -> list[Case]:
        """The cases of a data set, or of a cohort of drawn patients.

        Raises:
            DataError: see `open_source`.
        """
        if data.source not in DRAWN_SOURCES:
            return open_source(data)
        return [self.case(data, data.first_patient + number) for number in range(data.cohort)]

    def case(self, data: DataSettings, seed: int) -> Case:
        """The patient of a seed as training draws it: synthetic, or a real head with painted infarcts.

        Seeds of validation take other heads than those of training, and no synthetic patients where heads are painted.

        Raises:
            DataError: the folder of heads cannot be used.
        """
        if data.source != "painted":
            return self.synthetic(seed)
        part = "val" if seed >= VALIDATION_SEED else "train"
        random = np.random.default_rng((seed, 1))
        if part == "train" and random.random() < data.synthetic_share:
            return self.synthetic(seed)
        occlusion = random.random() < data.occlusion_share
        return painted_case(Path(data.path), part_names(data)[part], seed, occlusion=occlusion)

    def drawn(self, data: DataSettings, preparation: object, seed: int) -> PreparedSlices | PreparedPatches:
        """Samples of the patient of a seed."""
        return self.prepared(self.case(data, seed), preparation)


TRAINABLE = {
    ncct_core_penumbra.ID: Trainable(
        outputs=(Output(3, {"core": (1,), "penumbra": (2,), "affected": (1, 2)}),),
        labels={"core": 1, "penumbra": 2},
        preparation=Preparation,
        prepared=prepared_slices,
        samples=PreparedSlices,
        synthetic=synthetic_ct,
        evaluated=synthetic_ct,
    ),
    ncct_aspects.ID: Trainable(
        outputs=(
            Output(1, {"infarct": (1,)}, "infarct"),
            Output(len(ANATOMY), {name: (label,) for label, name in enumerate(ANATOMY) if label}, "anatomy"),
        ),
        labels={"infarct": 1},
        preparation=Preparation,
        prepared=prepared_aspects,
        samples=PreparedSlices,
        synthetic=synthetic_aspects,
        evaluated=synthetic_head,
    ),
    ncct_infarct.ID: Trainable(
        outputs=(Output(1, {"infarct": (1,)}),),
        labels={"infarct": 1},
        preparation=prepared_volume.Preparation,
        prepared=labelled_volume,
        samples=LabelledVolume,
        synthetic=synthetic_volume,
        evaluated=synthetic_volume,
    ),
    ctp_core.ID: Trainable(
        outputs=(Output(2, {"core": (1,)}),),
        labels={"core": 1},
        preparation=ctp_core.Preparation,
        prepared=prepared_patches,
        samples=PreparedPatches,
        synthetic=synthetic_perfusion,
        evaluated=synthetic_perfusion,
    ),
}
"""By method."""


def held_out(recipe: Recipe) -> Sequence[Case]:
    """The cases that a run by this recipe validates on.

    Raises:
        DataError: the data set cannot be opened.
    """
    trainable, data = TRAINABLE[recipe.method], recipe.data
    if data.drawn_live:
        return [trainable.case(data, VALIDATION_SEED + number) for number in range(data.validation_patients)]
    return split(trainable.cases(data), data, recipe.seed).validation
