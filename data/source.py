"""Finds images in a folder, a .zip or the embedded faces."""

import difflib
import os
import stat
import zipfile
from collections import Counter
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import NamedTuple

from dcgan.errors import UserError, reason_of

EMBEDDED = Path(__file__).with_name('demo_faces.zip')
SUFFIXES = ('.jpg', '.jpeg', '.png', '.webp', '.bmp')
MAX_BYTES = 1 << 28  # 256 MiB, of a file or of what it unpacks to

# What a file that is not a .zip may be, by its first bytes.
SIGNATURES = [
    (b'PK', 'is an incomplete or damaged .zip archive; download it again'),
    (b'<', 'is a web page (HTML), not a .zip archive; the site probably asked for a click or a sign-in: download it in '
           'a browser'),
    (b'Rar!', 'is a RAR archive; unpack it and use the folder'),
    (b'7z\xbc\xaf', 'is a 7z archive; unpack it and use the folder'),
    (b'\x1f\x8b', 'is a gzip archive; unpack it and use the folder'),
    (b'\xff\xd8\xff', 'is a single image; use the folder that contains it'),
    (b'\x89PNG', 'is a single image; use the folder that contains it'),
]


class Source(NamedTuple):
    """Encoded images, sorted by name.

    Attributes:
      name: the name of the data set: that of its folder or archive, without a suffix.
      names: the paths of the images within the source, with forward slashes, sorted.
      stamps: for each image, values that change with the file: its size in bytes, the time of its last change and, in
        a .zip, its checksum.
      read: takes the name of an image and returns its bytes; threads may call it at once. Raises UserError.
    """

    name: str
    names: list[str]
    stamps: list[tuple]
    read: Callable[[str], bytes]


def open_source(path=None):
    """Finds the images in a folder, at any depth, or in a .zip.

    Looks for ``SUFFIXES``, in upper or lower case. Skips ``__MACOSX`` and all files and folders with a leading dot.

    Args:
      path: the folder or archive; None means the embedded faces.

    Returns:
      A Source of at least one image.

    Raises:
      UserError: the path does not exist, is not a folder or .zip, or contains no image.
    """
    if path == '':
        raise UserError('--dataset_dir is empty; expected a folder of images or a .zip of one')
    path = EMBEDDED if path is None else Path(os.path.expanduser(path))
    try:
        is_folder = stat.S_ISDIR(path.stat().st_mode)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f'{path} does not exist; {_suggest_path(path)}') from error
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    files, read = _open_folder(path) if is_folder else _open_zip(path)
    names = sorted(name for name in files if is_image(name))
    if not names:
        raise UserError(f'found no image ({", ".join(SUFFIXES)}) in {path}: {_count_suffixes(files)}'
                        f'{_suggest_source(path, files)}')

    def read_if_small(name):
        if files[name][0] > MAX_BYTES:
            raise UserError(f'the file has {files[name][0]:,} bytes; the limit is {MAX_BYTES:,}')
        return read(name)

    return Source(dataset_name(path), names, [files[name] for name in names], read_if_small)


def dataset_name(path=None):
    """Returns the name of a data set: that of its folder or archive, without a suffix. For ``path`` see open_source."""
    path = EMBEDDED if path is None else Path(os.path.expanduser(path))
    return path.resolve().name if path.is_dir() else path.stem


def is_image(name):
    """Returns whether a path within a source looks like an image and is not hidden."""
    path = f'/{name}'
    return path.lower().endswith(SUFFIXES) and '/.' not in path and '/__MACOSX/' not in path


def _open_folder(folder):
    """Returns the stamps of all files, {name: stamp}, and a function that reads a file."""
    files = {}

    def scan(path, prefix, parents):
        status = os.stat(path)
        identity = status.st_dev, status.st_ino
        if identity in parents:  # a link to a folder above
            return
        with os.scandir(path) as entries:
            for entry in entries:
                if entry.is_dir():
                    scan(entry.path, f'{prefix}{entry.name}/', parents | {identity})
                elif entry.is_file():
                    status = entry.stat()
                    files[prefix + entry.name] = status.st_size, status.st_mtime_ns

    try:
        scan(folder, '', frozenset())
    except OSError as error:
        raise UserError(f'cannot read {error.filename}: {reason_of(error)}') from error

    def read(name):
        try:
            with open(os.path.join(folder, name), 'rb', buffering=0) as file:  # takes a third of read_bytes()'s time
                return file.read()
        except OSError as error:
            raise UserError(f'cannot read the file: {reason_of(error)}') from error

    return files, read


def _open_zip(path):
    """Returns the stamps of all files, {name: stamp}, and a function that reads a file."""
    try:
        archive = zipfile.ZipFile(path)
        files = {entry.filename: (entry.file_size, entry.date_time, entry.CRC)
                 for entry in archive.infolist() if not entry.is_dir()}
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    except Exception as error:  # a damaged archive can raise anything
        raise UserError(f'{path} {_describe_file(path)}') from error

    def read(name):
        try:
            return archive.read(name)
        except Exception as error:  # damaged or encrypted
            raise UserError(f'cannot read the file: {error}') from error

    return files, read


def _describe_file(path):
    """Says what a file is that zipfile cannot open, and what to do."""
    with path.open('rb') as file:
        head = file.read(512).removeprefix(b'\xef\xbb\xbf').lstrip()
    size = path.stat().st_size
    if not size:
        return 'is empty; download it again'
    for signature, description in SIGNATURES:
        if head.startswith(signature):
            return f'{description} (size: {size:,} bytes)'
    return f'is not a folder or a .zip archive ({size:,} bytes; the first are {head[:8]!r})'


def _suggest_path(path):
    """Suggests an existing path in place of one that does not exist."""
    missing = path = Path(os.path.abspath(path))
    while not path.exists():
        missing, path = path, path.parent
    if not path.is_dir():
        return f'{path} is a file'
    try:
        similar = difflib.get_close_matches(missing.name, os.listdir(path), n=1)
    except OSError:
        similar = []
    return f'did you mean {path / similar[0]}?' if similar else f'the nearest existing folder is {path}'


def _count_suffixes(files):
    if not files:
        return 'it is empty'
    counts = Counter(PurePosixPath(name).suffix.lower() or 'without a suffix' for name in files)
    most = sorted(counts, key=lambda suffix: (-counts[suffix], suffix))[:5]
    return 'it contains ' + ', '.join(f'{counts[suffix]:,} {suffix}' for suffix in most)


def _suggest_source(path, files):
    """Points to images in a hidden folder, or in a .zip in or beside the source; returns '' if there are none."""
    hidden = sorted(str(PurePosixPath(name).parent) for name in files if name.lower().endswith(SUFFIXES)
                    and not PurePosixPath(name).name.startswith('.'))
    if hidden and path.is_dir():
        return f'; to use the images in a hidden folder, name it: --dataset_dir={path / hidden[0]}'
    zips = [name for name in sorted(files) if name.lower().endswith('.zip')]
    if path.is_file():
        return f'; unpack it and use {zips[0]}' if zips else ''
    for archive in [*(path / name for name in zips), *sorted(path.resolve().parent.glob('*.zip'))]:
        try:
            inside, _ = _open_zip(archive)
        except UserError:  # damaged
            continue
        count = sum(map(is_image, inside))
        if count:
            return f'; {archive} contains {count:,}: --dataset_dir={archive}'
    return ''
