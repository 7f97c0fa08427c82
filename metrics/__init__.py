"""How far generated images are from real ones, by the protocols of published work."""

from metrics.distances import FeatureStatistics, feature_statistics, frechet_distance, kernel_distance
from metrics.errors import MetricError
from metrics.inception import Inception
from metrics.similarity import ms_ssim
from metrics.wasserstein import sliced_wasserstein

__all__ = ['FeatureStatistics', 'Inception', 'MetricError', 'feature_statistics', 'frechet_distance', 'kernel_distance',
           'ms_ssim', 'sliced_wasserstein']
