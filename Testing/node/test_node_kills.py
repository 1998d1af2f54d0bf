"""Nothing is lost and nothing arrives twice when the node is killed."""

from node_kills import at_random, content_of, run_and_kill, while_study_is


def test_every_study_is_done_once_with_the_same_results_however_often_the_node_is_killed(tmp_path):
    moments = [at_random(0.5), while_study_is("running", 4.0), while_study_is("sending", 0.3)]
    disturbed = run_and_kill(tmp_path / "disturbed", 2, moments, seed=7)
    (undisturbed,) = run_and_kill(tmp_path / "undisturbed", 1, [], seed=0).values()
    assert {"SR", "DOC", "OT"} <= {made.Modality for made in undisturbed}
    assert [content_of(objects) for objects in disturbed.values()] == 2 * [content_of(undisturbed)]
