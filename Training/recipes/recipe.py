"""A training recipe: everything that decides what a training run gives, read from YAML and checked before it starts."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import TypeVar

import yaml

from StrokeSegLib.documents.typing import typed
from StrokeSegLib.errors import DataError
from StrokeSegLib.methods import ctp_core
from StrokeSegLib.preparation import volume as prepared_volume

SOURCES = ("synthetic", "painted", "cpaisd", "nnunet", "pairs", "png-slices", "isles2018")
DRAWN_SOURCES = ("synthetic", "painted")
"""Sources that draw new patients throughout training."""

OPTIMISERS = ("adam", "adamw", "adadelta", "sgd")
SCHEDULES = ("plateau", "one-cycle", "cyclic", "halving", "constant")


Kind = TypeVar("Kind")


@dataclass(frozen=True)
class NetworkSettings:
    """Name and arguments of a `StrokeSegLib.networks.Architecture`.

    Args:
        initial: bundle whose first network's weights training begins with; null for random ones. Those of input
            channels that it lacks begin at 0.
        trained: the one of the network's parts that learns, where it has several; the others keep their initial
            weights. Null trains all.
        initial_encoder: bundle whose first network's encoder every encoder of this one begins with.
    """

    name: str
    arguments: dict[str, object]
    initial: str | None = None
    trained: str | None = None
    initial_encoder: str | None = None


@dataclass(frozen=True)
class PreparationSettings:
    """As `prepared_slices.Preparation`; null mean and standard deviation are measured on the training part."""

    mean_hu: float | None = None
    std_hu: float | None = None
    clip_hu: tuple[float, float] | None = None
    centre_on_brain: bool = False
    brain_only: bool = False
    spacing_mm: float | None = None
    size: tuple[int, int] | None = None
    slab_mm: float | None = None
    upright: bool = False
    mirrored: bool = False


@dataclass(frozen=True)
class DataSettings:
    """Where patients come from and how they are split.

    Args:
        source: one of `SOURCES`.
        path: the data set's folder; null for synthetic patients.
        validation_fraction, test_fraction: fractions of the patients, if the data set has no split of its own.
        folds, fold: k-fold cross-validation instead, and which fold validates; null folds for the fractions.
        pixel_mm: pixel size of PNG slices, whose files do not say it.
        patients_kept, reuse: number of synthetic patients that are mixed, and how often each slice is drawn on average.
        lesion_share: fraction of synthetic slices drawn from slices with a lesion; the rest are any slices.
            For patches, the fraction around a voxel of a lesion; the rest are centred on any tissue voxel.
        patches_per_case: drawn of a scan in an epoch, where the network sees patches.
        held_out: patients among ``painted`` heads that neither training nor the choice of thresholds sees.
        chosen_on: patients among ``painted`` heads used for validation, thresholds and calibration.
        synthetic_share: fraction of ``painted`` patients that are entirely synthetic.
        occlusion_share: fraction of the others in whom most of a territory is affected, see `PhantomOptions`.
        cohort: so many synthetic patients are drawn once and kept, by seeds from first_patient on, and split as those
            of a data set are; null draws ever new ones while the network learns.
        first_patient: seed of the first patient of the cohort.
        patch: slices, rows and columns of the patches of a network of volumes.
        slices_per_epoch: slices or patches of synthetic patients per epoch.
        validation_patients, validation_slices: synthetic patients held out, and slices or patches taken of each.
        rehearsed_patients: synthetic patients added to the training part of a data set, so that a network that learned
            of such patients does not forget them.
    """

    source: str
    path: str | None = None
    validation_fraction: float = 0.1
    test_fraction: float = 0.1
    folds: int | None = None
    fold: int = 0
    pixel_mm: float = 0.45
    patients_kept: int = 40
    reuse: float = 3.0
    lesion_share: float = 0.0
    patches_per_case: int = 4000
    held_out: tuple[str, ...] = ()
    chosen_on: tuple[str, ...] = ()
    synthetic_share: float = 0.0
    occlusion_share: float = 0.0
    slices_per_epoch: int = 2400
    validation_patients: int = 24
    validation_slices: int = 6
    rehearsed_patients: int = 0
    cohort: int | None = None
    first_patient: int = 0
    patch: tuple[int, int, int] = (128, 128, 128)

    @property
    def drawn_live(self) -> bool:
        """Whether ever new patients are drawn while a network learns."""
        return self.source in DRAWN_SOURCES and self.cohort is None


@dataclass(frozen=True)
class AugmentationSettings:
    """Random changes of training slices, after normalisation; all off by default.

    Args:
        flip: probability of a left–right mirror image.
        quarter_turn: probability of a turn by 90°, 180° or 270°, for square patches.
        rotation_deg, rotation: greatest angle, and how often a slice is rotated.
        scale: greatest relative change of size, drawn with every rotation.
        shift: greatest shift along rows and columns, as a part of the slice, drawn with every rotation.
        brightness, contrast: standard deviation of a shift (in units of the input) and of a relative gain.
        noise: greatest standard deviation of added noise (in units of the input), correlated over up to a pixel.
        blur: greatest standard deviation in pixels of a Gaussian.
        shading: greatest standard deviation of a slow unevenness over the slice (in units of the input).
    """

    flip: float = 0.0
    quarter_turn: float = 0.0
    rotation_deg: float = 0.0
    rotation: float = 0.0
    scale: float = 0.0
    shift: float = 0.0
    brightness: float = 0.0
    contrast: float = 0.0
    noise: float = 0.0
    blur: float = 0.0
    shading: float = 0.0


@dataclass(frozen=True)
class LossSettings:
    """Weights of the parts of a loss, which every output of a network has.

    Args:
        dice: soft Dice, mean over the lesion's classes.
        cross_entropy: over all classes.
        affected_dice: soft Dice of the union of the lesion's classes.
        generalised_dice: over all classes, each weighted by its reference volume to the power of
            −generalised_dice_power (Sudre et al. 2017: 2).
        focal: cross entropy of Lin et al. 2017 with focal_gamma, and focal_alpha the weight of the lesion's classes.
        boundary: boundary loss of Kervadec et al. 2019, over the lesion's classes.
        squared_dice: soft Dice with squared denominator, mean over the lesion's classes and the batch.
        weighted_cross_entropy: each lesion voxel weighs lesion_weight, each of background the rest of 1.
        lesion_weight: null takes background's share of the voxels in the training part (Dobshik et al. 2023).
    """

    dice: float = 1.0
    cross_entropy: float = 0.0
    affected_dice: float = 0.0
    generalised_dice: float = 0.0
    generalised_dice_power: float = 2.0
    focal: float = 0.0
    focal_gamma: float = 2.0
    focal_alpha: float = 0.25
    boundary: float = 0.0
    squared_dice: float = 0.0
    weighted_cross_entropy: float = 0.0
    lesion_weight: float | None = None


@dataclass(frozen=True)
class OptimisationSettings:
    """How weights are found.

    Args:
        optimiser, learning_rate, weight_decay: `OPTIMISERS`; the rate is the greatest one.
        momentum: momentum of SGD.
        schedule: `SCHEDULES`; one-cycle needs max_minutes, over which it runs.
        cycle_lowest_rate, cycle_steps: lowest rate of the cyclic schedule, and its steps from there to the
            greatest (Smith 2017).
        halving_steps, halving_lowest_rate: the halving schedule halves the rate after so many steps each, down
            to the lowest.
        plateau_factor, plateau_patience, plateau_threshold: parameters of the plateau schedule, on validation loss.
        batch: slices or patches a step and process.
        max_epochs, max_steps, max_minutes: whichever is reached first; null for no limit.
        early_stopping_patience: epochs without a better validation loss; null to go on.
        early_stopping_delta: a loss is better when it is lower by more.
        checkpoints: how many of the best are kept beside the last.
        checkpoint_steps: steps between writings of last.ckpt.
        workers: processes that prepare slices.
        batch_norm_momentum: momentum of the running statistics; null keeps the encoder's own (EfficientNet: 0.01,
            which needs some 700 steps before the network is usable in evaluation).
        channels_last: memory order, faster on most machines.
        bfloat16: mixed precision.
    """

    optimiser: str = "adam"
    learning_rate: float = 0.006
    weight_decay: float = 0.0
    momentum: float = 0.9
    schedule: str = "plateau"
    cycle_lowest_rate: float = 5e-4
    cycle_steps: int = 2000
    halving_steps: int = 5000
    halving_lowest_rate: float = 1.25e-5
    plateau_factor: float = 0.1
    plateau_patience: int = 10
    plateau_threshold: float = 1e-4
    batch: int = 32
    max_epochs: int | None = 200
    max_steps: int | None = None
    max_minutes: float | None = None
    early_stopping_patience: int | None = 30
    early_stopping_delta: float = 0.0
    checkpoints: int = 5
    checkpoint_steps: int = 50
    workers: int = 1
    batch_norm_momentum: float | None = None
    channels_last: bool = True
    bfloat16: bool = False


PREPARATIONS = {
    "ncct-core-penumbra": PreparationSettings,
    "ncct-aspects": PreparationSettings,
    "ctp-core": ctp_core.Preparation,
    "ncct-infarct": prepared_volume.Preparation,
}
"""What a recipe's preparation holds, by method."""


