"""Compares the images of a generator with real images; each result carries its protocol."""

import contextlib

import numpy as np

from data.crop import RESIZER
from dcgan.errors import UserError, reason_of
from dcgan.files import safe_name
from dcgan.metrics.disk_arrays import cached, stored
from dcgan.metrics.fid import feature_statistics, frechet_distance, kernel_distance
from dcgan.metrics.inception import GRAPH_NAME, GRAPH_SOURCE, Inception
from dcgan.metrics.ms_ssim import ms_ssim
from dcgan.metrics.protocols import FEATURE_METRICS, PROTOCOLS, default_metrics, metric_name, parse_metrics
from dcgan.metrics.real_split import RealSplit
from dcgan.metrics.results import Result
from dcgan.metrics.swd import MIN_SIZE, sliced_wasserstein
from dcgan.sampling.generator_checkpoint import label_of
from dcgan.sampling.real_images import open_real_images

MIN_IMAGES = 4  # real images, two in each half

class Evaluator:
    """Measures generators against the same real images by the same protocol."""

    def __init__(self, real_images, metrics, seed, inception, cache_dir):
        """Checks the number of images; computes nothing yet.

        Args:
          real_images: RealImages.
          metrics: list of Metrics.
          seed: of the first face, and of all random choices of the metrics.
          inception: an Inception if a metric needs features, else None.
          cache_dir: folder of temporary files and of the features of real images.

        Raises:
          UserError: there are too few real images, or they are too small.
        """
        self._real_images, self._metrics, self._seed, self._inception = real_images, metrics, seed, inception
        self._folder = cache_dir
        max_images = max((metric.count for metric in metrics if metric.kind != 'msssim'), default=0)
        self._max_features = max((metric.count for metric in metrics if metric.kind in FEATURE_METRICS), default=0)
        self._split = RealSplit(real_images.pack.images, max_images, seed, self._folder)
        self._floors, self._real_feature_cache = {}, {}
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
        results = {metric: [result for result in known if result.metric == metric.name
                            and _without_path(result.protocol) == _without_path(protocol)]
                   for metric, protocol in protocols.items()}
        missing = [metric for metric in self._metrics if not results[metric]]
        try:
            for metric, values in self._measured(missing, generator, position):
                if metric not in self._floors:
                    self._floors[metric] = self._floor(metric)
                results[metric] = [Result(metric.name, part, value, self._floors[metric].get(part), protocols[metric])
                                   for part, value in values.items()]
        except BrokenPipeError:  # an OSError of standard output, not of a file
            raise
        except OSError as error:
            raise UserError(f'cannot write temporary files in {self._folder}: {reason_of(error)}; choose another '
                            'folder with --cache_dir') from error
        return [result for metric in self._metrics for result in results[metric]]

    def _measured(self, metrics, generator, position):
        """Yields each metric and its {part: value}."""
        if not metrics:
            return
        title = f'{{}} of {_name(generator.checkpoint)}{position and f", {position}"}'
        faces = self._faces(generator, max(2 * metric.count if metric.kind == 'msssim' else metric.count
                                           for metric in metrics))
        feature_count = max((metric.count for metric in metrics if metric.kind in FEATURE_METRICS), default=0)
        features = self._features(faces[:feature_count], title.format('features')) if feature_count else None
        for metric in metrics:
            yield metric, self._values(metric, faces, features, title.format(metric.name))

    def _values(self, metric, images, features, title):
        """Returns {part: value} of images and their features, compared with the first real images."""
        count = metric.count
        if metric.kind == 'swd':
            distances = sliced_wasserstein(self._split.first[:count], images[:count], self._seed, self._folder, title)
            return {str(part): distance for part, distance in distances.items()}
        if metric.kind == 'msssim':
            return {'': ms_ssim(images[0:2 * count:2], images[1:2 * count:2], title)}
        real = self._real_features('first', self._split.first)[:count]
        if metric.kind == 'fid':
            return {'': frechet_distance(feature_statistics(real), feature_statistics(features[:count]))}
        return {'': kernel_distance(real, features[:count], seed=self._seed, title=title)}

    def _floor(self, metric):
        """Returns {part: floor} of a metric; {} if there are too few real images."""
        title = f'floor of {metric.name}'
        if metric.kind == 'msssim':
            return {'': ms_ssim(*self._split.pairs(metric.count), title)}
        if metric.count > self._split.half:
            return {}
        images = self._split.second
        features = self._real_features('second', images) if metric.kind in FEATURE_METRICS else None
        return self._values(metric, images, features, title)

    def _faces(self, generator, count):
        # Whole batches: with --batch_norm=batch, a face must not depend on what else is measured.
        whole = -(-count // generator.batch_size) * generator.batch_size
        seeds = self._seed + np.arange(whole, dtype=np.int64)
        return stored(generator.batches(seeds), (count, generator.size, generator.size, 3), np.uint8, self._folder)

    def _features(self, images, title):
        return stored(self._inception.features(images, title), (len(images), self._inception.dimensions), np.float32,
                      self._folder)

    def _real_features(self, half, images):
        """Returns the features of real images from the cache file that all runs on these images share."""
        if half not in self._real_feature_cache:  # verify the file's checksum only once
            images = images[:self._max_features]
            name = (f'{safe_name(self._real_images.name)}-{self._real_images.pack.crc32:08x}-{half}-{len(images)}-seed-'
                    f'{self._seed}-{self._inception.digest[:16]}.features')
            self._real_feature_cache[half] = cached(
                lambda: self._inception.features(images, 'features of real images'),
                (len(images), self._inception.dimensions), np.float32, self._folder / name)
        return self._real_feature_cache[half]

    def _require_images(self, metric):
        count, half, name = self._split.count, self._split.half, self._real_images.name
        size = self._real_images.pack.images.shape[1]
        pairs = metric_name('msssim', half * half)
        if metric.kind == 'swd' and size < MIN_SIZE:
            raise UserError(f'{metric.name} needs images of at least {MIN_SIZE}x{MIN_SIZE}, but these are '
                            f'{size}x{size}; use --metrics={pairs}')
        if metric.kind == 'msssim' and metric.count > half * half:
            raise UserError(f'{metric.name} needs {metric.count:,} different pairs of real images, but the {count:,} '
                            f'images of {name} give {half * half:,}; use --metrics={pairs}')
        if metric.kind != 'msssim' and metric.count > count:
            raise UserError(f'{metric.name} needs {metric.count:,} real images, but {name} holds {count:,}; use '
                            f'--metrics={metric_name(metric.kind, half)}, which also has a floor')

    def _protocol(self, metric, generator):
        checkpoint, real = generator.checkpoint, self._real_images
        graph = self._inception if metric.kind in FEATURE_METRICS else None
        return {
            'how': PROTOCOLS[metric.kind], 'generator_sha256': checkpoint.digest, 'samples': metric.count,
            'data': real.name, 'real_images': self._split.count, 'real_images_crc32': real.pack.crc32,
            'are_trained_on': real.are_trained_on, 'crop': real.crop, 'resizer': RESIZER,
            'size': generator.size, 'batch_norm': generator.batch_norm, 'batch_size': generator.batch_size,
            'weights': checkpoint.weights, 'seed': self._seed, 'checkpoint': str(checkpoint.path),
            'step': checkpoint.step,
            **({'inception_sha256': graph.digest, 'inception_is_known': graph.is_known} if graph else {})}


def _name(checkpoint):
    return label_of(checkpoint.path) if checkpoint.step is None else f'step {checkpoint.step}'


def _without_path(protocol):
    """Returns a protocol without the path of the checkpoint: the run may have moved."""
    return {name: value for name, value in protocol.items() if name != 'checkpoint'}


@contextlib.contextmanager
def open_evaluator(run, size, metrics, inception_graph, dataset_dir, cache_dir, seed=0):
    """Yields an Evaluator for the generators of a run.

    Args:
      run: run directory or exported generator (.npz), a Path.
      size: height and width of the images, in pixels.
      metrics: their names; None is the default ones. Without an Inception graph, only those that need none.
      inception_graph: file of the graph; or None.
      dataset_dir, cache_dir: as ``open_real_images`` takes them.
      seed: as ``Evaluator`` takes it.

    Raises:
      UserError: the real images or the Inception graph cannot be used, there are too few images, or a metric is
        invalid.
    """
    metrics = None if metrics is None else _without_features(parse_metrics(metrics), inception_graph)
    with contextlib.ExitStack() as stack:
        inception = inception_graph and stack.enter_context(Inception(inception_graph))
        if inception and not inception.is_known:
            print(f'warning     {inception_graph} is not the {GRAPH_NAME} of published numbers, from {GRAPH_SOURCE}; '
                  'do not compare its fid and kid with them')
        real_images = open_real_images(run, size, dataset_dir, cache_dir)
        if len(real_images.names) < MIN_IMAGES:
            raise UserError(f'{real_images.name} holds {len(real_images.names)} images; metrics need at least '
                            f'{MIN_IMAGES}')
        metrics = metrics or default_metrics(len(real_images.names), bool(inception))
        yield Evaluator(real_images, metrics, seed, inception, cache_dir)


def _without_features(metrics, inception_graph):
    others = [metric for metric in metrics if inception_graph or metric.kind not in FEATURE_METRICS]
    if len(others) < len(metrics):
        skipped = ', '.join(metric.name for metric in metrics if metric not in others)
        sentence = f'{skipped} not measured; use --inception_graph={GRAPH_NAME} from {GRAPH_SOURCE}'
        if not others:
            raise UserError(sentence)
        print(f'warning     {sentence}')
    return others
