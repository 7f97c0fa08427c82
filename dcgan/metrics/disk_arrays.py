"""Memory-mapped arrays in files, so that memory does not grow with the number of rows."""

import os
import struct
import tempfile
import zlib

import numpy as np

from dcgan.files import replacing

CHUNK_ROWS = 512  # rows copied at once
CHECKSUM = struct.Struct('<I')  # CRC-32 after the values of a cached file


def stored(parts, shape, dtype, folder):
    """Writes arrays one after the other to a temporary file.

    Args:
      parts: arrays [k, ...].
      shape: shape of all parts together.
      dtype: dtype of the result.
      folder: where the file is. It has no name and disappears with the array.

    Returns:
      A read-only memory-mapped array.

    Raises:
      OSError: the disk is full, or the folder cannot be written.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        _write(file, parts, dtype)
        return np.memmap(file, dtype, 'r', shape=shape)


def stored_rows(images, indices, folder):
    """Returns the rows ``indices`` of an array as a temporary memory-mapped array; see ``stored``."""
    parts = (images[indices[start:start + CHUNK_ROWS]] for start in range(0, len(indices), CHUNK_ROWS))
    return stored(parts, (len(indices), *images.shape[1:]), images.dtype, folder)


def cached(parts, shape, dtype, path):
    """Returns a memory-mapped array from a cache file with a checksum; writes the file if it is missing or corrupt.

    Args:
      parts: function that returns the arrays; called only to write the file.
      shape, dtype: see ``stored``.
      path: the cache file, a Path.

    Raises:
      OSError: the disk is full, or the folder cannot be written.
    """
    if not _is_whole(path, np.dtype(dtype).itemsize * int(np.prod(shape))):
        with replacing(path) as part, part.open('wb') as file:
            file.write(CHECKSUM.pack(_write(file, parts(), dtype)))
            file.flush()
            os.fsync(file.fileno())
    return np.memmap(path, dtype, 'r', shape=shape)


def _write(file, parts, dtype):
    """Writes arrays; returns their CRC-32."""
    checksum = 0
    for part in parts:
        values = np.ascontiguousarray(part, dtype)
        file.write(values)
        checksum = zlib.crc32(values, checksum)
    file.flush()
    return checksum


def _is_whole(path, size):
    """Returns whether a file holds ``size`` bytes of values and their checksum."""
    if not path.exists():
        return False
    checksum, left = 0, size
    with path.open('rb') as file:
        while part := file.read(min(left, 1 << 24)):
            checksum, left = zlib.crc32(part, checksum), left - len(part)
        if not left and file.read() == CHECKSUM.pack(checksum):
            return True
    print(f'cache file {path} is corrupt; rebuilding it')
    return False
