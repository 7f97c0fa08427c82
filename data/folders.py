"""Finds images in a folder, at any depth."""

import functools
import heapq
import os
import stat
from collections import defaultdict

from data.formats import HEAD_BYTES, HIDDEN, is_hidden, reason_to_skip
from dcgan.errors import UserError, reason_of

MAX_BYTES = 1 << 28  # 256 MiB, of a file or of what it unpacks to
RUN_FILES = ('config.json', 'reals.png', 'samples')  # what train.py leaves in every run directory

RUN = 'run directory'
BROKEN_LINK = 'broken link'
SEEN = 'link to a folder that is read already'
UNREADABLE = 'unreadable'
SPECIAL = 'neither file nor folder'


def open_folder(root):
    """Finds the images in a folder.

    Follows links, but reads no folder twice. Leaves out run directories, whose pictures a model drew.

    Args:
      root: a Path.

    Returns:
      The stamps of the images, {name: stamp}; what was skipped, {reason: [name]}; a function that takes the sorted
      names and yields (name, content) of each, see ``read_in_order``. Names are paths within the folder, with forward
      slashes.

    Raises:
      UserError: the folder itself cannot be read.
    """
    files, skipped = {}, defaultdict(list)
    seen = set()
    # Links wait until all real folders are read, so that the name of an image does not depend on the links.
    folders, links = [''], []
    while folders or links:
        prefix = folders.pop() if folders else heapq.heappop(links)
        path = os.path.join(root, prefix)
        try:
            identity = _identity(path)
            if identity in seen:
                skipped[SEEN].append(prefix)
                continue
            seen.add(identity)
            if prefix and is_run_directory(path):
                skipped[RUN].append(prefix)
                continue
            with os.scandir(path) as entries:
                for entry in entries:
                    _sort_in(entry, prefix + entry.name, files, skipped, folders, links)
        except OSError as error:
            if not prefix:
                raise UserError(f'cannot read {path}: {reason_of(error)}') from error
            skipped[UNREADABLE].append(prefix)

    def read(name, limit):
        with open(os.path.join(root, name), 'rb', buffering=0) as file:  # takes a third of read_bytes()'s time
            return file.read(min(os.fstat(file.fileno()).st_size, limit))

    return files, dict(skipped), functools.partial(read_in_order, read)


def read_in_order(read, names):
    """Yields (name, content) of each name: bytes, or a UserError that says why they cannot be read.

    Args:
      read: function (name, limit) that returns at most the first ``limit`` bytes; may raise UserError or OSError.
      names: the names of the images.
    """
    for name in names:
        try:
            content = read(name, MAX_BYTES + 1)
            if len(content) > MAX_BYTES:
                content = UserError(f'the file has more than {MAX_BYTES:,} bytes, the limit')
        except UserError as error:
            content = error
        except OSError as error:
            content = UserError(f'cannot read the file: {reason_of(error)}')
        yield name, content


def is_run_directory(path):
    """Returns whether train.py made a folder, so that its pictures are a model's."""
    return all(os.path.exists(os.path.join(path, name)) for name in RUN_FILES)


def _identity(path):
    """Returns a value that is equal for two paths of the same folder."""
    status = os.stat(path)
    return (status.st_dev, status.st_ino) if status.st_ino else os.path.realpath(path)  # not all systems number files


def _sort_in(entry, name, files, skipped, folders, links):
    """Adds an entry of a folder to the files, to what is skipped, or to the folders that are left to read."""
    try:
        if is_hidden(entry.name) or _has_hidden_attribute(entry):
            skipped[HIDDEN].append(name)
        elif entry.is_dir():
            if entry.is_symlink():
                heapq.heappush(links, name + '/')
            else:
                folders.append(name + '/')
        elif entry.is_file():
            status = entry.stat()
            if status.st_mode & 0o444 != 0o444 and not os.access(entry.path, os.R_OK):
                skipped[UNREADABLE].append(name)
            elif reason := reason_to_skip(entry.name, lambda: _head(entry.path) if status.st_size else b''):
                skipped[reason].append(name)
            else:
                files[name] = status.st_size, status.st_mtime_ns
        else:
            skipped[BROKEN_LINK if entry.is_symlink() and not os.path.exists(entry.path) else SPECIAL].append(name)
    except OSError:
        skipped[BROKEN_LINK if entry.is_symlink() else UNREADABLE].append(name)


def _has_hidden_attribute(entry):
    if os.name != 'nt':
        return False
    attributes = entry.stat(follow_symlinks=False).st_file_attributes
    return bool(attributes & (stat.FILE_ATTRIBUTE_HIDDEN | stat.FILE_ATTRIBUTE_SYSTEM))


def _head(path):
    with open(path, 'rb', buffering=0) as file:
        return file.read(HEAD_BYTES)
