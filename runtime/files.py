"""Files that are never half-written, and what is said where they cannot be written."""

import contextlib
import os

from runtime.errors import RunError, reason_of


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


def make_folder(path, flag):
    """Makes the folder of a file that a flag names, before hours are spent on what goes into it.

    Args:
      path: of the file, a Path.
      flag: as ``write_output``.

    Raises:
      RunError: no file of that name can be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise cannot_be_written(path, flag, error) from error
    if path.is_dir() or not os.access(path.parent, os.W_OK):
        raise cannot_be_written(path, flag, 'it is a folder' if path.is_dir() else f'{path.parent} is read-only')


def write_output(path, content, flag):
    """Writes bytes into a file that a flag names, and makes its folder.

    Args:
      path: of the file, a Path.
      content: bytes.
      flag: the name of the flag.

    Raises:
      RunError: it cannot be written.
    """
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        write_whole(path, content)
    except OSError as error:
        raise cannot_be_written(path, flag, error) from error


def cannot_be_written(path, flag, why):
    """Returns the RunError of a file that a flag names; ``why`` is in words, or what was raised."""
    if os.path.isfile(path.parent):
        why = f'{path.parent} is a file'
    elif isinstance(why, Exception):
        why = reason_of(why)
    return RunError(f'{path} cannot be written: {why}; --{flag} names another place')
