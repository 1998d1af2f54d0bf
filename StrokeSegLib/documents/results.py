"""The numbers of a study: `results.json`, as it is written and read."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from StrokeSegLib.documents.bundle import Sha256
from StrokeSegLib.documents.typing import Part
from StrokeSegLib.vocabulary.ranges import NotNegative, Probability

Count = Annotated[int, Field(ge=1)]
Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
Ratio = NotNegative | Literal["undefined"]
Source = Literal["automatic", "edited"]
SideName = Literal["left", "right"]


class ModelDocument(BaseModel):
    """The model that ran; see `BundleDocument`."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: str
    version: str
    sha256: Sha256
    provenance: dict[str, object]
    evaluation: dict[str, object]
    licence: str
    intended_use: str


class Parameters(BaseModel):
    """Its settings in this run; ``overrides`` are those that were given for the run."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    preparation: dict[str, object]
    prediction: dict[str, object]
    overrides: list[str]


class MethodDocument(Part):
    """A method that ran, and the names of its model's segments."""

    id: str
    model: ModelDocument
    parameters: Parameters
    segments: list[str] = Field(default=[])


class Stack(Part):
    """Where the acquired slices lie: LPS, centre of the first pixel, foot to head."""

    positions_mm: list[Triple]
    row_direction: Triple
    column_direction: Triple


class Grid(Part):
    """The regular grid of the written files."""

    spacing_mm: Triple
    plane_of_slice: list[int]
    first_pixel_of_slice: list[list[int]]


class Geometry(Part):
    """The slices of the scan.

    ``gaps_mm`` are the distinct distances between neighbouring slices along their normal, ``table_distances_mm`` those
    between their origins. ``stack`` stands where the written files do not say where slices lie, ``grid`` where the scan
    itself has no regular one.
    """

    slices: Count
    rows: Count
    columns: Count
    pixel_spacing_mm: Annotated[list[float], Field(min_length=2, max_length=2)]
    gaps_mm: list[float]
    table_distances_mm: list[float]
    tilt_deg: float
    regular: bool
    grid: Grid | None = None
    stack: Stack | None = None


class Region(Part):
    """A region of ASPECTS; its HU are means over voxels of 20 to 80 HU, the ratio is to the mirrored region."""

    affected: bool
    fraction: Probability
    volume_ml: NotNegative
    affected_ml: NotNegative
    mean_hu: float | None
    hu_ratio: float | None
    net_water_uptake_percent: float | None
    marked_by_hu: bool
    in_view: bool
    source: Source


class Regions(Part):
    """The ten regions of a side."""

    C: Region
    L: Region
    IC: Region
    I: Region  # noqa: E741 (the insula's name)
    M1: Region
    M2: Region
    M3: Region
    M4: Region
    M5: Region
    M6: Region


class Hemisphere(Part):
    """The score of a side, null where regions are missing: not in view, and not decided by the reader."""

    score: Annotated[int, Field(ge=0, le=10)] | None
    missing: list[str]
    regions: Regions


class Rule(Part):
    """Rule for affected regions: infarct in the region, or its density relative to the mirrored one."""

    basis: Literal["infarct", "hu"]
    minimum_fraction: float
    minimum_ml: float
    hu_ratio: float
    hu_difference: float


class Aspects(Part):
    """ASPECTS of both sides.

    ``side`` is the symptomatic one, null where no region is affected; ``scored_on`` are the segments whose tissue makes
    a region affected, none where its density does; ``agreement`` is the Dice of the network's and the atlas's regions.
    """

    side: SideName | None
    side_source: Source
    rule: Rule
    right: Hemisphere
    left: Hemisphere
    scored_on: list[str]
    warnings: list[str]
    anatomy: Literal["network", "atlas"] | None = None
    agreement: dict[str, Probability] = Field(default={})


class Curve(Part):
    """Enhancement of a vessel over its baseline, and the voxels (slice, row, column) whose mean it is."""

    hu: list[float]
    voxels: list[Annotated[list[int], Field(min_length=3, max_length=3)]]
    place_mm: Triple | None


class MotionDocument(Part):
    """How the head moved, by frame."""

    shift_mm: list[Triple]
    rotation_deg: list[Triple]
    rejected_frames: list[int]


class PerfusionDocument(Part):
    """CT perfusion; volumes and ratios where thresholds were applied.

    ``arterial_agreement`` is the lowest correlation of the artery with the others; CBF is in ml/100 g/min, CBV in
    ml/100 g; ``tmax_ml`` is by seconds.
    """

    coverage_mm: float
    flags: list[str]
    times_s: list[float] | None = None
    artery: Curve | None = None
    vein: Curve | None = None
    other_arteries: list[Curve] = Field(default=[])
    arterial_agreement: float | None = None
    not_evaluable: list[str] = Field(default=[])
    motion: MotionDocument | None = None
    core_ml: NotNegative | None = None
    hypoperfused_ml: NotNegative | None = None
    severe_ml: NotNegative | None = None
    tmax_ml: dict[str, NotNegative] = Field(default={})
    mismatch_ml: NotNegative | None = None
    mismatch_ratio: Ratio | None = None
    hypoperfusion_intensity_ratio: Ratio | None = None
    cbv_index: Ratio | None = None
    normal_cbf: float | None = None
    normal_cbv: float | None = None
    affected_side: SideName | None = None


class Clinical(Part):
    """Clinical data given for the trial criteria."""

    age_years: float | None = None
    nihss: int | None = None
    hours: float | None = None
    aspects: int | None = None


class ResultsDocument(Part):
    """The results of one study; ``volumes_ml`` of lesions by segment, ``criteria`` of the trials by name."""

    schema_version: Literal[1]
    methods: Annotated[list[MethodDocument], Field(min_length=1)]
    device: str
    acquisition: dict[str, object]
    geometry: Geometry
    volumes_ml: dict[str, NotNegative]
    warnings: list[str]
    aspects: Aspects | None = None
    perfusion: PerfusionDocument | None = None
    criteria: dict[str, bool | Literal["not evaluable"]] | None = None
    clinical: Clinical | None = None
    timings_s: dict[str, float]
