"""Holds the faces of a generator against real images, by metrics that each say how they were taken."""

import os
from pathlib import Path
from typing import NamedTuple

import numpy as np

from data.crop import RESIZER
from evaluation.halves import Halves
from evaluation.names import OF_FEATURES, name_of
from evaluation.stored import kept, stored
from metrics import feature_statistics, frechet_distance, kernel_distance, ms_ssim, sliced_wasserstein
from metrics.wasserstein import SMALLEST
from runtime.errors import RunError, reason_of

# What each metric is, as it stands beside the numbers.
PROTOCOLS = {
    'swd': 'sliced Wasserstein distance x 1000 after ProGAN (Karras et al., 2018): of each level of the Laplacian '
           'pyramid 128 patches of 7x7 an image, channels normalised, 4 times 128 directions',
    'msssim': 'mean multi-scale SSIM of pairs of faces, 5 scales, after ProGAN: 1 where all are alike; the floor is '
              'that of real pairs, an image of either half',
    'fid': "Frechet distance (Heusel et al., 2017) of the features of Inception's pool_3, as many real images as faces",
    'kid': "squared maximum mean discrepancy (Binkowski et al., 2018) of the features of Inception's pool_3: cubic "
           'kernel, unbiased, mean of 100 subsets of 1,000, or of all where they are fewer',
}


class Result(NamedTuple):
    """A number, and what it takes to compare it with another.

    Attributes:
      metric: its name, as swd16k.
      part: of swd, the level of the pyramid in pixels, or 'mean'; else ''.
      value: of the faces.
      floor: the same between two disjoint halves of the real images; None where they are too few for that.
      protocol: how it was taken, {name: value} as JSON has them.
    """

    metric: str
    part: str
    value: float
    floor: float | None
    protocol: dict