SECTIONS = {
    "network": NetworkSettings,
    "data": DataSettings,
    "augmentation": AugmentationSettings,
    "loss": LossSettings,
    "optimisation": OptimisationSettings,
}


@dataclass(frozen=True)
class _Heading:
    """What stands beside the sections of a recipe."""

    name: str
    method: str
    seed: int = 42


@dataclass(frozen=True)
class Recipe:
    """All settings of a training run.

    Args:
        preparation: preparation of the kind that `PREPARATIONS` defines for the method.

    Raises:
        DataError: settings that contradict each other or lie out of range.
    """

    name: str
    method: str
    network: NetworkSettings
    data: DataSettings
    preparation: PreparationSettings | ctp_core.Preparation | prepared_volume.Preparation
    augmentation: AugmentationSettings = field(default_factory=AugmentationSettings)
    loss: LossSettings = field(default_factory=LossSettings)
    optimisation: OptimisationSettings = field(default_factory=OptimisationSettings)
    seed: int = 42

    def __post_init__(self):
        data, optimisation, loss = self.data, self.optimisation, self.loss
        fractions = (data.validation_fraction, data.test_fraction)
        for holds, sentence in (
            (data.source in SOURCES, f"data.source must be one of {', '.join(SOURCES)}"),
            (data.source == "synthetic" or data.path, "data.path is missing; pass the data set's folder with --data"),
            (
                all(0 <= part < 1 for part in fractions) and sum(fractions) < 1,
                "the data fractions leave no training part",
            ),
            (data.folds is None or 0 <= data.fold < data.folds, "data.fold must be below data.folds"),
            (
                min(data.reuse, data.patients_kept, data.slices_per_epoch, data.patches_per_case) >= 1,
                "data.reuse and the counts must be ≥ 1",
            ),
            (min(data.patch) >= 16, "data.patch must be at least 16 voxels along each axis"),
            (
                not isinstance(self.preparation, prepared_volume.Preparation)
                or data.source != "synthetic"
                or data.cohort,
                "synthetic patients of this method need data.cohort",
            ),
            (data.cohort is None or data.cohort >= 2, "data.cohort must be at least 2"),
            (optimisation.optimiser in OPTIMISERS, f"optimisation.optimiser must be one of {', '.join(OPTIMISERS)}"),
            (optimisation.schedule in SCHEDULES, f"optimisation.schedule must be one of {', '.join(SCHEDULES)}"),
            (
                optimisation.schedule != "one-cycle" or optimisation.max_minutes,
                "the one-cycle schedule needs optimisation.max_minutes",
            ),
            (
                optimisation.schedule != "cyclic" or optimisation.cycle_lowest_rate < optimisation.learning_rate,
                "optimisation.cycle_lowest_rate must lie below learning_rate",
            ),
            (
                optimisation.max_epochs or optimisation.max_steps or optimisation.max_minutes,
                "set optimisation.max_epochs, max_steps or max_minutes",
            ),
            (min(optimisation.batch, optimisation.checkpoint_steps) >= 1, "optimisation.batch must be at least 1"),
            (not self.network.trained or self.network.initial, "network.trained needs network.initial"),
            (optimisation.learning_rate > 0, "optimisation.learning_rate must be above 0"),
            (
                loss.dice
                + loss.cross_entropy
                + loss.generalised_dice
                + loss.focal
                + loss.squared_dice
                + loss.weighted_cross_entropy
                > 0,
                "a loss must have a weight above 0",
            ),
            *self._of_preparation(),
        ):
            if not holds:
                raise DataError(f"The recipe cannot be used: {sentence}.")

    def _of_preparation(self) -> tuple[tuple[object, str], ...]:
        """What must hold of the preparation, each with what is said where it does not."""
        preparation = self.preparation
        if not isinstance(preparation, PreparationSettings):
            return ()
        return (
            (
                (preparation.mean_hu is None) == (preparation.std_hu is None),
                "set both preparation.mean_hu and std_hu, or leave both null to measure them",
            ),
            (
                preparation.mean_hu is not None or self.data.source not in DRAWN_SOURCES,
                "synthetic and painted patients need preparation.mean_hu and std_hu",
            ),
        )


