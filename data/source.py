"""Where images come from: a folder, a .zip, or the embedded faces."""

import os
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from data.errors import DataError

EMBEDDED = Path(__file__).with_name('demo_faces.zip')
SUFFIXES = ('.jpg', '.jpeg', '.png')


class Source(NamedTuple):
    """Images not yet decoded, in the order of their names.

    Attributes:
      name: of the data set: its folder's or archive's, without the suffix.
      names: paths within the source, with forward slashes, sorted.
      stamps: size in bytes and time of change of each, to notice that a file is another one.
      read: gives the bytes of the image of that name, from several threads too; raises DataError where it cannot.
    """

    name: str
    names: list[str]
    stamps: list[tuple]
    read: Callable[[str], bytes]


def open_source(path=None):
    """Finds the images (.jpg, .jpeg, .png, in any letter case) of a folder, at any depth, or of a .zip.

    Files that begin with a dot, or lie in a folder that does or in ``__MACOSX``, are no images.

    Args:
      path: the folder or archive; None is the embedded faces.

    Returns:
      A Source of at least one image.

    Raises:
      DataError: the path does not exist, is neither folder nor .zip, or holds no image.
    """
    path = EMBEDDED if path is None else Path(path).expanduser()
    if path.is_dir():
        source = _open_folder(path)
    elif path.is_file():
        source = _open_zip(path)
    else:
        raise DataError(f'{path} does not exist; --dataset_dir takes a folder of images or a .zip of one')
    if not source.names:
        raise DataError(f'{path} holds no image: none of its files ends in {", ".join(SUFFIXES)}')
    return source


def _open_folder(folder):
    stamps = {}
    for parent, folders, files in os.walk(folder, onerror=_refuse_folder):
        folders[:] = [name for name in folders if _is_visible(name)]
        for file in files:
            path = Path(parent, file)
            if _is_image(file) and path.is_file():
                stat = path.stat()
                stamps[path.relative_to(folder).as_posix()] = stat.st_size, stat.st_mtime_ns

    def read(name):
        try:
            return (folder / name).read_bytes()
        except OSError as error:
            raise DataError(f'it cannot be read: {error.strerror}') from error

    return _source(folder.resolve().name, stamps, read)


def _open_zip(path):
    try:
        archive = zipfile.ZipFile(path)
    except zipfile.BadZipFile as error:
        raise DataError(f'{path} is no folder and no whole .zip archive: {error}; unpack it, or download it '
                        'again') from error
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}') from error
    stamps = {entry.filename: (entry.file_size, entry.date_time) for entry in archive.infolist()
              if all(map(_is_visible, PurePosixPath(entry.filename).parts)) and _is_image(entry.filename)}

    def read(name):
        try:
            return archive.read(name)
        except (OSError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error) as error:  # RuntimeError: encrypted
            raise DataError(f'it cannot be read: {error}') from error

    return _source(path.stem, stamps, read)


def _source(name, stamps, read):
    names = sorted(stamps)
    return Source(name, names, [stamps[name] for name in names], read)


def _is_visible(name):
    return not name.startswith('.') and name != '__MACOSX'


def _is_image(name):
    name = PurePosixPath(name).name
    return _is_visible(name) and name.lower().endswith(SUFFIXES)


def _refuse_folder(error):
    raise DataError(f'{error.filename} cannot be read: {error.strerror}') from error
