import numpy as np
from skimage.color import deltaE_ciede2000, rgb2lab

from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS
from StrokeSegLib.vocabulary.names import aspects_segment_name
from StrokeSegLib.vocabulary.terminology import TERMS, slicer_terminology

MCA_VESSEL_CODES = {"414722000", "414723005"}
TELL_APART = 8.0
"""Difference (CIEDE2000) of colours that are told apart at a glance when they lie beside each other."""


def test_slicers_terminology_holds_every_term_with_its_code_side_and_colour():
    offered = {}
    for category in slicer_terminology()["SegmentationCodes"]["Category"]:
        for entry in category["Type"]:
            for modifier in entry.get("Modifier", [{"CodeValue": None, **entry}]):
                side = modifier["CodeValue"] if "Modifier" in entry else None
                key = (category["CodeValue"], entry["CodingSchemeDesignator"], entry["CodeValue"], side)
                offered[key] = tuple(modifier["recommendedDisplayRGBValue"])
    for term in TERMS.values():
        side = term.modifier.value if term.modifier else None
        assert offered[term.category.value, term.kind.scheme, term.kind.value, side] == term.colour
    assert len(offered) == len(TERMS)


def test_a_region_is_anatomy_with_the_code_of_its_structure_and_side():
    caudate = TERMS["ASPECTS C left"]
    assert (caudate.category.value, caudate.kind.value, caudate.modifier.value) == ("123037004", "11000004", "7771000")
    assert TERMS["ASPECTS I right"].modifier.value == "24028007"
    assert not caudate.is_lesion
    assert TERMS["infarct"].is_lesion


def test_cortical_regions_never_carry_the_codes_of_the_arterys_segments():
    for region in ASPECTS_REGIONS:
        kind = TERMS[aspects_segment_name(region)].kind
        assert kind.value not in MCA_VESSEL_CODES
        if region.name.startswith("M"):
            assert (kind.scheme, kind.value) == ("99STROKESEG", f"aspects-{region.name.lower()}")


def test_the_colours_of_all_regions_and_of_infarct_can_be_told_apart():
    names = [aspects_segment_name(region) for region in ASPECTS_REGIONS]
    lab = rgb2lab(np.array([[TERMS[name].colour for name in [*names, "infarct"]]]) / 255)[0]
    differences = deltaE_ciede2000(lab[:, None], lab[None])
    assert differences[~np.eye(len(lab), dtype=bool)].min() > TELL_APART
