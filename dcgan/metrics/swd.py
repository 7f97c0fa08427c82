"""The sliced Wasserstein distance of ProGAN: compares the small patches of two sets of images."""

import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

from dcgan.metrics.arrays import stored
from dcgan.progress import Progress

MIN_SIZE = 16  # pixels, of the last level of the pyramid
PATCH_SIZE, PATCHES_PER_IMAGE = 7, 128
DIRECTIONS = 4 * 128  # ProGAN averages 4 repeats of 128, which is the same
DIRECTIONS_PER_PASS = 64  # projections in the temporary file at once
DESCRIPTOR_SIZE = 3 * PATCH_SIZE * PATCH_SIZE
CHUNK_IMAGES = 256  # images with descriptors in memory at once, 19 MB
CHUNK_PIXELS = CHUNK_IMAGES * 64 * 64  # of the images with pyramids in memory at once


def sliced_wasserstein(real, fake, seed=0, scratch=None, title='swd'):
    """Measures the sliced Wasserstein distance x 1000 at each level of the Laplacian pyramid.

    Karras et al., "Progressive Growing of GANs for Improved Quality, Stability, and Variation" (2018), section 5, and
    its code, metrics/sliced_wasserstein.py. The levels have s, s/2, s/4, ... pixels, as long as these are whole and 16
    or more. The last level is the reduced image; each other level is the difference from the next one, enlarged. Each
    level takes 128 random 7x7 patches of each image; each channel is normalized to mean 0 and standard deviation 1 over
    all patches of a set. The distance is the mean difference between the sorted projections of both sets, averaged
    over 512 random directions. ProGAN's sample size is 16,384.

    One difference: image i of both sets has its patches at the same random positions; ProGAN draws them separately.

    Temporary files hold descriptors and projections, 108 kB per image of each set. Memory is constant but for 1 kB per
    image.

    Args:
      real: uint8 [n, s, s, 3], s at least 16.
      fake: uint8, same shape.
      seed: of the patches and directions, 0 to 2**32 - 1.
      scratch: folder of the temporary files; None is the system's.
      title: of the progress bar.

    Returns:
      {s: distance, s/2: distance, ..., 'mean': their mean}, floats. A constant channel counts as 0.

    Raises:
      OSError: the disk is full, or the folder cannot be written.
    """
    sizes = _sizes(real.shape[1])
    distances = {}
    with Progress(title, len(sizes) * DIRECTIONS, 'directions') as bar:
        for size in sizes:
            distances[size] = 1000 * _distance(real, fake, size, size == sizes[-1], seed, scratch, bar)
    return {**distances, 'mean': float(np.mean(list(distances.values())))}


