"""How each segment is called, coloured and coded (SNOMED CT where a verified code exists, else the project's own)."""

from dataclasses import dataclass

from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, AspectsRegion, Side
from StrokeSegLib.vocabulary.names import CORE, HAEMORRHAGE, HYPOPERFUSED, INFARCT, PENUMBRA, aspects_segment_name

SCT = "SCT"
OWN_SCHEME = "99STROKESEG"
CONTEXT = "Segmentation category and type - StrokeSeg"
"""Name of the terminology that the Slicer module loads."""


@dataclass(frozen=True)
class Code:
    """A coded concept: scheme, value, meaning."""

    scheme: str
    value: str
    meaning: str

    def __str__(self) -> str:
        return f"{self.scheme}^{self.value}^{self.meaning}"


@dataclass(frozen=True)
class Term:
    """How a segment is shown and coded.

    Args:
        display_name: for people.
        colour: red, green, blue, 0…255; core and penumbra stay apart for colour-blind readers.
        category, kind: segmented property category and type (DICOM PS3.3 C.8.20).
        modifier: modifier of the type; None if it has none.
    """

    display_name: str
    colour: tuple[int, int, int]
    category: Code
    kind: Code
    modifier: Code | None = None

    @property
    def is_lesion(self) -> bool:
        """Whether it is a finding whose volume counts, not anatomy."""
        return self.category == ALTERED_STRUCTURE

    @property
    def slicer_tag(self) -> str:
        """Slicer's terminology entry: context, category, type, modifier, then an empty anatomic context and region."""
        empty = "^^"
        parts = (CONTEXT, self.category, self.kind, self.modifier or empty, "", empty, empty)
        return "~".join(str(part) for part in parts)


ALTERED_STRUCTURE = Code(SCT, "49755003", "Morphologically Altered Structure")
ANATOMICAL_STRUCTURE = Code(SCT, "123037004", "Anatomical Structure")
INFARCT_CODE = Code(SCT, "55641003", "Infarct")
HAEMORRHAGE_CODE = Code(SCT, "50960005", "Hemorrhage")

LATERALITY = {Side.LEFT: Code(SCT, "7771000", "Left"), Side.RIGHT: Code(SCT, "24028007", "Right")}

ASPECTS_KINDS = {
    "C": Code(SCT, "11000004", "Caudate nucleus"),
    "L": Code(SCT, "41648007", "Lentiform nucleus"),
    "IC": Code(SCT, "85637007", "Internal capsule"),
    "I": Code(SCT, "36169008", "Insula"),
    "M1": Code(OWN_SCHEME, "aspects-m1", "ASPECTS M1, anterior MCA cortex"),
    "M2": Code(OWN_SCHEME, "aspects-m2", "ASPECTS M2, MCA cortex lateral to the insula"),
    "M3": Code(OWN_SCHEME, "aspects-m3", "ASPECTS M3, posterior MCA cortex"),
    "M4": Code(OWN_SCHEME, "aspects-m4", "ASPECTS M4, anterior MCA territory above M1"),
    "M5": Code(OWN_SCHEME, "aspects-m5", "ASPECTS M5, lateral MCA territory above M2"),
    "M6": Code(OWN_SCHEME, "aspects-m6", "ASPECTS M6, posterior MCA territory above M3"),
}
"""M1 and M2 are regions of cortex here; the codes of the artery's segments of these names are others."""

ASPECTS_COLOURS = {
    "C": ((192, 93, 180), (235, 160, 223)),
    "L": ((0, 154, 145), (33, 205, 195)),
    "IC": ((189, 111, 34), (237, 170, 114)),
    "I": ((216, 89, 79), (255, 157, 144)),
    "M1": ((0, 152, 191), (0, 203, 231)),
    "M2": ((87, 145, 44), (155, 196, 121)),
    "M3": ((119, 119, 221), (182, 176, 255)),
    "M4": ((150, 130, 7), (205, 183, 104)),
    "M5": ((0, 145, 225), (73, 195, 255)),
    "M6": ((0, 152, 97), (99, 203, 159)),
}
"""Right, left: ten hues apart from the infarct's, neighbours far from each other, the left side lighter."""


def _aspects_term(region: AspectsRegion) -> Term:
    right, left = ASPECTS_COLOURS[region.name]
    return Term(
        f"ASPECTS {region.name}, {region.side.value}",
        left if region.side is Side.LEFT else right,
        ANATOMICAL_STRUCTURE,
        ASPECTS_KINDS[region.name],
        LATERALITY[region.side],
    )


TERMS = {
    CORE: Term("Ischaemic core", (216, 27, 96), ALTERED_STRUCTURE, Code(OWN_SCHEME, "core", "Ischaemic core")),
    PENUMBRA: Term("Penumbra", (255, 193, 7), ALTERED_STRUCTURE, Code(OWN_SCHEME, "penumbra", "Ischaemic penumbra")),
    HYPOPERFUSED: Term(
        "Hypoperfused tissue",
        (30, 136, 229),
        ALTERED_STRUCTURE,
        Code(OWN_SCHEME, "hypoperfused", "Critically hypoperfused tissue"),
    ),
    INFARCT: Term("Infarct", (230, 81, 0), ALTERED_STRUCTURE, INFARCT_CODE),
    HAEMORRHAGE: Term("Likely haemorrhage", (106, 27, 154), ALTERED_STRUCTURE, HAEMORRHAGE_CODE),
    **{aspects_segment_name(region): _aspects_term(region) for region in ASPECTS_REGIONS},
}


def slicer_terminology() -> dict:
    """The terms as the JSON document that Slicer loads as a terminology context."""
    categories: dict[Code, dict[Code, list[Term]]] = {}
    for term in TERMS.values():
        categories.setdefault(term.category, {}).setdefault(term.kind, []).append(term)
    return {
        "SegmentationCategoryTypeContextName": CONTEXT,
        "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/segment-context-schema.json#",
        "SegmentationCodes": {
            "Category": [
                {
                    **_code(category),
                    "showAnatomy": "false",
                    "Type": [_type(kind, terms) for kind, terms in kinds.items()],
                }
                for category, kinds in categories.items()
            ]
        },
    }


def _type(kind: Code, terms: list[Term]) -> dict:
    """A type with its colour, or with a modifier and a colour for each side."""
    if terms[0].modifier is None:
        return {**_code(kind), **_colour(terms[0])}
    return {**_code(kind), "Modifier": [{**_code(term.modifier), **_colour(term)} for term in terms]}


def _code(code: Code) -> dict[str, str]:
    return {"CodeMeaning": code.meaning, "CodingSchemeDesignator": code.scheme, "CodeValue": code.value}


def _colour(term: Term) -> dict[str, list[int]]:
    return {"recommendedDisplayRGBValue": list(term.colour)}
