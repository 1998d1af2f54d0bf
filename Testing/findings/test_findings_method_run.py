"""What a run says of its model."""

from dataclasses import replace

import pytest
from cases import RUN


@pytest.mark.parametrize(
    ("training_data", "is_network"),
    [
        ("none", False),
        ("none: published thresholds", False),
        ("non-contrast CT of 1,000 patients", True),
        ("nonenhanced CT of 30 patients: thin slices", True),
        ("none-contrast scans of one hospital", True),
    ],
)
def test_a_model_without_training_data_is_no_network(training_data, is_network):
    assert replace(RUN, provenance={"training_data": training_data}).is_network is is_network


def test_a_model_that_does_not_tell_its_training_data_is_a_network():
    assert replace(RUN, provenance={}).is_network
