"""Arrays that lie on disk, so that memory does not grow with their number."""

import tempfile

import numpy as np

AT_ONCE = 512  # rows copied at a time


def stored(parts, shape, dtype, folder):
    """Returns an array whose rows are those of parts, one after the other, memory-mapped and gone once it is not used.

    Args:
      parts: arrays [k, ...] of that dtype.
      shape: of the whole.
      dtype: of the whole.
      folder: where its file lies; it has no name, so nothing stays behind.

    Raises:
      OSError: there is no room.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        for part in parts:
            file.write(np.ascontiguousarray(part, dtype))
        file.flush()
        return np.memmap(file, dtype, 'r', shape=shape)


def picked(images, indices, folder):
    """Returns the rows ``indices`` of an array, as ``stored`` does."""
    parts = (images[indices[start:start + AT_ONCE]] for start in range(0, len(indices), AT_ONCE))
    return stored(parts, (len(indices), *images.shape[1:]), images.dtype, folder)
