"""The schema of bundles and the settings that the methods take are one list."""

import dataclasses
import json

import pytest

from StrokeSegLib.methods import ctp_core, ncct_core_penumbra, ncct_infarct
from StrokeSegLib.models.bundle import SCHEMA_FILE
from StrokeSegLib.perfusion import PerfusionSettings

SCHEMA = json.loads(SCHEMA_FILE.read_text(encoding="utf-8"))


def names(kind):
    return {entry.name for entry in dataclasses.fields(kind)}


@pytest.mark.parametrize("method", [ctp_core, ncct_core_penumbra, ncct_infarct])
@pytest.mark.parametrize("group", ["preparation", "prediction"])
def test_the_schema_knows_every_setting_of_a_method_and_no_other(method, group):
    rules = [rule["then"]["properties"] for rule in SCHEMA["allOf"] if method.ID in json.dumps(rule["if"])]
    known = set().union(*(rule.get(group, {}).get("properties", {}) for rule in rules))
    references = {rule.get(group, {}).get("$ref", "").rpartition("/")[2] for rule in rules} - {""}
    known = known.union(*(SCHEMA["$defs"][name]["properties"] for name in references))
    assert known == names({"preparation": method.Preparation, "prediction": method.Prediction}[group])


def test_the_schema_knows_every_setting_of_perfusion_maps():
    assert set(SCHEMA["$defs"]["perfusion_settings"]["properties"]) == names(PerfusionSettings)
