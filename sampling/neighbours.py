"""The nearest training images of a face, which show whether it was merely remembered."""

import numpy as np
from tqdm import tqdm

AT_ONCE = 1 << 24  # bytes of training images: what bounds the memory


def nearest(faces, images, count):
    """Finds the images that differ least from each face, pixel by pixel, by the Euclidean distance.

    Args:
      faces: uint8 [m, size, size, 3].
      images: uint8 [n, size, size, 3], such as a pack's.
      count: how many are found for each face; all, if there are fewer.

    Returns:
      Which they are, int64 [m, k], the nearest first, and their distances, float64 [m, k]: the root mean square of the
      differences, in grey levels from 0 to 255.
    """
    faces = faces.reshape(len(faces), -1).astype(np.float64)  # in which the sums of squares are exact
    found, squares = np.zeros([len(faces), 0], np.int64), np.zeros([len(faces), 0])
    at_once = max(1, AT_ONCE // (8 * faces.shape[1]))
    with tqdm(desc='comparing', total=len(images), unit=' images', delay=1) as bar:
        for start in range(0, len(images), at_once):
            part = images[start:start + at_once].reshape(-1, faces.shape[1]).astype(np.float64)
            distances = (np.square(faces).sum(axis=1)[:, np.newaxis] - 2 * faces @ part.T
                         + np.square(part).sum(axis=1))
            found = np.concatenate([found, np.broadcast_to(np.arange(start, start + len(part)), distances.shape)],
                                   axis=1)
            squares = np.concatenate([squares, distances], axis=1)
            order = np.argsort(squares, axis=1, kind='stable')[:, :count]
            found, squares = (np.take_along_axis(values, order, axis=1) for values in (found, squares))
            bar.update(len(part))
    return found, np.sqrt(squares / faces.shape[1])
