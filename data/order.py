"""The order of the images: which of them form the batch of a step."""

import functools

import numpy as np


def steps_per_epoch(count, batch_size):
    """Returns the number of full batches in ``count`` images; an epoch leaves out the remainder."""
    return count // batch_size


def batch_indices(step, count, batch_size, seed):
    """Returns the indices of the images in the batch of a step. They depend on nothing but the arguments.

    The seed and the number of an epoch determine a permutation of all images; the epoch's batches are consecutive
    slices of it.

    Args:
      step: int, the number of the step, from 0.
      count: int, the number of images in the pack, at least ``batch_size``.
      batch_size: int, images per step.
      seed: int, 0 to 2**32 - 1.

    Returns:
      int64 [batch_size], each from 0 to ``count - 1``.
    """
    epoch, batch = divmod(int(step), steps_per_epoch(count, batch_size))
    return _permutation(seed, epoch, count)[batch * batch_size:(batch + 1) * batch_size]


def mirrored(step, count, batch_size, seed):
    """Returns which images of the batch of a step are mirrored, bool [batch_size]; same arguments as ``batch_indices``.

    The seed, the epoch and the image determine it.
    """
    epoch = int(step) // steps_per_epoch(count, batch_size)
    return _coins(seed, epoch, count)[batch_indices(step, count, batch_size, seed)]


@functools.lru_cache(maxsize=2)
def _coins(seed, epoch, count):
    return np.random.RandomState([seed, epoch, 1]).randint(0, 2, count).astype(bool)  # 1: not the stream of the order


@functools.lru_cache(maxsize=2)
def _permutation(seed, epoch, count):
    # RandomState, because NEP 19 freezes its streams: a resumed run keeps its order with any version of NumPy.
    return np.random.RandomState([seed, epoch]).permutation(count).astype(np.int64, copy=False)
