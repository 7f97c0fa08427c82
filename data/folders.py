"""Finds images in a folder, at any depth."""

import heapq
import os
import stat

from data.formats import HIDDEN, is_hidden
from data.listing import PASSING, SPECIAL, UNREADABLE, list_images

RUN_FILES = ('config.json', 'reals.png', 'samples')  # what train.py leaves in every run directory

FOLDER = 'folder'
RUN = 'run directory'
BROKEN_LINK = 'broken link'
SEEN = 'link to a folder that is read already'


def open_folder(root):
    """Finds the images in a folder.

    Follows links, but reads no folder twice. Leaves out run directories, whose pictures a model drew.

    Args:
      root: a Path.

    Returns:
      As ``list_images``. Names are paths within the folder.

    Raises:
      OSError: the folder itself cannot be read, or its drive fails.
    """
    def read(name, limit):
        with open(os.path.join(root, name), 'rb', buffering=0) as file:  # takes a third of read_bytes()'s time
            return file.read(min(os.fstat(file.fileno()).st_size, limit))

    return list_images(_walk(root), read)


def is_run_directory(path):
    """Returns whether train.py made a folder, so that its pictures are a model's."""
    return all(os.path.exists(os.path.join(path, name)) for name in RUN_FILES)


def _walk(root):
    """Yields (name, reason to skip it or None, stamp) of the files in a folder, and of the folders that are skipped."""
    seen = set()
    # Links wait until all real folders are read, so that the name of an image does not depend on the links.
    folders = [(False, '')]  # (whether it is a link, path within the root)
    while folders:
        _, prefix = heapq.heappop(folders)
        path = os.path.join(root, prefix)
        try:
            status = os.stat(path)  # not all systems number files
            identity = (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)
            if identity in seen:
                yield prefix, SEEN, None
                continue
            seen.add(identity)
            if prefix and is_run_directory(path):
                yield prefix, RUN, None
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    reason, stamp = _look_at(entry)
                    if reason == FOLDER:
                        heapq.heappush(folders, (entry.is_symlink(), f'{prefix}{entry.name}/'))
                    else:
                        yield prefix + entry.name, reason, stamp
        except OSError as error:
            if not prefix or error.errno in PASSING:
                raise
            yield prefix, UNREADABLE, None


def _look_at(entry):
    """Returns ``FOLDER`` or why an entry of a folder is skipped, and None; or None and the stamp of a file."""
    if is_hidden(entry.name):
        return HIDDEN, None
    try:
        status = entry.stat()
    except OSError as error:
        if error.errno in PASSING:
            raise
        return BROKEN_LINK if entry.is_symlink() else UNREADABLE, None
    if getattr(status, 'st_file_attributes', 0) & (stat.FILE_ATTRIBUTE_HIDDEN | stat.FILE_ATTRIBUTE_SYSTEM):  # Windows
        return HIDDEN, None
    if stat.S_ISDIR(status.st_mode):
        return FOLDER, None
    if not stat.S_ISREG(status.st_mode):
        return SPECIAL, None
    if status.st_mode & 0o444 != 0o444 and not os.access(entry.path, os.R_OK):
        return UNREADABLE, None
    return None, (status.st_size, status.st_mtime_ns)
