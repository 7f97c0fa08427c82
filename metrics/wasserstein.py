"""The sliced Wasserstein distance of ProGAN: how far the small structures of two sets of images are from each other."""

import contextlib
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np
from tqdm import tqdm

SMALLEST = 16  # pixels, of the last level of the pyramid
PATCH, PATCHES = 7, 128  # pixels of a side, number an image
DIRECTIONS = 4 * 128  # ProGAN's 4 repeats of 128, whose means average alike
PROJECTED_AT_ONCE = 64  # directions whose projections lie in the temporary file
VALUES = 3 * PATCH * PATCH  # of a descriptor
AT_ONCE = 256  # images whose descriptors are in memory, 19 MB
PIXELS = AT_ONCE * 64 * 64  # of the images whose pyramids are


def sliced_wasserstein(real, fake, seed=0, scratch=None):
    """Measures the sliced Wasserstein distance x 1000 at each level of the Laplacian pyramid.

    The protocol is that of Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation"
    (2018), section 5 and its published metrics/sliced_wasserstein.py. The levels are those of s, s/2, s/4 ... pixels,
    down to the last that is whole and 16 or more; the last is the image so reduced, the others what the next lacks. At
    each, 128 patches of 7x7 are taken of every image, where chance puts them; over all patches of a set each channel
    is brought to mean 0 and standard deviation 1. The distance is the mean, over 512 random directions, of the mean
    difference between the sorted projections of both sets. ProGAN's sample size is 16,384.

    One thing is fixed here that is left to chance there: image i of both sets is cut at the same places.

    Descriptors and projections are written to temporary files, 108 kB an image of either set, and what is in memory is
    a constant and 1 kB an image.

    Args:
      real: uint8 [n, s, s, 3], s at least 16.
      fake: likewise, as many.
      seed: decides the places and the directions, and nothing else does; from 0 to 2**32 - 1.
      scratch: the folder of the temporary files; None is the system's.

    Returns:
      {s: distance, s/2: distance, ..., 'mean': their mean}, floats. A channel that is the same everywhere counts as 0.

    Raises:
      ValueError: these are not such images.
      OSError: there is no room for the temporary files.
    """
    _check(real, fake)
    sizes = _sizes(real.shape[1])
    distances = {}
    with tqdm(desc='swd', total=len(sizes) * DIRECTIONS, unit=' directions') as bar:
        for size in sizes:
            distances[size] = 1000 * _distance(real, fake, size, size == sizes[-1], seed, scratch, bar)
    return {**distances, 'mean': float(np.mean(list(distances.values())))}


def _check(real, fake):
    for images in (real, fake):
        shape = images.shape
        if images.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or shape[1] < SMALLEST:
            raise ValueError(f'images are uint8 [n, s, s, 3] with s at least {SMALLEST}, not {images.dtype} '
                             f'{list(shape)}')
    if real.shape != fake.shape or not len(real):
        raise ValueError(f'{len(real)} images of {real.shape[1]} pixels cannot be held against {len(fake)} of '
                         f'{fake.shape[1]}: there are to be as many, of the same size')


