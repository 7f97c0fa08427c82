"""The sliced Wasserstein distance of ProGAN: compares the small patches of two sets of images."""

import contextlib
import tempfile
from concurrent.futures import ThreadPoolExecutor

import numpy as np

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
      ValueError: wrong shape or dtype.
      OSError: the disk is full, or the folder cannot be written.
    """
    _check(real, fake)
    sizes = _sizes(real.shape[1])
    distances = {}
    with Progress(title, len(sizes) * DIRECTIONS, 'directions') as bar:
        for size in sizes:
            distances[size] = 1000 * _distance(real, fake, size, size == sizes[-1], seed, scratch, bar)
    return {**distances, 'mean': float(np.mean(list(distances.values())))}


def _check(real, fake):
    for images in (real, fake):
        shape = images.shape
        if images.dtype != np.uint8 or len(shape) != 4 or shape[1] != shape[2] or shape[3] != 3 or shape[1] < MIN_SIZE:
            raise ValueError(f'expected images as uint8 [n, s, s, 3] with s at least {MIN_SIZE}, got {images.dtype} '
                             f'{list(shape)}')
    if real.shape != fake.shape or not len(real):
        raise ValueError(f'expected as many fake images as real ones, of the same size; got {len(real)} of '
                         f'{real.shape[1]} pixels and {len(fake)} of {fake.shape[1]}')


def _sizes(size):
    sizes = [size]
    while sizes[-1] % 2 == 0 and sizes[-1] // 2 >= MIN_SIZE:
        sizes.append(sizes[-1] // 2)
    return sizes


def _distance(real, fake, size, is_last, seed, scratch, bar):
    """Returns the distance between the descriptors of a level, averaged over the directions."""
    distances = []
    with contextlib.ExitStack() as stack:
        threads = stack.enter_context(ThreadPoolExecutor(2))  # one sorts real, one fake; NumPy releases the GIL
        files = [stack.enter_context(tempfile.TemporaryFile(dir=scratch)) for _ in range(4)]
        descriptors, projections = files[:2], files[2:]
        moments = [_write_descriptors(file, images, size, is_last, seed)
                   for file, images in zip(descriptors, (real, fake), strict=True)]
        for directions in np.split(_directions(seed, size), DIRECTIONS // DIRECTIONS_PER_PASS):
            for source, target, moment in zip(descriptors, projections, moments, strict=True):
                _project(source, target, len(real), directions, *moment)
            for row in range(len(directions)):
                first, second = threads.map(_sorted, projections, [row] * 2, [PATCHES_PER_IMAGE * len(real)] * 2)
                first -= second
                distances.append(np.abs(first, out=first).mean(dtype=np.float64))
                bar.update()
    return float(np.mean(distances))


def _directions(seed, size):
    """Returns random unit vectors, float64 [DIRECTIONS, DESCRIPTOR_SIZE]."""
    directions = np.random.RandomState([seed, size, 1]).randn(DIRECTIONS, DESCRIPTOR_SIZE)
    return directions / np.linalg.norm(directions, axis=1, keepdims=True)


def _write_descriptors(file, images, size, is_last, seed):
    """Writes float32 [n, PATCHES_PER_IMAGE, DESCRIPTOR_SIZE]; returns the channels' mean and deviation."""
    random = np.random.RandomState([seed, size, 0])
    counts, means, variances = [], [], []
    chunk = max(1, min(CHUNK_IMAGES, CHUNK_PIXELS // images.shape[1] ** 2))
    for start in range(0, len(images), chunk):
        level = _level(images[start:start + chunk], size, is_last)
        y, x = random.randint(0, size - PATCH_SIZE + 1, [len(level), PATCHES_PER_IMAGE, 2]).transpose(2, 0, 1)
        windows = np.lib.stride_tricks.sliding_window_view(level, [PATCH_SIZE, PATCH_SIZE], axis=(2, 3))
        patches = windows[np.arange(len(level))[:, np.newaxis], :, y, x]
        file.write(np.ascontiguousarray(patches))
        counts.append(len(patches))
        means.append(patches.mean(axis=(0, 1, 3, 4), dtype=np.float64))
        variances.append(patches.var(axis=(0, 1, 3, 4), dtype=np.float64))
    mean = np.average(means, axis=0, weights=counts)
    # The variance over all chunks: the variance within them plus the variance between them.
    return mean, np.sqrt(np.average(variances + np.square(means - mean), axis=0, weights=counts))


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


def _project(source, target, count, directions, mean, deviation):
    """Reads descriptors from a file and writes the projections of the normalized descriptors to another.

    Args:
      source: file of float32 [count, PATCHES_PER_IMAGE, DESCRIPTOR_SIZE].
      target: file for float32 [k, count * PATCHES_PER_IMAGE].
      count: number of images.
      directions: float64 [k, DESCRIPTOR_SIZE].
      mean, deviation: float64 [3], of the channels.
    """
    channel_size = PATCH_SIZE * PATCH_SIZE  # a descriptor holds one channel after the other
    weights = directions / np.repeat(np.where(deviation > 0, deviation, 1), channel_size)
    offsets = (weights @ np.repeat(mean, channel_size)).astype(np.float32)
    weights = weights.astype(np.float32).T
    source.seek(0)
    for start in range(0, count, CHUNK_IMAGES):
        read = min(CHUNK_IMAGES, count - start)
        descriptors = np.fromfile(source, np.float32, read * PATCHES_PER_IMAGE * DESCRIPTOR_SIZE)
        projections = np.ascontiguousarray((descriptors.reshape(-1, DESCRIPTOR_SIZE) @ weights - offsets).T)
        for row, values in enumerate(projections):
            target.seek(4 * PATCHES_PER_IMAGE * (row * count + start))
            target.write(values)
    target.flush()


def _sorted(file, row, count):
    """Returns a row of a file of float32 [k, count], sorted."""
    file.seek(4 * row * count)
    values = np.fromfile(file, np.float32, count)
    values.sort()
    return values
