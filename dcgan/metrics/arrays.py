"""Arrays of images that need not fit in memory: the metrics read slices of them."""

import tempfile

import numpy as np


class Rows:
    """Some rows of an array, read when a slice of them is asked for.

    Attributes:
      shape, dtype: as of an array.
    """

    def __init__(self, array, indices):
        """Reads nothing yet.

        Args:
          array: [n, ...], e.g. the images of a pack.
          indices: of the rows, int64 [k].
        """
        self._array, self._indices = array, indices
        self.shape, self.dtype = (len(indices), *array.shape[1:]), array.dtype

    def __len__(self):
        return len(self._indices)

    def __getitem__(self, part):
        return self._array[self._indices[part]]


def stored(parts, shape, dtype, folder):
    """Writes arrays one after the other to a temporary file.

    Args:
      parts: iterable of arrays [k, ...]; what exceeds ``shape`` is not used.
      shape: of all parts together.
      dtype: of the parts.
      folder: where the file is; None is the system's. It has no name and disappears with the array.

    Returns:
      A read-only memory-mapped array.

    Raises:
      OSError: the disk is full, or the folder cannot be written.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        for part in parts:
            file.write(np.ascontiguousarray(part))
        file.flush()
        return np.memmap(file, dtype, 'r', shape=shape)
