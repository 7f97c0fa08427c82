"""Real images in two halves: what faces are held against, and what shows how near to it real images come."""

import functools

import numpy as np

from evaluation.stored import picked


class Halves:
    """Real images, shuffled by a seed and split.

    Attributes:
      count: images in all.
      half: images of a half.
    """

    def __init__(self, images, most, seed, folder):
        """Takes uint8 [n, size, size, 3], how many are wanted at the most, the seed, a folder for temporary files."""
        self.count = len(images)
        self.half = self.count // 2
        self._images, self._most, self._folder = images, most, folder
        self._order = np.random.RandomState(seed).permutation(self.count)  # its streams are frozen for good (NEP 19)

    @functools.cached_property
    def first(self):
        """The images that faces are held against, as many as are wanted: the first half, and beyond it if need be."""
        return picked(self._images, self._order[:self._most], self._folder)

    @functools.cached_property
    def second(self):
        """As many images of the second half, if that has them."""
        return picked(self._images, self._order[self.half:][:min(self._most, self.half)], self._folder)

    def pairs(self, count):
        """Returns so many different pairs of an image of either half, ``half`` squared at most, as two arrays."""
        number = np.arange(count)
        first = number % self.half
        second = (first + number // self.half) % self.half
        return [picked(self._images, self._order[indices], self._folder) for indices in (first, self.half + second)]
