"""Truncated SVD of users × items, and each user's own history."""

from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import numpy as np

from flows.recommender.config import Svd
from flows.recommender.ranking import Matrix

if TYPE_CHECKING:  # reads Parquet
    from flows.recommender.split import Training

OVERSAMPLES, ITERATIONS, WORKERS = 10, 2, 2


def history(training: "Training", half_life: float) -> Any:
    """Users × items, CSR: log(1 + purchases), each worth half after `half_life` days."""
    from scipy.sparse import csr_array

    shape = len(training.users), len(training.items)
    starts = np.searchsorted(training.user, np.arange(shape[0] + 1))
    weights = np.exp2(-training.days / np.float32(half_life), dtype=np.float32)
    matrix = csr_array((weights, training.item, starts), shape=shape)
    matrix.sum_duplicates()
    matrix.data = np.log1p(matrix.data)
    return matrix


def fit(matrix: Any, options: Svd, seed: int) -> tuple[Matrix, Matrix]:
    """User factors (users × factors, scaled by the singular values) and item factors (items × factors).

    Randomised range finder with power iterations: Halko, Martinsson and Tropp 2011, algorithm 4.4.
    """
    factors = min(options.factors, *matrix.shape)
    width = min(factors + OVERSAMPLES, *matrix.shape)
    random = np.random.default_rng(seed).standard_normal((matrix.shape[1], width), dtype=np.float32)
    turned = matrix.T.tocsr()
    basis = _times(matrix, random) / np.float32(width)
    for _ in range(ITERATIONS):
        basis = np.linalg.qr(_times(matrix, _times(turned, basis)))[0]
    right, triangle = np.linalg.qr(_times(turned, basis))
    left, sizes, rows = np.linalg.svd(triangle.T)
    users, items = basis @ left[:, :factors], right @ rows[:factors].T
    signs = np.sign(items[np.abs(items).argmax(axis=0), np.arange(factors)])
    return users * (sizes[:factors] * signs), items * signs


def _times(matrix: Any, dense: Matrix) -> Matrix:
    """matrix @ dense, in blocks of rows: SciPy lets other threads run meanwhile."""
    edges = np.linspace(0, matrix.shape[0], WORKERS + 1).astype(int).tolist()
    with ThreadPoolExecutor(WORKERS) as pool:
        blocks = pool.map(lambda a, b: matrix[a:b] @ dense, edges, edges[1:])
        return np.concatenate(list(blocks))
