"""The committed atlas is what the committed command makes, and it agrees with atlases that others made."""

import hashlib
import sys
from pathlib import Path

import pytest

from StrokeSegLib.atlas.head import LABELS_FILE, PROBABILITIES_FILE
from StrokeSegLib.vocabulary.anatomy import Side

REPOSITORY = Path(__file__).parents[2]
REFERENCES = REPOSITORY.parent / "shared" / "data" / "reference_atlases"

pytestmark = pytest.mark.usefixtures("scripts_on_path")


@pytest.fixture
def scripts_on_path(monkeypatch):
    """The build scripts import each other as the command line does."""
    before = set(sys.modules)
    monkeypatch.syspath_prepend(str(REPOSITORY / "Training" / "atlas"))
    yield
    # Short module names such as ``build`` must not stay for the tests of other scripts.
    for name in set(sys.modules) - before:
        if str(REPOSITORY / "Training" / "atlas") in str(getattr(sys.modules[name], "__file__", "")):
            del sys.modules[name]


def sha256(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def test_building_again_gives_the_committed_files(tmp_path):
    """Takes about 15 s."""
    pytest.importorskip("nilearn", reason="nilearn (extra 'atlas') carries the template maps")
    from build import build

    build(tmp_path)
    for committed in (LABELS_FILE, PROBABILITIES_FILE):
        assert sha256(tmp_path / committed.name) == sha256(committed)


def test_atlas_is_small_enough_to_commit():
    assert sum(file.stat().st_size for file in (LABELS_FILE, PROBABILITIES_FILE)) < 1.5e6


@pytest.mark.skipif(not REFERENCES.is_dir(), reason="the independent reference atlases are not beside the checkout")
@pytest.mark.parametrize(
    ("structure", "reference_name", "least_dice"),
    [
        ("caudate", "AAL", 0.75),
        ("lentiform nucleus", "AAL", 0.75),
        ("insula", "AAL", 0.6),
        ("thalamus", "AAL", 0.75),
        ("internal capsule", "JHU", 0.5),
    ],
)
def test_structure_overlaps_with_an_independent_atlas(structure, reference_name, least_dice):
    """Both sides together: the others are asymmetric, this atlas is not."""
    from compare import REFERENCES as ATLASES
    from compare import Agreement, own_mask, reference_mask

    reference = next(atlas for atlas in ATLASES if atlas.name == reference_name)
    own = own_mask(structure, Side.RIGHT) | own_mask(structure, Side.LEFT)
    others = [reference_mask(reference, structure, side, REFERENCES) for side in Side]
    found = Agreement.between(own, others[0] | others[1])
    assert found.dice > least_dice
    assert found.surface_mm < 2.5


@pytest.mark.skipif(not REFERENCES.is_dir(), reason="the independent reference atlases are not beside the checkout")
def test_sides_are_those_of_the_independent_atlas():
    from compare import REFERENCES as ATLASES
    from compare import own_mask, reference_mask

    right, left = (reference_mask(ATLASES[1], "insula", side, REFERENCES) for side in (Side.RIGHT, Side.LEFT))
    own_left = own_mask("insula", Side.LEFT)
    assert not (own_left & right).any()
    assert (own_left & left).any()
