"""Finds images in a .tar."""

import functools
import posixpath
import tarfile

from data.archives import find_images
from data.folders import read_in_order
from dcgan.errors import UserError, reason_of


def open_tar(path):
    """Finds the images in an uncompressed .tar; same arguments and results as ``open_folder``.

    Raises:
      UserError: it is damaged or cannot be read.
    """
    members = []
    try:
        with tarfile.open(path, 'r:') as archive:
            while (entry := archive.next()) is not None:
                archive.members = []  # it would keep all
                name = posixpath.normpath(entry.name.lstrip('/') or 'unnamed') + '/' * entry.isdir()
                stamp = entry.size, entry.mtime, entry.offset_data
                members.append((name, entry.isreg() and not entry.issparse(), stamp))
            _require_end(path, archive.offset)
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    except UserError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise UserError(f'{path} is an incomplete or damaged .tar archive: {error}; download it again') from error

    def read(stamp, limit):
        size, _, offset = stamp
        with open(path, 'rb', buffering=0) as file:
            file.seek(offset)
            content = file.read(min(size, limit))
        if len(content) < min(size, limit):
            raise UserError('the archive ends before the file')
        return content

    files, skipped = find_images(members, read)
    return files, skipped, functools.partial(read_in_order, lambda name, limit: read(files[name], limit))


def _require_end(path, offset):
    """Refuses an archive whose end mark is not where its last header was read: tarfile takes damage for the end."""
    with open(path, 'rb') as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise UserError(f'{path} is an incomplete or damaged .tar archive: byte {offset:,} is neither a file nor '
                            'the end; download it again')
