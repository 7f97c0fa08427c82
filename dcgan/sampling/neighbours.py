"""The training images nearest to a face, which show whether the generator memorized it."""

import numpy as np

from dcgan.progress import Progress

CHUNK = 1 << 24  # bytes of training images in memory at once


def nearest(faces, images, count):
    """Finds the images nearest to each face by Euclidean distance between pixels.

    Args:
      faces: uint8 [m, size, size, 3].
      images: uint8 [n, size, size, 3], e.g. those of a pack.
      count: images to find for each face; all, if there are fewer.

    Returns:
      Their indices, int64 [m, k], the nearest first, and their distances, float64 [m, k]: the root mean square
      difference, in gray levels (0 to 255).
    """
    faces = faces.reshape(len(faces), -1).astype(np.float64)  # sums of squares are exact
    found, squares = np.zeros([len(faces), 0], np.int64), np.zeros([len(faces), 0])
    chunk = max(1, CHUNK // (8 * faces.shape[1]))
    with Progress('comparing', len(images), 'images', delay=1) as bar:
        for start in range(0, len(images), chunk):
            part = images[start:start + chunk].reshape(-1, faces.shape[1]).astype(np.float64)
            distances = (np.square(faces).sum(axis=1)[:, np.newaxis] - 2 * faces @ part.T
                         + np.square(part).sum(axis=1))
            found = np.concatenate([found, np.broadcast_to(np.arange(start, start + len(part)), distances.shape)],
                                   axis=1)
            squares = np.concatenate([squares, distances], axis=1)
            order = np.argsort(squares, axis=1, kind='stable')[:, :count]
            found, squares = (np.take_along_axis(values, order, axis=1) for values in (found, squares))
            bar.update(len(part))
    return found, np.sqrt(squares / faces.shape[1])
