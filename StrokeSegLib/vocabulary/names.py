"""Names of segments, as they stand in files, in Slicer and in reports."""

from StrokeSegLib.vocabulary.anatomy import ASPECTS_REGIONS, AspectsRegion

CORE, PENUMBRA, INFARCT, HYPOPERFUSED = "core", "penumbra", "infarct", "hypoperfused"

HAEMORRHAGE = "haemorrhage"
"""Blood that is likely: no ischaemia, and no density is measured across it."""

LESIONS = ((CORE, PENUMBRA), (INFARCT,), (HYPOPERFUSED,))
"""Segments that together show what is affected; the first ones that a result has."""

REGION_PREFIX = "ASPECTS "


def aspects_segment_name(region: AspectsRegion) -> str:
    """Segment name of an ASPECTS region, for example ``ASPECTS M1 left``."""
    return f"{REGION_PREFIX}{region.name} {region.side.value}"


REGION_OF_NAME = {aspects_segment_name(region): region for region in ASPECTS_REGIONS}
"""The ASPECTS region that a segment of this name is."""
