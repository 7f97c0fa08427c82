"""Finds images in a .tar."""

import posixpath
import tarfile

from data.listing import SPECIAL, list_images


def open_tar(path):
    """Finds the images in an uncompressed .tar; same arguments and results as ``open_folder``.

    Raises:
      Exception: it is damaged or cannot be read.
    """
    files = []
    with tarfile.open(path, 'r:') as archive:
        while (entry := archive.next()) is not None:
            archive.members = []  # it would keep all
            if not entry.isdir():
                name = posixpath.normpath(entry.name.lstrip('/') or 'unnamed')
                is_file = entry.isreg() and not entry.issparse()
                files.append((name, None if is_file else SPECIAL, (entry.size, entry.mtime, entry.offset_data)))
    _require_end(path, archive.offset)
    places = {name: (size, offset) for name, reason, (size, _, offset) in files if not reason}

    def read(name, limit):
        size, offset = places[name]
        with open(path, 'rb', buffering=0) as file:
            file.seek(offset)
            content = file.read(min(size, limit))
        if len(content) < min(size, limit):
            raise EOFError('the archive ends before the file')
        return content

    return list_images(files, read)


def _require_end(path, offset):
    """Refuses an archive if not only zeros follow its last file: tarfile takes a damaged header for the end."""
    with open(path, 'rb') as file:
        file.seek(offset)
        if file.read(tarfile.BLOCKSIZE) != bytes(tarfile.BLOCKSIZE):
            raise tarfile.ReadError('no end mark')
        while chunk := file.read(1 << 20):
            if any(chunk):
                raise tarfile.ReadError('something behind the end mark')
