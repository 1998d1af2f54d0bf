"""Which images of a study are segmented by which methods."""

import re
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from StrokeSegLib.imaging.dicom_folder import read_headers
from StrokeSegLib.imaging.dicom_headers import ImageHeader
from StrokeSegLib.node.configuration import Rule


@dataclass(frozen=True)
class Task:
    """One segmentation of a study.

    Args:
        files: images to read.
        methods: ids; empty for what ``strokeseg segment`` chooses.
    """

    files: tuple[Path, ...]
    methods: tuple[str, ...] = ()


def tasks_of(files: Sequence[Path], rules: Sequence[Rule]) -> list[Task]:
    """The segmentations of a study: one for each rule that its series fulfil, or one of all images without rules.

    Several series that fulfil one rule are given together; reading chooses among them.

    Args:
        files: images of the study.
        rules: those in the configuration.

    Raises:
        ImageError: there are rules, and no image whose header can be read.
    """
    if not rules:
        return [Task(tuple(files))]
    series: dict[str, list[ImageHeader]] = defaultdict(list)
    for image in read_headers(files[0].parent, files).images:
        series[image.series_uid].append(image)
    tasks = []
    for rule in rules:
        chosen = {image.path for images in series.values() if _fulfils(images, rule) for image in images}
        if chosen:
            tasks.append(Task(tuple(sorted(chosen)), rule.methods))
    return tasks


def _fulfils(images: Sequence[ImageHeader], rule: Rule) -> bool:
    """Whether the images of one series fulfil all conditions of a rule."""
    first = images[0]
    return (
        rule.modality in (None, first.modality)
        and re.search(rule.description or "", first.series_description, re.IGNORECASE) is not None
        and rule.contrast in (None, any(image.has_contrast for image in images))
        and (rule.slices is None or rule.slices[0] <= len(images) <= rule.slices[1])
    )