def _sizes(size):
    sizes = [size]
    while sizes[-1] % 2 == 0 and sizes[-1] // 2 >= MIN_SIZE:
        sizes.append(sizes[-1] // 2)
    return sizes


def _distance(real, fake, size, is_last, seed, scratch, bar):
    """Returns the distance between the descriptors of a level, averaged over the directions."""
    described = [_describe(images, size, is_last, seed, scratch) for images in (real, fake)]
    distances = []
    with ThreadPoolExecutor(2) as threads:  # one sorts real, one fake; NumPy releases the GIL
        for directions in np.split(_directions(seed, size), DIRECTIONS // DIRECTIONS_PER_PASS):
            projections = [_project(*of_images, directions, scratch) for of_images in described]
            for rows in zip(*projections, strict=True):
                first, second = threads.map(np.sort, rows)
                first -= second
                distances.append(np.abs(first, out=first).mean(dtype=np.float64))
                bar.update()
            del rows, projections  # and their files, before the next ones are written
    return float(np.mean(distances))


def _directions(seed, size):
    """Returns random unit vectors, float64 [DIRECTIONS, DESCRIPTOR_SIZE]."""
    directions = np.random.RandomState([seed, size, 1]).randn(DIRECTIONS, DESCRIPTOR_SIZE)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _describe(images, size, is_last, seed, scratch):
    """Describes the patches of a level.

    Returns:
      Descriptors, memory-mapped float32 [n * PATCHES_PER_IMAGE, DESCRIPTOR_SIZE], and their channels' mean and
      deviation, float64 [3].
    """
    counts, means, variances = [], [], []

    def patches():
        random = np.random.RandomState([seed, size, 0])
        chunk = max(1, min(CHUNK_IMAGES, CHUNK_PIXELS // images.shape[1] ** 2))
        for start in range(0, len(images), chunk):
            level = _level(images[start:start + chunk], size, is_last)
            y, x = random.randint(0, size - PATCH_SIZE + 1, [len(level), PATCHES_PER_IMAGE, 2]).transpose(2, 0, 1)
            windows = np.lib.stride_tricks.sliding_window_view(level, [PATCH_SIZE, PATCH_SIZE], axis=(2, 3))
            part = windows[np.arange(len(level))[:, np.newaxis], :, y, x]
            counts.append(len(part))
            means.append(part.mean(axis=(0, 1, 3, 4), dtype=np.float64))
            variances.append(part.var(axis=(0, 1, 3, 4), dtype=np.float64))
            yield part

    descriptors = stored(patches(), (len(images) * PATCHES_PER_IMAGE, DESCRIPTOR_SIZE), np.float32, scratch)
    mean = np.average(means, axis=0, weights=counts)
    # The variance over all chunks: the variance within them plus the variance between them.
    return descriptors, mean, np.sqrt(np.average(variances + np.square(means - mean), axis=0, weights=counts))


def _level(images, size, is_last):
    """Returns a level of the Laplacian pyramid, float32 [n, 3, size, size]; takes uint8 [n, s, s, 3]."""
    level = np.ascontiguousarray(images.transpose(0, 3, 1, 2), np.float32)
    while level.shape[-1] > size:
        level = _pyramid_down(level)
    return level if is_last else level - _pyramid_up(_pyramid_down(level))


def _pyramid_down(level):
    blur = _blur(level.shape[-1])[::2]
    return blur @ level @ blur.T


def _pyramid_up(level):
    blur = 2 * _blur(2 * level.shape[-1])[:, ::2]  # twice, as every other pixel of the enlarged image is 0
    return blur @ level @ blur.T


def _blur(size):
    """Returns the 5-tap binomial filter along an axis, mirrored at the borders, as a matrix float32 [size, size]."""
    mirrored = np.pad(np.eye(size, dtype=np.float32), [(2, 2), (0, 0)], mode='reflect')
    return sum(weight / 16 * mirrored[tap:tap + size] for tap, weight in enumerate([1, 4, 6, 4, 1]))


def _project(descriptors, mean, deviation, directions, scratch):
    """Projects normalized descriptors.

    Args:
      descriptors: float32 [n, DESCRIPTOR_SIZE].
      mean, deviation: float64 [3], of the channels.
      directions: float64 [k, DESCRIPTOR_SIZE].
      scratch: folder of a temporary file.

    Returns:
      Memory-mapped float32 [k, n].
    """
    channel_size = PATCH_SIZE * PATCH_SIZE  # a descriptor holds one channel after the other
    weights = directions / np.repeat(np.where(deviation > 0, deviation, 1), channel_size)
    offsets = (weights @ np.repeat(mean, channel_size)).astype(np.float32)
    weights = weights.astype(np.float32).T
    chunk, count = CHUNK_IMAGES * PATCHES_PER_IMAGE, len(descriptors)
    with tempfile.TemporaryFile(dir=scratch) as file:
        for start in range(0, count, chunk):
            projections = (descriptors[start:start + chunk] @ weights - offsets).T
            for row, values in enumerate(np.ascontiguousarray(projections)):
                file.seek(4 * (row * count + start))
                file.write(values)
        file.flush()
        return np.memmap(file, np.float32, 'r', shape=(len(directions), count))
