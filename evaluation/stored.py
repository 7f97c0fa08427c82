"""Arrays that lie on disk, so that memory does not grow with their number."""

import os
import struct
import tempfile
import zlib

import numpy as np

AT_ONCE = 512  # rows copied at a time
CHECKSUM = struct.Struct('<I')  # after the values of a file that is kept


def stored(parts, shape, dtype, folder):
    """Returns an array whose rows are those of parts, one after the other, memory-mapped and gone once it is not used.

    Args:
      parts: arrays [k, ...].
      shape: of the whole.
      dtype: of all.
      folder: where its file lies; it has no name, so nothing stays behind.

    Raises:
      OSError: there is no room.
    """
    with tempfile.TemporaryFile(dir=folder) as file:
        _write(file, parts, dtype)
        return np.memmap(file, dtype, 'r', shape=shape)


def picked(images, indices, folder):
    """Returns the rows ``indices`` of an array, as ``stored`` does."""
    parts = (images[indices[start:start + AT_ONCE]] for start in range(0, len(indices), AT_ONCE))
    return stored(parts, (len(indices), *images.shape[1:]), images.dtype, folder)


def kept(parts, shape, dtype, path):
    """Returns what ``stored`` does, from a file that stays, with its checksum; made where it is not there or damaged.

    Args:
      parts: gives them; not called where the file is as it was made.
      shape, dtype: as of ``stored``.
      path: of the file, a Path.

    Raises:
      OSError: there is no room.
    """
    if not _is_whole(path, np.dtype(dtype).itemsize * int(np.prod(shape))):
        part = path.with_name(f'{path.name}.{os.getpid()}.part')
        try:
            with part.open('w+b') as file:
                file.write(CHECKSUM.pack(_write(file, parts(), dtype)))
                file.flush()
                os.fsync(file.fileno())
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    return np.memmap(path, dtype, 'r', shape=shape)


def _write(file, parts, dtype):
    """Writes arrays; returns their checksum."""
    checksum = 0
    for part in parts:
        values = np.ascontiguousarray(part, dtype)
        file.write(values)
        checksum = zlib.crc32(values, checksum)
    file.flush()
    return checksum


def _is_whole(path, size):
    """Returns whether a file holds so many bytes, and their checksum after them."""
    if not path.exists():
        return False
    checksum, left = 0, size
    with path.open('rb') as file:
        while part := file.read(min(left, 1 << 24)):
            checksum, left = zlib.crc32(part, checksum), left - len(part)
        if not left and file.read() == CHECKSUM.pack(checksum):
            return True
    print(f'{path} is not as it was made, and is made anew')
    return False
