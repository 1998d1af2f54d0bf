"""Figures of agreement against numbers that were worked out by hand or published."""

import math

import numpy as np
import pytest

from Training.evaluation.agreement import ScoreAgreement, cohens_kappa, intraclass_correlation

SHROUT_AND_FLEISS = np.array(
    [[9, 2, 5, 8], [6, 1, 3, 2], [8, 4, 6, 8], [7, 1, 2, 6], [10, 5, 6, 9], [6, 2, 4, 7]], float
)
"""Table 2 of Shrout and Fleiss 1979: six targets, four judges."""


def test_the_intraclass_correlation_is_that_of_shrout_and_fleiss():
    assert intraclass_correlation(SHROUT_AND_FLEISS) == pytest.approx(0.29, abs=0.005)


def test_a_constant_difference_lowers_absolute_agreement_but_not_the_correlation():
    reference = np.array([2, 4, 6, 8])
    agreement = ScoreAgreement.of(reference + 2, reference)
    assert agreement.pearson == pytest.approx(1)
    # Mean squares 40/3 between patients, 8 between raters, 0 error: (40/3) / (40/3 + 2 · 8 / 4).
    assert agreement.icc == pytest.approx(10 / 13)
    assert (agreement.exact, agreement.within_one, agreement.within_two, agreement.mean_error) == (0, 0, 1, 2)


def test_exact_and_near_matches_are_fractions_of_the_patients():
    agreement = ScoreAgreement.of(np.array([10, 8, 5, 0]), np.array([10, 9, 7, 4]))
    assert agreement.patients == 4
    assert (agreement.exact, agreement.within_one, agreement.within_two) == (0.25, 0.5, 0.75)
    assert agreement.mean_error == pytest.approx(-7 / 4)


def test_each_bin_of_scores_has_its_own_sensitivity_and_specificity():
    agreement = ScoreAgreement.of(np.array([2, 5, 9, 9, 3]), np.array([3, 3, 9, 7, 8]))
    low, middle, high = agreement.bins["0-3"], agreement.bins["4-7"], agreement.bins["8-10"]
    assert (low.sensitivity, low.specificity) == (1 / 2, pytest.approx(2 / 3))
    assert (middle.sensitivity, middle.specificity) == (0, 3 / 4)
    assert (high.sensitivity, high.specificity) == (1 / 2, pytest.approx(2 / 3))


def test_kappa_is_agreement_beyond_chance():
    # 20 both, 15 neither, 5 + 10 disagree: observed 0.7, by chance 0.5.
    first = np.repeat([True, True, False, False], [20, 5, 10, 15])
    second = np.repeat([True, False, True, False], [20, 5, 10, 15])
    assert cohens_kappa(first, second) == pytest.approx(0.4)


def test_what_cannot_be_said_is_not_a_number():
    nobody = ScoreAgreement.of(np.array([]), np.array([]))
    assert nobody.patients == 0
    assert math.isnan(nobody.exact)
    assert math.isnan(nobody.icc)
    assert math.isnan(ScoreAgreement.of(np.array([7, 7]), np.array([7, 7])).pearson)
    assert math.isnan(cohens_kappa(np.zeros(5), np.zeros(5)))
