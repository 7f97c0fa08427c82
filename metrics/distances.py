"""Distances between two sets of features, such as ``Inception`` gives: FID and KID."""

from typing import NamedTuple

import numpy as np
from tqdm import tqdm

AT_ONCE = 1 << 24  # bytes of features, in float64: what bounds the memory


class FeatureStatistics(NamedTuple):
    """What the Frechet distance takes of a set of features.

    Attributes:
      mean: float64 [d].
      covariance: unbiased, float64 [d, d].
    """

    mean: np.ndarray
    covariance: np.ndarray


def feature_statistics(features):
    """Returns the FeatureStatistics of features, floats [n, d] with n at least 2, which may be memory-mapped.

    Raises:
      ValueError: these are not such features.
    """
    _check(features)
    at_once = max(1, AT_ONCE // (8 * features.shape[1]))
    parts = range(0, len(features), at_once)
    mean = sum(features[start:start + at_once].sum(axis=0, dtype=np.float64) for start in parts) / len(features)
    covariance = np.zeros([len(mean), len(mean)])
    for start in parts:
        centred = features[start:start + at_once] - mean
        covariance += centred.T @ centred
    return FeatureStatistics(mean, covariance / (len(features) - 1))


def frechet_distance(real, fake):
    """Returns the squared Frechet distance of two Gaussians, which of Inception's features is called FID.

    |mean - mean'|^2 + trace(C + C' - 2 (C C')^(1/2)), after Heusel et al., "GANs Trained by a Two Time-Scale Update
    Rule Converge to a Local Nash Equilibrium" (2017). The trace of the root is taken of the eigenvalues of the
    symmetric A' C' A, where A A' = C, which are those of C C'. It depends on the number of samples: compare like with
    like; theirs is 50,000.

    Args:
      real: a FeatureStatistics.
      fake: likewise.
    """
    variances, axes = np.linalg.eigh(real.covariance)
    root = axes * np.sqrt(np.maximum(variances, 0))
    variances = np.linalg.eigvalsh(root.T @ fake.covariance @ root)
    return float(np.square(real.mean - fake.mean).sum() + np.trace(real.covariance) + np.trace(fake.covariance)
                 - 2 * np.sqrt(np.maximum(variances, 0)).sum())


def kernel_distance(real, fake, subsets=100, subset_size=1000, seed=0):
    """Returns the squared maximum mean discrepancy of two sets of features, which of Inception's is called KID.

    It is the unbiased estimate with the kernel (x.y / d + 1)^3, averaged over random subsets, after Binkowski et al.,
    "Demystifying MMD GANs" (2018); where both sets are alike it scatters about 0.

    Args:
      real: floats [n, d], which may be memory-mapped.
      fake: floats [m, d].
      subsets: how many are drawn of either set.
      subset_size: features of each, drawn without replacement; as many as the smaller set holds, if that is less.
      seed: decides the subsets, from 0 to 2**32 - 1.

    Raises:
      ValueError: these are not such features.
    """
    for features in (real, fake):
        _check(features)
    if real.shape[1] != fake.shape[1]:
        raise ValueError(f'features of {real.shape[1]} and {fake.shape[1]} dimensions cannot be compared')
    random, size = np.random.RandomState(seed), min(subset_size, len(real), len(fake))
    total = 0.0
    for _ in tqdm(range(subsets), desc='kid', unit=' subsets'):
        total += _discrepancy(*(features[random.choice(len(features), size, replace=False)].astype(np.float64)
                                for features in (real, fake)))
    return float(total / subsets)


def _discrepancy(real, fake):
    """Returns the unbiased squared maximum mean discrepancy of float64 [m, d] and [m, d]."""
    within = sum((kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))
                 for kernel in (_kernel(real, real), _kernel(fake, fake)))
    return within - 2 * _kernel(real, fake).mean()


def _kernel(first, second):
    return (first @ second.T / first.shape[1] + 1) ** 3


def _check(features):
    if features.ndim != 2 or len(features) < 2 or not np.issubdtype(features.dtype, np.floating):
        raise ValueError(f'features are floats [n, d] with n at least 2, not {features.dtype} {list(features.shape)}')