def _sizes(size):
    sizes = [size]
    while sizes[-1] % 2 == 0 and sizes[-1] // 2 >= SMALLEST:
        sizes.append(sizes[-1] // 2)
    return sizes


def _distance(real, fake, size, is_last, seed, scratch, bar):
    """Returns the mean, over the directions, of the distances between the descriptors of a level."""
    distances = []
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(2))  # one sorts real, one fake: NumPy lets them
        files = [stack.enter_context(tempfile.TemporaryFile(dir=scratch)) for _ in range(4)]
        descriptors, projections = files[:2], files[2:]
        moments = [_write_descriptors(file, images, size, is_last, seed)
                   for file, images in zip(descriptors, (real, fake), strict=True)]
        for directions in np.split(_directions(seed, size), DIRECTIONS // PROJECTED_AT_ONCE):
            for source, target, of_set in zip(descriptors, projections, moments, strict=True):
                _project(source, target, len(real), directions, *of_set)
            for line in range(len(directions)):
                first, second = threads.map(_sorted, projections, [line] * 2, [PATCHES * len(real)] * 2)
                first -= second
                distances.append(np.abs(first, out=first).mean(dtype=np.float64))
                bar.update()
    return float(np.mean(distances))


def _directions(seed, size):
    """Returns random unit vectors, float64 [DIRECTIONS, VALUES]."""
    directions = np.random.RandomState([seed, size, 1]).randn(DIRECTIONS, VALUES)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _write_descriptors(file, images, size, is_last, seed):
    """Writes float32 [n, PATCHES, VALUES]; returns mean and standard deviation of each channel, float64 [3] twice."""
    random = np.random.RandomState([seed, size, 0])
    counts, means, variances = [], [], []
    at_once = max(1, min(AT_ONCE, PIXELS // images.shape[1] ** 2))
    for start in range(0, len(images), at_once):
        level = _level(images[start:start + at_once], size, is_last)
        y, x = random.randint(0, size - PATCH + 1, [len(level), PATCHES, 2]).transpose(2, 0, 1)
        windows = np.lib.stride_tricks.sliding_window_view(level, [PATCH, PATCH], axis=(2, 3))
        patches = windows[np.arange(len(level))[:, np.newaxis], :, y, x]
        file.write(np.ascontiguousarray(patches))
        counts.append(len(patches))
        means.append(patches.mean(axis=(0, 1, 3, 4), dtype=np.float64))
        variances.append(patches.var(axis=(0, 1, 3, 4), dtype=np.float64))
    mean = np.average(means, axis=0, weights=counts)
    # The variance over all chunks: that within them, and that between them.
    return mean, np.sqrt(np.average(variances + np.square(means - mean), axis=0, weights=counts))


def _level(images, size, is_last):
    """Returns a level of the Laplacian pyramid of uint8 [n, s, s, 3], as float32 [n, 3, size, size]."""
    level = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    while level.shape[-1] > size:
        level = _pyramid_down(level)
    return level if is_last else level - _pyramid_up(_pyramid_down(level))


def _pyramid_down(level):
    blur = _blur(level.shape[-1])[::2]
    return blur @ level @ blur.T


def _pyramid_up(level):
    blur = 2 * _blur(2 * level.shape[-1])[:, ::2]  # of what is 0 at every other pixel
    return blur @ level @ blur.T


def _blur(size):
    """Returns the binomial filter of 5 taps along an axis, mirrored at the borders, as a float32 [size, size]."""
    mirrored = np.pad(np.eye(size, dtype=np.float32), [(2, 2), (0, 0)], mode='reflect')
    return sum(weight / 16 * mirrored[tap:tap + size] for tap, weight in enumerate([1, 4, 6, 4, 1]))


def _project(source, target, count, directions, mean, deviation):
    """Reads a file of descriptors, and writes the projections of what they are when normalised.

    Args:
      source: a file of float32 [count, PATCHES, VALUES].
      target: a file, where float32 [k, count * PATCHES] is written.
      count: the images.
      directions: float64 [k, VALUES].
      mean, deviation: float64 [3], of the channels of the descriptors.
    """
    per_value = PATCH * PATCH  # the channel is the slowest of a descriptor's dimensions
    weights = directions / np.repeat(np.where(deviation > 0, deviation, 1), per_value)
    offsets = (weights @ np.repeat(mean, per_value)).astype(np.float32)
    weights = weights.astype(np.float32).T
    source.seek(0)
    for start in range(0, count, AT_ONCE):
        read = min(AT_ONCE, count - start)
        descriptors = np.fromfile(source, np.float32, read * PATCHES * VALUES).reshape(-1, VALUES)
        projections = np.ascontiguousarray((descriptors @ weights - offsets).T)
        for line, values in enumerate(projections):
            target.seek(4 * PATCHES * (line * count + start))
            target.write(values)
    target.flush()


def _sorted(file, line, count):
    """Returns a line of a file of float32 [k, count], sorted."""
    file.seek(4 * line * count)
    values = np.fromfile(file, np.float32, count)
    values.sort()
    return values
