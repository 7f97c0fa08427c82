"""Real images in two disjoint halves: the first is compared with generated images and, for a floor, with the second."""

import functools

import numpy as np

from dcgan.metrics.disk_arrays import stored_rows


class RealSplit:
    """Real images, shuffled by a seed and split in two.

    Attributes:
      count: number of all images.
      half: number of images in a half.
    """

    def __init__(self, images, max_images, seed, folder):
        """Shuffles the images; copies none yet.

        Args:
          images: uint8 [n, size, size, 3].
          max_images: how many images a metric needs, at most.
          seed: of the shuffle, 0 to 2**32 - 1.
          folder: where temporary files are.
        """
        self.count = len(images)
        self.half = self.count // 2
        self._images, self._max_images, self._folder = images, max_images, folder
        self._order = np.random.RandomState(seed).permutation(self.count)  # NumPy keeps these streams frozen (NEP 19)

    @functools.cached_property
    def first(self):
        """The first ``max_images`` images: the first half, and some of the second if they are more than a half."""
        return stored_rows(self._images, self._order[:self._max_images], self._folder)

    @functools.cached_property
    def second(self):
        """``max_images`` images of the second half, or all of it."""
        return stored_rows(self._images, self._order[self.half:][:min(self._max_images, self.half)], self._folder)

    def pairs(self, count):
        """Returns ``count`` different pairs, at most half * half: [images of the first half, of the second]."""
        number = np.arange(count)
        first = number % self.half
        second = (first + number // self.half) % self.half
        return [stored_rows(self._images, self._order[indices], self._folder)
                for indices in (first, self.half + second)]
