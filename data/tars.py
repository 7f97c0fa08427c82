"""Finds images in a .tar."""

import functools
import posixpath
import tarfile
from typing import NamedTuple

from data.archives import find_images
from dcgan.errors import UserError, reason_of


class Member(NamedTuple):
    """A member of a .tar: whether it is a regular file, and its place and size in the archive, in bytes."""

    is_regular: bool
    offset: int
    size: int
    mtime: float


def open_tar(path):
    """Finds the images in an uncompressed .tar; same arguments and results as ``open_folder``.

    Raises:
      UserError: it is damaged or cannot be read.
    """
    entries = []
    try:
        with tarfile.open(path, 'r:') as archive:
            while (entry := archive.next()) is not None:
                archive.members = []  # it would keep all
                name = posixpath.normpath(entry.name.lstrip('/') or 'unnamed') + '/' * entry.isdir()
                entries.append((name, Member(entry.isreg() and not entry.issparse(), entry.offset_data, entry.size,
                                             entry.mtime)))
            _require_end(path, archive.offset)
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    except UserError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise UserError(f'{path} is an incomplete or damaged .tar archive: {error}; download it again') from error
    members, skipped, read = find_images(entries, lambda member: member.is_regular, functools.partial(_read, path))
    files = {name: (member.size, member.mtime, member.offset) for name, member in members.items()}
    return files, skipped, read


def _read(path, member, limit):
    """Returns the first bytes of a Member."""
    length = min(member.size, limit)
    try:
        with open(path, 'rb', buffering=0) as file:
            file.seek(member.offset)
            content = file.read(length)
    except OSError as error:
        raise UserError(f'cannot read the file: {reason_of(error)}') from error
    if len(content) < length:
        raise UserError('the archive ends before the file')
    return content


def _require_end(path, offset):
    """Refuses an archive whose end mark is not where its last header was read: tarfile takes damage for the end."""
    with open(path, 'rb') as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise UserError(f'{path} is an incomplete or damaged .tar archive: byte {offset:,} is neither a file nor '
                            'the end; download it again')
