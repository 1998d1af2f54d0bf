"""ASPECTS: the twenty regions, what is measured in them, which are affected, and the score of either side."""

from StrokeSegLib.aspects.measurement import RegionMeasurement, measure_regions
from StrokeSegLib.aspects.regions import classes_of_regions, regions_of_classes
from StrokeSegLib.aspects.score import AffectedRule, AspectsScore, HemisphereScore, RegionFinding, score

__all__ = [
    "AffectedRule",
    "AspectsScore",
    "HemisphereScore",
    "RegionFinding",
    "RegionMeasurement",
    "classes_of_regions",
    "measure_regions",
    "regions_of_classes",
    "score",
]
