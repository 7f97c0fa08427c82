"""The training images nearest to a face, which show whether the generator memorized it."""

import numpy as np

from dcgan.progress import Progress

CHUNK, BLOCK = 1024, 16  # images at once; those that the processor's cache holds


def nearest(faces, images, count):
    """Finds the images nearest to each face by Euclidean distance between pixels.

    Args:
      faces: uint8 [m, size, size, 3].
      images: uint8 [n, size, size, 3], e.g. those of a pack.
      count: images to find for each face; all, if there are fewer.

    Returns:
      Their indices, int64 [m, k], the nearest first, and their distances, float32 [m, k]: the root mean square
      difference, in gray levels (0 to 255).
    """
    faces = faces.reshape(len(faces), -1).astype(np.float32)
    found, squares = np.zeros([len(faces), 0], np.int64), np.zeros([len(faces), 0], np.float32)
    with Progress('comparing', len(images), 'images', delay=1) as bar:
        for start in range(0, len(images), CHUNK):
            part = images[start:start + CHUNK].reshape(-1, faces.shape[1])
            distances = np.concatenate([_squares(faces, part[block:block + BLOCK].astype(np.float32))
                                        for block in range(0, len(part), BLOCK)], axis=1)
            found = np.concatenate([found, np.broadcast_to(np.arange(start, start + len(part)), distances.shape)],
                                   axis=1)
            squares = np.concatenate([squares, distances], axis=1)
            order = np.argsort(squares, axis=1, kind='stable')[:, :count]
            found, squares = (np.take_along_axis(values, order, axis=1) for values in (found, squares))
            bar.update(len(part))
    return found, np.sqrt(squares / faces.shape[1])


def _squares(faces, images):
    """Returns the squared distance of each face to each image; on processors, faster than by a matrix product."""
    differences = (images - face for face in faces)
    return np.stack([np.einsum('ij,ij->i', difference, difference) for difference in differences])