def read_recipe(path: Path, settings: Sequence[str] = ()) -> Recipe:
    """A recipe from YAML, with ``key.key=value`` settings replacing its values.

    Raises:
        DataError: the file is missing or no YAML, has an unknown or missing key, or a value of the wrong type.
    """
    try:
        content = _loaded(Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise DataError(f"The recipe {path} does not exist.") from error
    except (OSError, UnicodeDecodeError, yaml.YAMLError) as error:
        raise DataError(f"The recipe {path} is not valid YAML.") from error
    if not isinstance(content, dict):
        raise DataError(f"The recipe {path} contains no settings.")
    return recipe_of(content, settings)


def recipe_of(content: dict, settings: Sequence[str] = ()) -> Recipe:
    """A recipe of YAML's values, with ``key.key=value`` settings replacing some of them.

    Raises:
        DataError: an unknown or missing key, or a value of the wrong type.
    """
    for setting in settings:
        key, equals, value = setting.partition("=")
        if not equals:
            raise DataError(f"“{setting}” is not of the form KEY=VALUE, for example optimisation.batch=16.")
        *groups, last = key.split(".")
        group = content
        for name in groups:
            group = group.setdefault(name, {})
            if not isinstance(group, dict):
                raise DataError(f"The recipe has no setting “{key}”.")
        try:
            group[last] = _loaded(value)
        except yaml.YAMLError as error:
            raise DataError(f"The value of “{setting}” cannot be read.") from error
    method = content.get("method")
    if method not in PREPARATIONS:
        known = ", ".join(PREPARATIONS)
        raise DataError(f"The recipe cannot be used: the method “{method}” cannot be trained, only {known}.")
    heading = {name: value for name, value in content.items() if name not in (*SECTIONS, "preparation")}
    kinds = {**SECTIONS, "preparation": PREPARATIONS[method]}
    sections = {name: _settings(kind, content.get(name, {}), name) for name, kind in kinds.items()}
    return Recipe(**asdict(_settings(_Heading, heading)), **sections)


def _settings(kind: type[Kind], values: object, section: str = "") -> Kind:
    """A section as a dataclass.

    Raises:
        DataError: an unknown or missing key, or a value of the wrong type.
    """
    if not isinstance(values, dict):
        raise DataError(f"The recipe cannot be used: {section} must contain settings of its own.")
    try:
        return typed(kind, values)
    except ValueError as error:
        raise DataError(f"The recipe cannot be used: {section}{section and ': '}{error}.") from error


def _loaded(text: str) -> object:
    return yaml.load(text, _Loader)


class _Loader(yaml.SafeLoader):
    """Reads ``1e-4`` as the number that it is in YAML 1.2."""


FLOAT = re.compile(r"[-+]?[0-9]+(\.[0-9]*)?[eE][-+]?[0-9]+$")
_Loader.add_implicit_resolver("tag:yaml.org,2002:float", FLOAT, list("-+0123456789"))
