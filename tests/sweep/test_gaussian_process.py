"""The Gaussian process, against scikit-learn's."""

from __future__ import annotations

import numpy as np
import pytest
from sklearn.gaussian_process import GaussianProcessRegressor
from sklearn.gaussian_process.kernels import ConstantKernel, Matern

from sweep.search.gaussian_process import JITTER, Array, GaussianProcess, fit


def seen(count: int, noise: float = 0.0, seed: int = 0) -> tuple[Array, Array]:
    """Points of three columns, of which the third means nothing."""
    random = np.random.default_rng(seed)
    points = random.random((count, 3))
    values = 0.5 + 0.2 * np.sin(4 * points[:, 0]) + 0.1 * points[:, 1] ** 2
    return points, values + noise * random.normal(size=count)


def reference(process: GaussianProcess, points: Array, values: Array) -> GaussianProcessRegressor:
    """scikit-learn's process with the same parameters."""
    kernel = ConstantKernel(process.variance) * Matern(process.lengths, nu=2.5)
    regressor = GaussianProcessRegressor(kernel, alpha=process.noise + JITTER, optimizer=None)
    return regressor.fit(points, (values - process.centre) / process.scale)


def test_it_predicts_what_scikit_learn_predicts_with_the_same_parameters() -> None:
    points, values = seen(30, noise=0.01)
    process, elsewhere = fit(points, values, [0, 1, 2]), seen(50, seed=1)[0]
    means, spreads = process.predict(elsewhere)
    theirs, their_spreads = reference(process, points, values).predict(elsewhere, return_std=True)
    np.testing.assert_allclose(means, theirs * process.scale + process.centre, rtol=1e-6)
    np.testing.assert_allclose(spreads, their_spreads * process.scale, rtol=1e-3, atol=1e-6)


def test_its_parameters_are_more_likely_than_their_neighbours() -> None:
    points, values = seen(40, noise=0.02)
    process = fit(points, values, [0, 1, 2])
    best = np.log([*process.lengths, process.variance, process.noise])

    def plausibility(parameters: Array) -> float:
        """Log likelihood, by scikit-learn, and log prior."""
        *lengths, variance, noise = np.exp(parameters)
        kernel = ConstantKernel(variance) * Matern(lengths, nu=2.5)
        model = GaussianProcessRegressor(kernel, alpha=noise + JITTER, optimizer=None)
        model.fit(points, (values - process.centre) / process.scale)
        off = (parameters - [0, 0, 0, 0, np.log(0.02)]) / [0.8, 0.8, 0.8, 1, 1]
        return float(model.log_marginal_likelihood_value_ - 0.5 * off @ off)

    for index in range(len(best)):
        for step in (-0.05, 0.05):
            near = best.copy()
            near[index] += step
            assert plausibility(near) < plausibility(best)


def test_it_learns_a_function_and_which_column_means_nothing() -> None:
    process, (points, values) = fit(*seen(60), [0, 1, 2]), seen(40, seed=2)
    means, _ = process.predict(points)
    assert np.abs(means - values).max() < 0.02
    assert process.lengths[2] > 2 * process.lengths[0]


def test_columns_of_a_group_have_one_length() -> None:
    assert len(set(fit(*seen(30), [0, 0, 1]).lengths)) == 2


def test_it_is_unsure_far_from_what_it_has_seen() -> None:
    process = fit(*seen(30), [0, 1, 2])
    _, (near, far) = process.predict(np.array([[0.5, 0.5, 0.5], [5.0, 5.0, 5.0]]))
    assert far > 5 * near


def test_what_it_believes_changes_how_sure_it_is_and_not_what_it_predicts() -> None:
    process, there = fit(*seen(12, noise=0.02), [0, 1, 2]), np.array([[1.5, 1.5, 0.5]])
    believing = process.believing(there)
    (mean,), (spread,) = process.predict(there)
    (believed,), (left,) = believing.predict(there)
    assert believed == pytest.approx(mean, abs=0.2 * spread)
    assert left < spread / 2


@pytest.mark.parametrize("values", [[0.5] * 8, [0.0] * 7 + [1.0]])
def test_odd_values_are_no_obstacle(values: list[float]) -> None:
    points = np.array([[0.1 * index, 0.0] for index in range(8)])
    means, spreads = fit(points, np.array(values), [0, 1]).predict(points)
    assert np.isfinite(means).all()
    assert (spreads > 0).all()


def test_the_same_point_may_be_seen_many_times() -> None:
    points = np.full((20, 2), 0.5)
    means, _ = fit(points, np.linspace(0.4, 0.6, 20), [0, 1]).predict(points[:1])
    assert means[0] == pytest.approx(0.5, abs=0.02)
