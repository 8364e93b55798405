"""A Gaussian process over learning curves: Matern 5/2 with a length scale for each group of columns.

Covariance and gradient as in Rasmussen & Williams, Gaussian Processes for Machine Learning (2006), (4.17), (5.9).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import linalg, optimize

Array = NDArray[Any]

# Logarithms: mean and standard deviation of what is believed of a parameter before anything is seen. A key spans
# one unit; noise is a share of the values' variance.
LENGTH_PRIOR = (0.0, 0.8)
VARIANCE_PRIOR = (0.0, 1.0)
NOISE_PRIOR = (math.log(0.02), 1.0)
JITTER = 1e-6
STEPS = 50  # of the optimiser


@dataclass(frozen=True)
class GaussianProcess:
    """What was seen, and how alike two points are."""

    points: Array  # (n, columns)
    values: Array  # (n,), centred and scaled
    centre: float
    scale: float
    lengths: Array  # (columns,)
    variance: float
    noise: float
    factor: Array  # (n, n): of the covariance of what was seen, lower triangle
    weights: Array  # (n,)

    def predict(self, points: Array) -> tuple[Array, Array]:
        """Means and standard deviations of the values at (m, columns) points, without the noise."""
        between = _matern(_squares(points / self.lengths, self.points / self.lengths), self.variance)
        explained = linalg.solve_triangular(self.factor, between.T, lower=True, check_finite=False)
        left = np.maximum(self.variance - (explained**2).sum(axis=0), 1e-9)
        return between @ self.weights * self.scale + self.centre, np.sqrt(left) * self.scale

    def believing(self, points: Array) -> GaussianProcess:
        """The same process with its own means at (m, columns) points taken for observations."""
        means, _ = self.predict(points)
        believed = np.append(self.values, (means - self.centre) / self.scale)
        return _condition(replace(self, points=np.vstack([self.points, points]), values=believed))


def fit(points: Array, values: Array, groups: Sequence[int]) -> GaussianProcess:
    """The most probable process: (n, columns) points, (n,) values, and the group of each column, from 0 on."""
    centre, scale = float(values.mean()), max(float(values.std()), 1e-3)
    scaled, index = (values - centre) / scale, np.asarray(groups)
    count = int(index.max()) + 1
    squares = np.stack([_squares(points[:, index == group], points[:, index == group]) for group in range(count)])
    means = np.array([LENGTH_PRIOR[0]] * count + [VARIANCE_PRIOR[0], NOISE_PRIOR[0]])
    spreads = np.array([LENGTH_PRIOR[1]] * count + [VARIANCE_PRIOR[1], NOISE_PRIOR[1]])

    def loss(parameters: Array) -> tuple[float, Array]:
        surprise, gradient = _surprise(parameters, squares, scaled)
        off = (parameters - means) / spreads
        return surprise + 0.5 * float(off @ off), gradient + off / spreads

    found = optimize.minimize(loss, means, jac=True, method="L-BFGS-B", options={"maxiter": STEPS}).x
    lengths, (variance, noise) = np.exp(found[:count])[index], np.exp(found[count:])
    nothing = np.empty(0)
    return _condition(
        GaussianProcess(points, scaled, centre, scale, lengths, float(variance), float(noise), nothing, nothing)
    )


def _condition(process: GaussianProcess) -> GaussianProcess:
    """With the factor and the weights that belong to its points and values."""
    scaled = process.points / process.lengths
    covariance = _matern(_squares(scaled, scaled), process.variance)
    factor = _factor(covariance, process.noise)
    weights = linalg.cho_solve((factor, True), process.values, check_finite=False)
    return replace(process, factor=factor, weights=weights)


def _surprise(parameters: Array, squares: Array, values: Array) -> tuple[float, Array]:
    """The negative log likelihood, without its constant, and its gradient.

    `parameters` are logarithms: the length of each group, the variance, the noise. `squares` are the squared
    distances (groups, n, n) within each group.
    """
    inverse_squares = np.exp(-2 * parameters[:-2])
    variance, noise = np.exp(parameters[-2:])
    distances = np.tensordot(inverse_squares, squares, axes=1)
    covariance = _matern(distances, variance)
    factor = _factor(covariance, noise)
    inverse = linalg.cho_solve((factor, True), np.eye(len(values)), check_finite=False)
    weights = inverse @ values
    surprise = 0.5 * float(values @ weights) + float(np.log(np.diag(factor)).sum())
    slope = 0.5 * (inverse - np.outer(weights, weights))  # of the surprise in the covariance
    root = np.sqrt(5 * distances)
    by_square = slope * (-5 / 6) * variance * (1 + root) * np.exp(-root)
    lengths = -2 * inverse_squares * np.einsum("gij,ij->g", squares, by_square)
    return surprise, np.array([*lengths, (slope * covariance).sum(), noise * np.trace(slope)])


def _squares(first: Array, second: Array) -> Array:
    """Squared distances of (n, columns) and (m, columns) points, (n, m)."""
    crossed = (first**2).sum(axis=1)[:, None] + (second**2).sum(axis=1)[None, :] - 2 * first @ second.T
    return np.asarray(np.maximum(crossed, 0.0))


def _matern(squares: Array, variance: float) -> Array:
    root = np.sqrt(5 * squares)
    return np.asarray(variance * (1 + root + root**2 / 3) * np.exp(-root))


def _factor(covariance: Array, noise: float) -> Array:
    """Of a covariance with noise; positive definite for any noise thanks to the jitter."""
    return np.asarray(
        linalg.cholesky(covariance + (noise + JITTER) * np.eye(len(covariance)), lower=True, check_finite=False)
    )
