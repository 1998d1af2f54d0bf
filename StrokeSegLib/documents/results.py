"""The numbers of a study: `results.json`, as it is written and read."""

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

NotNegative = Annotated[float, Field(ge=0)]
Count = Annotated[int, Field(ge=1)]
Triple = Annotated[list[float], Field(min_length=3, max_length=3)]
Ratio = NotNegative | Literal["undefined"]
Source = Literal["automatic", "edited"]
SideName = Literal["left", "right"]


class _Part(BaseModel):
    """Values are strictly typed and unknown keys are rejected; optional keys without a value are omitted."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class ModelDocument(BaseModel):
    """The model that ran; see `BundleDocument`."""

    model_config = ConfigDict(extra="allow", strict=True, frozen=True)

    name: str
    version: str
    sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")]
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


class MethodDocument(_Part):
    """A method that ran, and the names of its model's segments."""

    id: str
    model: ModelDocument
    parameters: Parameters
    segments: list[str] = []


class Stack(_Part):
    """Where the acquired slices lie: LPS, centre of the first pixel, foot to head."""

    positions_mm: list[Triple]
    row_direction: Triple
    column_direction: Triple


class Grid(_Part):
    """The regular grid of the written files."""

    spacing_mm: Triple
    plane_of_slice: list[int]
    first_pixel_of_slice: list[list[int]]


class Geometry(_Part):
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


class Region(_Part):
    """A region of ASPECTS; its HU are means over voxels of 20 to 80 HU, the ratio is to the mirrored region."""

    affected: bool
    fraction: Annotated[float, Field(ge=0, le=1)]
    volume_ml: NotNegative
    affected_ml: NotNegative
    mean_hu: float | None
    hu_ratio: float | None
    net_water_uptake_percent: float | None
    marked_by_hu: bool
    in_view: bool
    source: Source


class Regions(_Part):
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


class Hemisphere(_Part):
    """The score of a side, null where regions are missing: not in view, and not decided by the reader."""

    score: Annotated[int, Field(ge=0, le=10)] | None
    missing: list[str]
    regions: Regions


class Rule(_Part):
    """Rule for affected regions: infarct in the region, or its density relative to the mirrored one."""

    basis: Literal["infarct", "hu"]
    minimum_fraction: float
    minimum_ml: float
    hu_ratio: float
    hu_difference: float


class Aspects(_Part):
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
    agreement: dict[str, Annotated[float, Field(ge=0, le=1)]] = {}


class Curve(_Part):
    """Enhancement of a vessel over its baseline, and the voxels (slice, row, column) whose mean it is."""

    hu: list[float]
    voxels: list[Annotated[list[int], Field(min_length=3, max_length=3)]]
    place_mm: Triple | None


class MotionDocument(_Part):
    """How the head moved, by frame."""

    shift_mm: list[Triple]
    rotation_deg: list[Triple]
    rejected_frames: list[int]


class PerfusionDocument(_Part):
    """CT perfusion; volumes and ratios where thresholds were applied.

    ``arterial_agreement`` is the lowest correlation of the artery with the others; CBF is in ml/100 g/min, CBV in
    ml/100 g; ``tmax_ml`` is by seconds.
    """

    coverage_mm: float
    flags: list[str]
    times_s: list[float] | None = None
    artery: Curve | None = None
    vein: Curve | None = None
    other_arteries: list[Curve] = []
    arterial_agreement: float | None = None
    not_evaluable: list[str] = []
    motion: MotionDocument | None = None
    core_ml: NotNegative | None = None
    hypoperfused_ml: NotNegative | None = None
    severe_ml: NotNegative | None = None
    tmax_ml: dict[str, NotNegative] = {}
    mismatch_ml: NotNegative | None = None
    mismatch_ratio: Ratio | None = None
    hypoperfusion_intensity_ratio: Ratio | None = None
    cbv_index: Ratio | None = None
    normal_cbf: float | None = None
    normal_cbv: float | None = None
    affected_side: SideName | None = None


class Clinical(_Part):
    """Clinical data given for the trial criteria."""

    age_years: float | None = None
    nihss: int | None = None
    hours: float | None = None
    aspects: int | None = None


class ResultsDocument(_Part):
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
