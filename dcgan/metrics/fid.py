"""FID and KID: distances between two sets of Inception features."""

from typing import NamedTuple

import numpy as np

from dcgan.progress import Progress

CHUNK_BYTES = 1 << 24  # float64 features in memory at once


class FeatureStatistics(NamedTuple):
    """Mean and covariance of features.

    Attributes:
      mean: float64 [d].
      covariance: unbiased, float64 [d, d].
    """

    mean: np.ndarray
    covariance: np.ndarray


def feature_statistics(features):
    """Returns the FeatureStatistics of features, floats [n, d] with n at least 2, which may be memory-mapped."""
    chunk = max(1, CHUNK_BYTES // (8 * features.shape[1]))
    starts = range(0, len(features), chunk)
    mean = sum(features[start:start + chunk].sum(axis=0, dtype=np.float64) for start in starts) / len(features)
    covariance = np.zeros([len(mean), len(mean)])
    for start in starts:
        centered = features[start:start + chunk] - mean
        covariance += centered.T @ centered
    return FeatureStatistics(mean, covariance / (len(features) - 1))


def frechet_distance(real, fake):
    """Returns the squared Frechet distance of two Gaussians; with Inception features, this is FID.

    |mean - mean'|^2 + trace(C + C' - 2 (C C')^(1/2)), from Heusel et al., "GANs Trained by a Two Time-Scale Update
    Rule Converge to a Local Nash Equilibrium" (2017). C C' has the eigenvalues of the symmetric A' C' A, where
    A A' = C, so the trace of its root is the sum of their roots. FID depends on the number of samples: compare only
    equal numbers. The paper uses 50,000.

    Args:
      real, fake: FeatureStatistics.
    """
    variances, axes = np.linalg.eigh(real.covariance)
    root = axes * np.sqrt(np.maximum(variances, 0))
    variances = np.linalg.eigvalsh(root.T @ fake.covariance @ root)
    return float(np.square(real.mean - fake.mean).sum() + np.trace(real.covariance) + np.trace(fake.covariance)
                 - 2 * np.sqrt(np.maximum(variances, 0)).sum())


def kernel_distance(real, fake, subsets=100, subset_size=1000, seed=0, title='kid'):
    """Returns the squared maximum mean discrepancy of two sets of features; with Inception features, this is KID.

    The unbiased estimate with the kernel (x.y / d + 1)^3, averaged over random subsets, from Binkowski et al.,
    "Demystifying MMD GANs" (2018). For sets of the same distribution it scatters around 0 and may be negative.

    Args:
      real: floats [n, d], which may be memory-mapped.
      fake: floats [m, d].
      subsets: number of random subsets of each set.
      subset_size: features in each, drawn without replacement; at most the size of the smaller set.
      seed: of the random subsets, 0 to 2**32 - 1.
      title: of the progress bar.
    """
    random, size = np.random.RandomState(seed), min(subset_size, len(real), len(fake))
    total = 0.0
    for _ in Progress(title, subsets, 'subsets').of(range(subsets)):
        total += _discrepancy(*(features[random.choice(len(features), size, replace=False)].astype(np.float64)
                                for features in (real, fake)))
    return float(total / subsets)


def _discrepancy(real, fake):
    """Returns the unbiased squared maximum mean discrepancy of two float64 [m, d]."""
    within = sum((kernel.sum() - np.trace(kernel)) / (len(kernel) * (len(kernel) - 1))
                 for kernel in (_kernel(real, real), _kernel(fake, fake)))
    return within - 2 * _kernel(real, fake).mean()


def _kernel(first, second):
    return (first @ second.T / first.shape[1] + 1) ** 3
