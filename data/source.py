"""Opens a data set: a folder, .zip or .tar of images, .parquet files with images, or the embedded faces."""

import difflib
import os
import re
import stat
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from data.folders import RUN_FILES, is_run_directory, open_folder
from data.formats import NOT_IMAGE
from data.parquet import open_parquet
from data.tars import open_tar
from data.zips import open_zip
from dcgan.errors import UserError, reason_of

EMBEDDED = Path(__file__).with_name('demo_faces.zip')
EXPECTED = 'a folder, .zip or .tar of images, or .parquet files'

PARQUET, TAR, ZIP = b'PAR1', b'.{257}ustar', b'PK'  # how they begin
# What a file that cannot be opened is, by how it begins.
DESCRIPTIONS = {
    TAR: 'is an incomplete or damaged .tar archive; download it again',
    ZIP: 'is an incomplete or damaged .zip archive; download it again',
    rb'(\xef\xbb\xbf)?\s*<': 'is a web page (HTML), not an archive; the site probably asked for a click or a sign-in; '
                             'download it in a browser',
    rb'Rar!|7z\xbc\xaf|\x1f\x8b': 'is a RAR, 7z or gzip archive; unpack it and use the folder',
    rb'\xff\xd8\xff|\x89PNG': 'is a single image; use the folder that contains it',
    rb'\Z': 'is empty; download it again',
}


class Source(NamedTuple):
    """Encoded images, sorted by name.

    Attributes:
      name: the name of the data set: that of its folder or file, without a suffix.
      names: the paths of the images within the source, with forward slashes, sorted.
      stamps: for each image, values that change with the file: its size in bytes, the time of its last change and, in
        a .zip, its checksum.
      images: returns an iterator of (name, content) in the order of the names; the content is bytes, or a UserError
        that says why it cannot be read.
      path: the real path of the folder or file.
      skipped: {reason: [path within the source]} of the files and folders that are not among the images.
    """

    name: str
    names: list[str]
    stamps: list[tuple]
    images: Callable[[], Iterator[tuple[str, bytes | UserError]]]
    path: str
    skipped: dict[str, list[str]]

    def describe_skipped(self):
        """Returns one line that counts what was skipped and why, with an example each; '' if nothing was."""
        return '; '.join(f'{len(names):,} {reason} (e.g. {min(names)[:80]})'
                         for reason, names in sorted(self.skipped.items(), key=lambda item: (-len(item[1]), item[0])))


def open_source(path=None):
    """Finds the images in a folder, at any depth, in a .zip or .tar, or in .parquet files or a folder of them.

    Images are files that have a usual suffix or begin like one, except hidden files and the system's own.

    Args:
      path: the folder or file; None means the embedded faces.

    Returns:
      A Source of at least one image.

    Raises:
      UserError: the path does not exist, is something else, contains no image, or is a run directory.
    """
    path = _path_of(path)
    try:
        stamps, skipped, read_in_order = _open(path)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f'{path} does not exist; {_suggest_path(path)}') from error
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    names = sorted(stamps)
    source = Source(dataset_name(path), names, [stamps[name] for name in names], lambda: read_in_order(names),
                    os.path.realpath(path), skipped)
    if not names:
        raise UserError(f'found no image in {path}: '
                        + (f'skipped {source.describe_skipped()}' if skipped else 'it is empty')
                        + _suggest_archive(path, skipped))
    return source


def dataset_name(path=None):
    """Returns the name of a data set: that of its folder or file, without a suffix. For ``path``: open_source."""
    path = _path_of(path)
    return (path.resolve().name if path.is_dir() else path.stem) or 'images'  # the root of a disk has no name


def require_outside(source, model_dir):
    """Refuses a run directory whose pictures would be among the images of a Source, or that would hide some of them.

    Args:
      source: a Source.
      model_dir: the run directory, a path; it need not exist. It may be in a folder of images of its own.

    Raises:
      UserError: it is the folder of the images, or one within that has images.
    """
    if not os.path.isdir(source.path):
        return
    folder, run = (os.path.join(os.path.realpath(path), '') for path in (source.path, model_dir))
    inside = run.removeprefix(folder).replace(os.sep, '/')
    if run.startswith(folder) and any(name.startswith(inside) for name in source.names):
        raise UserError(f'the run directory {model_dir} is the folder of the images or lies in it, and '
                        'is a folder of training images; choose another with --model_dir')


def _path_of(path):
    return EMBEDDED if path is None else Path(path)


def _open(path):
    """Finds the images in a folder or file; returns as ``list_images``."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return _open_file(path)
    if not stat.S_ISDIR(mode):  # opening a pipe may block, reading a device never end
        raise UserError(f'{path} is neither a folder nor a file; expected {EXPECTED}')
    if is_run_directory(path):
        raise UserError(f'{path} is a run directory ({", ".join(RUN_FILES)}); expected the folder of the images it was '
                        'trained on')
    files, skipped, read_in_order = open_folder(path)
    shards = sorted(name for name in skipped.get(NOT_IMAGE, []) if name.lower().endswith('.parquet'))
    if files or not shards:
        return files, skipped, read_in_order
    skipped[NOT_IMAGE] = [name for name in skipped[NOT_IMAGE] if name not in shards]
    files, unusable, read_in_order = open_parquet(path, shards)
    return files, {reason: names for reason, names in {**skipped, **unusable}.items() if names}, read_in_order


def _open_file(path):
    """Opens a file by what it is, not by its suffix."""
    with path.open('rb') as file:
        head = file.read(512)

    def begins_like(pattern):
        return re.match(pattern, head, re.DOTALL)

    if begins_like(PARQUET):
        return open_parquet(path, [''])
    try:
        return open_tar(path) if begins_like(TAR) else open_zip(path)
    except (OSError, UserError):
        raise
    except Exception as error:  # a damaged archive can raise anything
        other = f'is not a folder, .zip, .tar or .parquet file; it begins with {head[:8]!r}'
        description = next((text for pattern, text in DESCRIPTIONS.items() if begins_like(pattern)), other)
        raise UserError(f'{path} {description} (size: {path.stat().st_size:,} bytes)') from error


def _suggest_path(path):
    """Suggests an existing path in place of one that does not exist."""
    path = Path(os.path.abspath(path))
    missing = next((part for part in reversed(path.parents) if not os.path.isdir(part)), path)
    try:
        similar = difflib.get_close_matches(missing.name, os.listdir(missing.parent), n=1)
    except OSError:  # a drive that does not exist
        similar = []
    return f'did you mean {missing.with_name(similar[0])}?' if similar else f'no name in {missing.parent} is similar'


def _suggest_archive(path, skipped):
    """Names an archive in a folder without images; '' if there is none."""
    archives = [name for name in skipped.get(NOT_IMAGE, []) if name.lower().endswith(('.zip', '.tar'))]
    return f'; to use an archive, name it: --dataset_dir={path / min(archives)}' if archives and path.is_dir() else ''
