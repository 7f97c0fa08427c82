"""Compares the images of a generator with real images; each result carries its protocol."""

import contextlib
import functools

import numpy as np

from data.crop import RESIZER
from dcgan.errors import UserError, counted, reason_of
from dcgan.files import safe_name
from dcgan.metrics.arrays import Rows, stored
from dcgan.metrics.fid import feature_statistics, frechet_distance, kernel_distance
from dcgan.metrics.inception import GRAPH_NAME, GRAPH_SOURCE, Inception
from dcgan.metrics.ms_ssim import ms_ssim
from dcgan.metrics.protocols import FEATURE_METRICS, PROTOCOLS, default_metrics, metric_name, parse_metrics
from dcgan.metrics.results import Result
from dcgan.metrics.swd import sliced_wasserstein
from dcgan.sampling.array_cache import cached_arrays
from dcgan.sampling.generator_checkpoint import label_of
from dcgan.sampling.real_images import open_real_images

MIN_IMAGES = 4  # real images, two in each half


class Evaluator:
    """Measures generators against the same real images by the same protocol.

    The real images are shuffled and split in two: the first half is compared with generated images and, for a floor,
    with the second.
    """

    def __init__(self, real_images, metrics, seed, inception, cache_dir):
        """Checks the number of images; computes nothing yet.

        Args:
          real_images: RealImages.
          metrics: list of Metrics.
          seed: of the first face, and of all random choices of the metrics.
          inception: an Inception if a metric needs features, else None.
          cache_dir: folder of temporary files and of the features of real images.

        Raises:
          UserError: there are too few real images.
        """
        self._real_images, self._metrics, self._seed, self._inception = real_images, metrics, seed, inception
        self._folder = cache_dir
        self._order = np.random.RandomState(seed).permutation(len(real_images.pack.images))  # frozen by NumPy (NEP 19)
        self._half = len(self._order) // 2
        # Once for all generators.
        self._floor, self._real_features = functools.cache(self._floor), functools.cache(self._real_features)
        for metric in metrics:
            self._require_images(metric)

    def measure(self, generator, known=(), position=''):
        """Measures a generator; shows progress.

        Args:
          generator: a TrainedGenerator.
          known: earlier Results; those with the same metric and protocol are not measured again.
          position: which of several generators this is, for the progress bars, e.g. '3 of 8'.

        Returns:
          A list of Results, in the order of the metrics.

        Raises:
          UserError: temporary files cannot be written.
        """
        protocols = {metric: self._protocol(metric, generator) for metric in self._metrics}
        same_path = {'checkpoint': str(generator.checkpoint.path)}  # it does not matter: the run may have moved
        results = {metric: [result for result in known
                            if result.metric == metric.name and result.protocol | same_path == protocol]
                   for metric, protocol in protocols.items()}
        missing = [metric for metric in self._metrics if not results[metric]]
        try:
            for metric, values in self._measured(missing, generator, position):
                results[metric] = [Result(metric.name, part, value, self._floor(metric).get(part), protocols[metric])
                                   for part, value in values.items()]
        except OSError as error:
            raise UserError(f'cannot write temporary files in {self._folder}: {reason_of(error)}; choose another '
                            'folder with --cache_dir') from error
        return [result for metric in self._metrics for result in results[metric]]

    def _measured(self, metrics, generator, position):
        """Yields each metric and its {part: value}."""
        if not metrics:
            return
        title = f'{{}} of {label_of(generator.checkpoint.path)}{position and f", {position}"}'
        faces = self._faces(generator, max(2 * metric.count if metric.kind == 'msssim' else metric.count
                                           for metric in metrics))
        count = _max_features(metrics)
        features = self._features(faces[:count], title.format('features')) if count else None
        for metric in metrics:
            if metric.kind == 'msssim':
                pairs = faces[:2 * metric.count].reshape(metric.count, 2, *faces.shape[1:])
                yield metric, {'': ms_ssim(pairs[:, 0], pairs[:, 1], title.format(metric.name))}
            else:
                yield metric, self._distance(metric, faces[:metric.count], features, title.format(metric.name))

    def _floor(self, metric):
        """Returns {part: floor} of a metric; {} if there are too few real images."""
        title, count = f'floor of {metric.name}', metric.count
        if metric.kind == 'msssim':  # pairs of an image of each half, all different
            first = np.arange(count) % self._half
            second = self._half + (first + np.arange(count) // self._half) % self._half
            return {'': ms_ssim(*(Rows(self._real_images.pack.images, self._order[half]) for half in (first, second)),
                                title)}
        if count > self._half:
            return {}
        features = self._real_features(1) if metric.kind in FEATURE_METRICS else None
        return self._distance(metric, self._real(1, count), features, title)

    def _distance(self, metric, images, features, title):
        """Returns {part: distance} of images and their features from as many real images of the first half."""
        if metric.kind == 'swd':
            real = self._real(0, metric.count)
            distances = sliced_wasserstein(real, images, self._seed, self._folder, title)
            return {str(part): distance for part, distance in distances.items()}
        real, features = self._real_features(0)[:metric.count], features[:metric.count]
        if metric.kind == 'fid':
            return {'': frechet_distance(feature_statistics(real), feature_statistics(features))}
        return {'': kernel_distance(real, features, seed=self._seed, title=title)}

    def _real(self, half, count):
        """Returns real images of half 0 or 1; those of the first half are followed by the others."""
        return Rows(self._real_images.pack.images, self._order[half * self._half:][:count])

    def _real_features(self, half):
        """Returns the features of the images of a half, from the cache file that all runs on these images share."""
        images = self._real(half, _max_features(self._metrics))
        name = (f'{safe_name(self._real_images.name)}-{self._real_images.pack.crc32:08x}-{("first", "second")[half]}-'
                f'{len(images)}-seed-{self._seed}-{self._inception.digest[:16]}.features')
        return cached_arrays(self._folder / name, name, lambda: {
            'features': self._features(images, 'features of real images')})['features']

    def _features(self, images, title):
        return np.concatenate(list(self._inception.features(images, title)))

    def _faces(self, generator, count):
        # Whole batches: with --batch_norm=batch, a face must not depend on what else is measured.
        whole = -(-count // generator.batch_size) * generator.batch_size
        seeds = self._seed + np.arange(whole, dtype=np.int64)
        return stored(generator.batches(seeds), (count, generator.size, generator.size, 3), np.uint8, self._folder)

    def _require_images(self, metric):
        name, count = self._real_images.name, len(self._order)
        pairs = self._half ** 2
        if metric.kind == 'msssim' and metric.count > pairs:
            raise UserError(f'{metric.name} needs {metric.count:,} different pairs of real images, but the {count:,} '
                            f'images of {name} give {pairs:,}; use --metrics={metric_name("msssim", pairs)}')
        if metric.kind != 'msssim' and metric.count > count:
            raise UserError(f'{metric.name} needs {metric.count:,} real images, but {name} holds {count:,}; use '
                            f'--metrics={metric_name(metric.kind, self._half)}, which also has a floor')

    def _protocol(self, metric, generator):
        checkpoint, real = generator.checkpoint, self._real_images
        graph = self._inception if metric.kind in FEATURE_METRICS else None
        return {
            'how': PROTOCOLS[metric.kind], 'generator_sha256': checkpoint.digest, 'samples': metric.count,
            'data': real.name, 'real_images': len(self._order), 'real_images_crc32': real.pack.crc32,
            'are_trained_on': real.are_trained_on, 'crop': real.crop, 'resizer': RESIZER,
            'size': generator.size, 'batch_norm': generator.batch_norm, 'batch_size': generator.batch_size,
            'weights': checkpoint.weights, 'seed': self._seed, 'checkpoint': str(checkpoint.path),
            'step': checkpoint.step,
            **({'inception_sha256': graph.digest, 'inception_is_known': graph.is_known} if graph else {})}


def _max_features(metrics):
    """Returns the number of images whose features some Metrics need."""
    return max((metric.count for metric in metrics if metric.kind in FEATURE_METRICS), default=0)


@contextlib.contextmanager
def open_evaluator(run, size, metrics, inception_graph, dataset_dir, cache_dir, seed=0):
    """Yields an Evaluator for the generators of a run.

    Args:
      run: run directory or exported generator (.npz), a Path.
      size: height and width of the images, in pixels.
      metrics: their names; None is the default ones.
      inception_graph: file of the graph; or None.
      dataset_dir, cache_dir: as ``open_real_images`` takes them.
      seed: as ``Evaluator`` takes it.

    Raises:
      UserError: the real images or the Inception graph cannot be used, there are too few images, or a metric is
        invalid or needs the graph.
    """
    metrics = None if metrics is None else parse_metrics(metrics)
    if _max_features(metrics or ()) and not inception_graph:
        raise UserError(f'fid and kid need --inception_graph={GRAPH_NAME}, from {GRAPH_SOURCE}')
    graph = Inception(inception_graph) if inception_graph else contextlib.nullcontext()
    with graph as inception:
        if inception and not inception.is_known:
            print(f'warning     {inception_graph} is not the {GRAPH_NAME} of published numbers, from {GRAPH_SOURCE}; '
                  'do not compare its fid and kid with them')
        real_images = open_real_images(run, size, dataset_dir, cache_dir)
        count = len(real_images.names)
        if count < MIN_IMAGES:
            raise UserError(f'{real_images.name} holds {counted(count, "image")}; metrics need at least {MIN_IMAGES}')
        metrics = metrics or default_metrics(count, bool(inception))
        yield Evaluator(real_images, metrics, seed, inception, cache_dir)
