"""How each segment is called, coloured and coded (SNOMED CT where a verified code exists, else the project's own)."""

from dataclasses import dataclass

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
        modifier: of the type; None without.
    """

    display_name: str
    colour: tuple[int, int, int]
    category: Code
    kind: Code
    modifier: Code | None = None

    @property
    def slicer_tag(self) -> str:
        """Slicer's terminology entry: context, category, type, modifier, then an empty anatomic context and region."""
        empty = "^^"
        parts = (CONTEXT, self.category, self.kind, self.modifier or empty, "", empty, empty)
        return "~".join(str(part) for part in parts)


ALTERED_STRUCTURE = Code(SCT, "49755003", "Morphologically Altered Structure")
ANATOMICAL_STRUCTURE = Code(SCT, "123037004", "Anatomical Structure")
INFARCT = Code(SCT, "55641003", "Infarct")

TERMS = {
    "core": Term("Ischaemic core", (216, 27, 96), ALTERED_STRUCTURE, Code(OWN_SCHEME, "core", "Ischaemic core")),
    "penumbra": Term("Penumbra", (255, 193, 7), ALTERED_STRUCTURE, Code(OWN_SCHEME, "penumbra", "Ischaemic penumbra")),
    "hypoperfused": Term(
        "Hypoperfused tissue",
        (30, 136, 229),
        ALTERED_STRUCTURE,
        Code(OWN_SCHEME, "hypoperfused", "Critically hypoperfused tissue"),
    ),
    "infarct": Term("Infarct", (216, 27, 96), ALTERED_STRUCTURE, INFARCT),
}


def slicer_terminology() -> dict:
    """The terms as the JSON document that Slicer loads as a terminology context."""
    categories: dict[Code, list[Term]] = {}
    for term in TERMS.values():
        categories.setdefault(term.category, []).append(term)
    return {
        "SegmentationCategoryTypeContextName": CONTEXT,
        "@schema": "https://raw.githubusercontent.com/qiicr/dcmqi/master/doc/segment-context-schema.json#",
        "SegmentationCodes": {
            "Category": [
                {
                    **_code(category),
                    "showAnatomy": "false",
                    "Type": [{**_code(term.kind), "recommendedDisplayRGBValue": list(term.colour)} for term in terms],
                }
                for category, terms in categories.items()
            ]
        },
    }


def _code(code: Code) -> dict[str, str]:
    return {"CodeMeaning": code.meaning, "CodingSchemeDesignator": code.scheme, "CodeValue": code.value}
