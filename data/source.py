"""Where images come from: a folder, a .zip, or the embedded faces."""

import difflib
import os
import stat
import zipfile
import zlib
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from data.errors import DataError

EMBEDDED = Path(__file__).with_name('demo_faces.zip')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')
MAX_BYTES = 1 << 28  # 256 MiB; a file, or what a .zip says to unpack to more, is not read

# How files begin that people take for a .zip of images.
HEADS = [
    (b'PK', 'is a .zip archive that was cut short or damaged; download it again'),
    (b'<', 'is a web page (HTML), not a .zip archive: the download asked for a click or a sign-in; open its address in '
           'a browser and download it there'),
    (b'Rar!', 'is a RAR archive; unpack it and name the folder'),
    (b'7z\xbc\xaf', 'is a 7z archive; unpack it and name the folder'),
    (b'\x1f\x8b', 'is a gzip archive; unpack it and name the folder'),
    (b'\xff\xd8\xff', 'is a single image; name the folder that it lies in'),
    (b'\x89PNG', 'is a single image; name the folder that it lies in'),
]

# What zipfile raises for a damaged archive, besides OSError and ValueError (of which UnicodeDecodeError is one).
BAD_ZIP = zipfile.BadZipFile, NotImplementedError


class Source(NamedTuple):
    """Images not yet decoded, in the order of their names.

    Attributes:
      name: of the data set: its folder's or archive's, without the suffix.
      names: paths within the source, with forward slashes, sorted.
      stamps: of each, what changes when the file does: size in bytes, time of change, in a .zip the checksum, too.
      read: gives the bytes of the image of that name, from several threads too; raises DataError where it cannot.
    """

    name: str
    names: list[str]
    stamps: list[tuple]
    read: Callable[[str], bytes]


def open_source(path=None):
    """Finds the images (``SUFFIXES``, in any letter case) of a folder, at any depth, or of a .zip.

    Files that begin with a dot, or lie in a folder that does or in ``__MACOSX``, are no images.

    Args:
      path: the folder or archive; None is the embedded faces.

    Returns:
      A Source of at least one image.

    Raises:
      DataError: the path does not exist, is neither folder nor .zip, or holds no image.
    """
    if path == '':
        raise DataError('--dataset_dir is empty; it takes a folder of images or a .zip of one')
    path = EMBEDDED if path is None else Path(os.path.expanduser(path))
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise DataError(f'{path} does not exist; {_nearest(path)}') from error
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}') from error
    files, read = _files_of_folder(path) if is_folder else _files_of_zip(path)
    names = sorted(name for name in files if is_image(name))
    if not names:
        raise DataError(f'{path} holds no image ({", ".join(SUFFIXES)}): {_count_by_suffix(files)}{_hint(path, files)}')

    def read_checked(name):
        if files[name][0] > MAX_BYTES:
            raise DataError(f'it is {files[name][0]:,} bytes long, and no more than {MAX_BYTES:,} are read')
        return read(name)

    return Source(name_of_source(path), names, [files[name] for name in names], read_checked)


def name_of_source(path=None):
    """Returns the name of the data set at a path, as of ``open_source``: its folder's or archive's."""
    path = EMBEDDED if path is None else Path(os.path.expanduser(path))
    return path.resolve().name if path.is_dir() else path.stem


def is_image(name):
    """Returns whether a path within a source is that of an image."""
    path = f'/{name}'
    return path.lower().endswith(SUFFIXES) and '/.' not in path and '/__MACOSX/' not in path


def _files_of_folder(folder):
    """Returns the stamps of all files, {name: stamp}, and what reads one."""
    files = {}

    def gather(path, prefix, above):
        status = os.stat(path)
        here = status.st_dev, status.st_ino
        if here in above:  # a link that leads back
            return
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir():
                    gather(entry.path, f'{prefix}{entry.name}/', above | {here})
                elif entry.is_file():
                    status = entry.stat()
                    files[prefix + entry.name] = status.st_size, status.st_mtime_ns

    try:
        gather(folder, '', frozenset())
    except OSError as error:
        raise DataError(f'{error.filename} cannot be read: {error.strerror}') from error

    def read(name):
        try:
            with open(os.path.join(folder, name), 'rb', buffering=0) as file:  # a third of the time of read_bytes()
                return file.read()
        except OSError as error:
            raise DataError(f'it cannot be read: {error.strerror}') from error

    return files, read


def _files_of_zip(path):
    """As ``_files_of_folder``, of an archive."""
    try:
        archive = zipfile.ZipFile(path)
    except (*BAD_ZIP, ValueError) as error:
        raise DataError(f'{path} {_what_it_is(path)}') from error
    except OSError as error:
        raise DataError(f'{path} cannot be read: {error.strerror}') from error
    files = {entry.filename: (entry.file_size, entry.date_time, entry.CRC)
             for entry in archive.infolist() if not entry.is_dir()}

    def read(name):
        try:
            return archive.read(name)
        except (*BAD_ZIP, OSError, EOFError, RuntimeError, ValueError, zlib.error) as error:  # RuntimeError: encrypted
            raise DataError(f'it cannot be read: {error}') from error

    return files, read


def _what_it_is(path):
    """Says of a file that is no whole .zip what it is, and what to do."""
    with path.open('rb') as file:
        head = file.read(512).removeprefix(b'\xef\xbb\xbf').lstrip()
    size = path.stat().st_size
    if not size:
        return 'is empty; download it again'
    for start, meaning in HEADS:
        if head.startswith(start):
            return f'{meaning} ({size:,} bytes are there)'
    return f'is neither a folder nor a .zip archive ({size:,} bytes, the first {head[:8]!r})'


def _nearest(path):
    """Names what comes nearest to a path that does not exist."""
    missing = path = Path(os.path.abspath(path))
    while not path.exists():
        missing, path = path, path.parent
    if not path.is_dir():
        return f'{path} does, and is a file'
    try:
        alike = difflib.get_close_matches(missing.name, os.listdir(path), n=1)
    except OSError:
        alike = []
    return f'did you mean {path / alike[0]}?' if alike else f'the nearest folder that does is {path}'


def _count_by_suffix(files):
    if not files:
        return 'it is empty'
    counts = Counter(PurePosixPath(name).suffix.lower() or 'without a suffix' for name in files)
    most = sorted(counts, key=lambda suffix: (-counts[suffix], suffix))[:5]
    return 'what is there, by suffix: ' + ', '.join(f'{counts[suffix]:,} {suffix}' for suffix in most)


def _hint(path, files):
    """Points at a place in or beside the source that does hold images, if there is one."""
    hidden = sorted(str(PurePosixPath(name).parent) for name in files if name.lower().endswith(SUFFIXES)
                    and not PurePosixPath(name).name.startswith('.'))
    if hidden and path.is_dir():
        return f'; images lie in {path / hidden[0]}, which is passed over unless it is named itself'
    zips = [name for name in sorted(files) if name.lower().endswith('.zip')]
    if path.is_file():
        return f'; unpack it, for it holds {zips[0]}' if zips else ''
    for archive in [*(path / name for name in zips), *sorted(path.resolve().parent.glob('*.zip'))]:
        try:
            inside, _ = _files_of_zip(archive)
        except DataError:  # a damaged one is no help
            continue
        count = sum(map(is_image, inside))
        if count:
            return f'; {archive} holds {count:,}: --dataset_dir={archive}'
    return ''