class Evaluator:
    """Measures generators against the same real images, in the same way."""

    def __init__(self, reals, metrics, seed, inception, cache_dir):
        """Asks for enough images; nothing is computed yet.

        Args:
          reals: a Reals.
          metrics: a list of Metrics.
          seed: the first face's; it also decides all that is drawn at random.
          inception: a metrics.Inception, where one of the metrics takes features; else None.
          cache_dir: where the features of real images are kept, and temporary files lie.

        Raises:
          RunError: there are too few real images.
        """
        self._reals, self._metrics, self._seed, self._inception = reals, metrics, seed, inception
        self._folder = Path(os.path.expanduser(cache_dir))
        most = max((metric.count for metric in metrics if metric.kind != 'msssim'), default=0)
        self._most_features = max((metric.count for metric in metrics if metric.kind in OF_FEATURES), default=0)
        self._halves = Halves(reals.pack.images, most, seed, self._folder)
        self._floors, self._of_reals = {}, {}
        for metric in metrics:
            self._require_images(metric)

    def measure(self, generator, known=()):
        """Returns the Results of a TrainedGenerator, in the order of the metrics; shows progress.

        Args:
          generator: the TrainedGenerator.
          known: Results of before; a metric with the same protocol among them is not measured again.

        Raises:
          RunError: there is no room for the temporary files.
        """
        protocols = {metric: self._protocol(metric, generator) for metric in self._metrics}
        results = {metric: [result for result in known if result.metric == metric.name
                            and _but_place(result.protocol) == _but_place(protocol)]
                   for metric, protocol in protocols.items()}
        missing = [metric for metric in self._metrics if not results[metric]]
        try:
            for metric, values in self._measured(missing, generator):
                if metric not in self._floors:
                    self._floors[metric] = self._floor(metric)
                results[metric] = [Result(metric.name, part, value, self._floors[metric].get(part), protocols[metric])
                                   for part, value in values.items()]
        except BrokenPipeError:  # nobody reads what is printed: no matter of files
            raise
        except OSError as error:
            raise RunError(f'temporary files cannot be written in {self._folder}: {reason_of(error)}; --cache_dir '
                           'names another folder') from error
        return [result for metric in self._metrics for result in results[metric]]

    def _measured(self, metrics, generator):
        """Yields metrics and their {part: value}."""
        if not metrics:
            return
        faces = self._faces(generator, max(2 * metric.count if metric.kind == 'msssim' else metric.count
                                           for metric in metrics))
        of_features = max((metric.count for metric in metrics if metric.kind in OF_FEATURES), default=0)
        features = self._features(faces[:of_features]) if of_features else None
        for metric in metrics:
            yield metric, self._values(metric, faces, features)

    def _values(self, metric, images, features):
        """Returns {part: value} of images and their features, held against the first real ones."""
        count = metric.count
        if metric.kind == 'swd':
            distances = sliced_wasserstein(self._halves.first[:count], images[:count], self._seed, self._folder)
            return {str(part): distance for part, distance in distances.items()}
        if metric.kind == 'msssim':
            return {'': ms_ssim(images[0:2 * count:2], images[1:2 * count:2])}
        real = self._real_features('first', self._halves.first)[:count]
        if metric.kind == 'fid':
            return {'': frechet_distance(feature_statistics(real), feature_statistics(features[:count]))}
        return {'': kernel_distance(real, features[:count], seed=self._seed)}

    def _floor(self, metric):
        """Returns {part: floor} of a metric, {} where there are too few real images."""
        if metric.kind == 'msssim':
            return {'': ms_ssim(*self._halves.pairs(metric.count))}
        if metric.count > self._halves.half:
            return {}
        images = self._halves.second
        features = self._real_features('second', images) if metric.kind in OF_FEATURES else None
        return self._values(metric, images, features)

    def _faces(self, generator, count):
        whole = -(-count // generator.batch_size) * generator.batch_size  # so that all batches are as large
        seeds = self._seed + np.arange(whole, dtype=np.int64)
        return stored(generator.batches(seeds), (count, generator.size, generator.size, 3), np.uint8, self._folder)

    def _features(self, images):
        return stored(self._inception.features(images), (len(images), self._inception.dimensions), np.float32,
                      self._folder)

    def _real_features(self, half, images):
        """Returns the features of real images; they are kept for whatever is measured against the same images."""
        if half not in self._of_reals:  # whose checksum is to be read once
            images = images[:self._most_features]
            name = (f'{self._reals.name}-{self._reals.pack.crc32:08x}-{half}-{len(images)}-seed-{self._seed}-'
                    f'{self._inception.digest[:16]}.features')
            self._of_reals[half] = kept(lambda: self._inception.features(images),
                                        (len(images), self._inception.dimensions), np.float32, self._folder / name)
        return self._of_reals[half]

    def _require_images(self, metric):
        there, half, name = self._halves.count, self._halves.half, self._reals.name
        size = self._reals.pack.images.shape[1]
        pairs = name_of('msssim', half * half)
        if metric.kind == 'swd' and size < SMALLEST:
            raise RunError(f'{metric.name} takes images of {SMALLEST}x{SMALLEST} or more, and these are {size}x{size}; '
                           f'--metrics={pairs} would do')
        if metric.kind == 'msssim' and metric.count > half * half:
            raise RunError(f'{metric.name} takes {metric.count:,} different pairs of real images, one of either half, '
                           f'and the {there:,} of {name} make {half * half:,}; --metrics={pairs} would do')
        if metric.kind != 'msssim' and metric.count > there:
            raise RunError(f'{metric.name} takes {metric.count:,} real images, and {name} holds {there:,}; '
                           f'--metrics={name_of(metric.kind, half)} would do, with a floor, too')

    def _protocol(self, metric, generator):
        trained = generator.trained
        graph = self._inception if metric.kind in OF_FEATURES else None
        return {
            'how': PROTOCOLS[metric.kind], 'generator_sha256': trained.digest, 'samples': metric.count,
            'data': self._reals.name, 'real_images': self._halves.count, 'real_images_crc32': self._reals.pack.crc32,
            'are_trained_on': self._reals.are_trained_on, 'crop': self._reals.crop, 'resizer': RESIZER,
            'size': generator.size, 'batch_norm': generator.batch_norm, 'batch_size': generator.batch_size,
            'weights': trained.kind, 'seed': self._seed, 'checkpoint': str(trained.path),
            'step': trained.step,
            **({'inception_sha256': graph.digest, 'inception_is_known': graph.is_known} if graph else {})}


def _but_place(protocol):
    """Returns a protocol without the path of the checkpoint, whose run may have been moved."""
    return {name: value for name, value in protocol.items() if name != 'checkpoint'}
