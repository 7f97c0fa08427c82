"""Multi-scale structural similarity, by which ProGAN tells whether the images of a generator are all alike."""

import numpy as np
from tqdm import tqdm

WEIGHTS = np.array([0.0448, 0.2856, 0.3001, 0.2363, 0.1333])  # of the scales; Wang et al., whose sum is not quite 1
FILTER_SIZE, FILTER_SIGMA = 11, 1.5  # pixels
C1, C2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
AT_ONCE = 1 << 23  # bytes of images of either side: what bounds the memory


def ms_ssim(first, second):
    """Returns the mean multi-scale structural similarity of the pairs (first[i], second[i]): 1 where they are the same.

    It is that of Wang, Simoncelli and Bovik, "Multi-scale structural similarity for image quality assessment" (2003),
    as metrics/ms_ssim.py of ProGAN (Karras et al., 2018) computes it after msssim.py of tensorflow/models: 5 scales,
    a Gaussian window of 11x11 and sigma 1.5 that is reduced, sigma and all, where the image is smaller (at 64x64, to
    8 and 4 pixels at the last two scales), no padding, channels averaged, and per pair 0 for negative means. ProGAN
    takes 10,000 pairs of generated images. More than the value of real pairs means that the generated are less varied.

    Args:
      first: uint8 [n, s, s, 3].
      second: likewise, as many.

    Raises:
      ValueError: these are not such images.
    """
    for images in (first, second):
        if images.dtype != np.uint8 or images.ndim != 4 or images.shape[1] != images.shape[2] or images.shape[3] != 3:
            raise ValueError(f'images are uint8 [n, s, s, 3], not {images.dtype} {list(images.shape)}')
    if first.shape != second.shape or not len(first):
        raise ValueError(f'{list(first.shape)} and {list(second.shape)} are no pairs of images')
    at_once = max(1, AT_ONCE // (8 * first[0].size))
    total = 0.0
    with tqdm(desc='ms-ssim', total=len(first), unit=' pairs') as bar:
        for start in range(0, len(first), at_once):
            similarities = _similarities(*(images[start:start + at_once].transpose(0, 3, 1, 2).astype(np.float64)
                                           for images in (first, second)))
            total += similarities.sum()
            bar.update(len(similarities))
    return float(total / len(first))


def _similarities(first, second):
    """Returns the similarity of each pair, float64 [n], of float64 [n, 3, s, s] in [0, 255]."""
    product = np.ones(len(first))
    for scale, weight in enumerate(WEIGHTS):
        if scale:
            first, second = _half(first), _half(second)
        similarity, contrast = _scale(first, second)
        factor = similarity if scale == len(WEIGHTS) - 1 else contrast
        product *= np.maximum(factor, 0) ** weight
    return product


def _scale(first, second):
    """Returns structural similarity, and its factor of contrast and structure, of a scale: float64 [n] twice."""
    window = _windows(first.shape[-1])
    mean_1, mean_2, squares, products = (window @ values @ window.T for values in (
        first, second, np.square(first) + np.square(second), first * second))
    means_squared, means_multiplied = np.square(mean_1) + np.square(mean_2), mean_1 * mean_2
    contrast = (2 * (products - means_multiplied) + C2) / (squares - means_squared + C2)
    luminance = (2 * means_multiplied + C1) / (means_squared + C1)
    return (luminance * contrast).mean(axis=(1, 2, 3)), contrast.mean(axis=(1, 2, 3))


def _windows(size):
    """Returns the Gaussian window at each place where it lies within the image, float64 [places, size]."""
    width = min(FILTER_SIZE, size)
    gaussian = np.exp(-0.5 * np.square((np.arange(width) - (width - 1) / 2) / (width * FILTER_SIGMA / FILTER_SIZE)))
    padded = np.pad(gaussian / gaussian.sum(), [0, size - width])
    return np.stack([np.roll(padded, place) for place in range(size - width + 1)])


def _half(images):
    """Returns means of 2x2 pixels; what an odd size lacks is mirrored."""
    odd = images.shape[-1] % 2
    images = np.pad(images, [(0, 0), (0, 0), (0, odd), (0, odd)], mode='symmetric')
    return (images[..., ::2, ::2] + images[..., 1::2, ::2] + images[..., ::2, 1::2] + images[..., 1::2, 1::2]) / 4
