"""Multi-scale structural similarity, which ProGAN uses to measure how varied generated images are."""

import math

import numpy as np

from dcgan.progress import Progress

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # of the scales, from Wang et al.; their sum is 1.0001
FILTER_SIZE, FILTER_SIGMA = 11, 1.5  # pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
CHUNK_BYTES = 1 << 23  # float64 images of either side in memory at once


def ms_ssim(first, second, title='msssim'):
    """Returns the mean multi-scale structural similarity of the pairs (first[i], second[i]); 1 if they are equal.

    Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment" (2003), as ProGAN
    computes it (Karras et al., 2018; metrics/ms_ssim.py, from msssim.py of tensorflow/models): 5 scales, no padding,
    channels averaged, and negative means of a pair clipped to 0. The Gaussian window is 11x11 with sigma 1.5; both
    shrink with a smaller image, to 8 and 4 pixels at the last two scales of 64x64. ProGAN takes 10,000 pairs of
    generated images. A value above that of real pairs means that the generated images are less varied.

    Args:
      first: uint8 [n, s, s, 3].
      second: uint8, same shape.
      title: of the progress bar.
    """
    chunk = max(1, CHUNK_BYTES // (8 * math.prod(first.shape[1:])))
    total = 0.0
    with Progress(title, len(first), 'pairs') as bar:
        for start in range(0, len(first), chunk):
            similarities = _similarities(*(images[start:start + chunk].transpose(0, 3, 1, 2).astype(np.float64)
                                           for images in (first, second)))
            total += similarities.sum()
            bar.update(len(similarities))
    return float(total / len(first))


def _similarities(first, second):
    """Returns the similarity of each pair, float64 [n]; takes two float64 [n, 3, s, s] in [0, 255]."""
    product = np.ones(len(first))
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            first, second = _half(first), _half(second)
        similarity, contrast = _scale(first, second)
        factor = similarity if scale == len(WEIGHTS) - 1 else contrast
        product *= np.maximum(factor, 0) ** weight
    return product


def _scale(first, second):
    """Returns of one scale the structural similarity and its contrast-structure factor, two float64 [n]."""
    window = _windows(first.shape[-1])
    mean_1, mean_2, squares, products = (window @ values @ window.T for values in (
        first, second, np.square(first) + np.square(second), first * second))
    means_squared, means_multiplied = np.square(mean_1) + np.square(mean_2), mean_1 * mean_2
    contrast = (2 * (products - means_multiplied) + C2) / (squares - means_squared + C2)
    luminance = (2 * means_multiplied + C1) / (means_squared + C1)
    return (luminance * contrast).mean(axis=(1, 2, 3)), contrast.mean(axis=(1, 2, 3))


def _windows(size):
    """Returns the Gaussian window at each position inside the image, float64 [positions, size]."""
    width = min(FILTER_SIZE, size)
    gaussian = np.exp(-0.5 * np.square((np.arange(width) - (width - 1) / 2) / (width * FILTER_SIGMA / FILTER_SIZE)))
    padded = np.pad(gaussian / gaussian.sum(), [0, size - width])
    return np.stack([np.roll(padded, position) for position in range(size - width + 1)])


def _half(images):
    """Returns means of 2x2 pixels; an odd size is mirrored at its end."""
    odd = images.shape[-1] % 2
    images = np.pad(images, [(0, 0), (0, 0), (0, odd), (0, odd)], mode='symmetric')
    return (images[..., ::2, ::2] + images[..., 1::2, ::2] + images[..., ::2, 1::2] + images[..., 1::2, 1::2]) / 4
