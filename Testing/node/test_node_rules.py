"""Rules choose the series of a study for each method."""

import pytest
from cases import head_series
from scans import centred_geometry

from StrokeSegLib.node.configuration import Rule
from StrokeSegLib.node.rules import Task, tasks_of

SERIES = {
    "plain": {"SeriesDescription": "Head 5.0"},
    "angio": {"SeriesDescription": "CTA HEAD", "ContrastBolusAgent": "Iomeron"},
    "scout": {"SeriesDescription": "Topogram", "Modality": "CT"},
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """Files by the name of their series, as they lie together in one folder."""
    folder, found = tmp_path_factory.mktemp("study"), {}
    for number, (name, attributes) in enumerate(SERIES.items(), start=1):
        geometry = centred_geometry((number + 2, 64, 64), (20.0, 3.0, 3.0))
        before = set(folder.glob("*.dcm"))
        head_series(folder, geometry, SeriesInstanceUID=f"1.2.3.{number}", **attributes)
        found[name] = tuple(sorted(set(folder.glob("*.dcm")) - before))
    return found


def chosen(files, *rules):
    everything = sorted(file for series in files.values() for file in series)
    return tasks_of(everything, rules)


def test_without_rules_all_images_are_one_task(files):
    (task,) = chosen(files)
    assert len(task.files) == 3 + 4 + 5
    assert task.methods == ()


@pytest.mark.parametrize(
    ("rule", "names"),
    [
        (Rule(description="^head"), ["plain"]),
        (Rule(description="head"), ["angio", "plain"]),
        (Rule(contrast=True), ["angio"]),
        (Rule(contrast=False, description="head"), ["plain"]),
        (Rule(slices=(4, 5)), ["angio", "scout"]),
        (Rule(modality="CT", slices=(5, 5)), ["scout"]),
    ],
)
def test_a_series_must_fulfil_every_condition(files, rule, names):
    (task,) = chosen(files, rule)
    assert set(task.files) == {file for name in names for file in files[name]}


def test_each_rule_that_is_fulfilled_gives_a_task_with_its_methods(files):
    infarct = Rule(description="head 5", methods=("ncct-infarct",))
    tasks = chosen(files, Rule(modality="MR"), infarct, Rule(contrast=True))
    assert tasks == [Task(files["plain"], ("ncct-infarct",)), Task(files["angio"], ())]
