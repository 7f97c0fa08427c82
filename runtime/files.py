"""Files that are never half-written."""

import contextlib
import os


def write_whole(path, content, sync=False):
    """Writes bytes beside a path and renames them into it, so that whoever reads it finds all or what was there before.

    Args:
      path: a Path.
      content: bytes.
      sync: whether that holds for a power cut, too, for some milliseconds more.

    Raises:
      OSError: it cannot be written; nothing is left of it.
    """
    part = path.with_name(f'{path.name}.{os.getpid()}.part')  # another process may be writing the same
    try:
        with part.open('wb') as file:
            file.write(content)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        part.replace(path)
    except BaseException:  # a signal, too
        with contextlib.suppress(OSError):  # where it could not even be made
            part.unlink()
        raise
