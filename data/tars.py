"""Finds images in a .tar."""

import posixpath
import tarfile
from collections import defaultdict
from pathlib import PurePosixPath

from data.folders import MAX_BYTES, RUN, SPECIAL
from data.formats import HEAD_BYTES, HIDDEN, is_hidden, reason_to_skip
from data.zips import REPEATED, run_directories
from dcgan.errors import UserError, reason_of


def open_tar(path):
    """Finds the images in an uncompressed .tar; arguments and results as of ``open_folder``.

    Raises:
      UserError: it is damaged or cannot be read.
    """
    members, skipped, names = {}, defaultdict(list), []

    def read(name, limit=MAX_BYTES + 1):
        offset, size, _ = members[name]
        try:
            with open(path, 'rb', buffering=0) as file:
                file.seek(offset)
                content = file.read(min(size, limit))
        except OSError as error:
            raise UserError(f'cannot read the file: {reason_of(error)}') from error
        if len(content) > MAX_BYTES:
            raise UserError(f'the file has more than {MAX_BYTES:,} bytes, the limit')
        if len(content) < min(size, limit):
            raise UserError('the archive ends before the file')
        return content

    try:
        with tarfile.open(path, 'r:') as archive:
            while (member := archive.next()) is not None:
                archive.members = []  # it would keep all
                name = posixpath.normpath(member.name.lstrip('/') or 'unnamed')
                names.append(name)
                if member.isdir():
                    continue
                if any(map(is_hidden, name.split('/'))):
                    skipped[HIDDEN].append(name)
                    continue
                if not member.isreg() or member.issparse():
                    skipped[SPECIAL].append(name)
                    continue
                if name in members:  # the last one stays, as where it is unpacked
                    skipped[REPEATED].append(name)
                members[name] = member.offset_data, member.size, member.mtime
                reason = reason_to_skip(name, lambda name=name: read(name, HEAD_BYTES))
                if reason:
                    skipped[reason].append(name)
                    del members[name]
            _require_end(path, archive.offset)
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    except UserError:
        raise
    except Exception as error:  # a damaged archive can raise anything
        raise UserError(f'{path} is an incomplete or damaged .tar archive: {error}; download it again') from error
    for run in run_directories(names):
        skipped[RUN].append(f'{run}/')
        members = {name: place for name, place in members.items() if run not in PurePosixPath(name).parents}
    files = {name: (size, mtime, offset) for name, (offset, size, mtime) in members.items()}
    return files, dict(skipped), read


def _require_end(path, offset):
    """Refuses an archive whose end mark is not where its last header was read: tarfile takes damage for the end."""
    with open(path, 'rb') as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise UserError(f'{path} is an incomplete or damaged .tar archive: byte {offset:,} is neither a file nor '
                            'the end; download it again')
