"""Opens a data set: a folder, .zip or .tar of images, .parquet files with images, or the embedded faces."""

import difflib
import os
import stat
import tarfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from data.folders import RUN_FILES, is_run_directory, open_folder
from data.formats import HIDDEN, NOT_IMAGE
from data.parquet import open_parquet
from data.tars import open_tar
from data.zips import open_zip
from dcgan.errors import UserError, reason_of

EMBEDDED = Path(__file__).with_name('demo_faces.zip')
EXPECTED = 'a folder, .zip or .tar of images, or .parquet files'

MAX_TRIED = 20  # archives to look into for a suggestion
KINDS = {stat.S_IFCHR: 'a device', stat.S_IFBLK: 'a device', stat.S_IFIFO: 'a pipe', stat.S_IFSOCK: 'a socket'}


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
        """Returns one line that counts what was skipped and why; '' if nothing was."""
        return _describe(self.skipped)


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
        mode = path.stat().st_mode
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f'{path} does not exist; {_suggest_path(path)}') from error
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    if not stat.S_ISDIR(mode) and not stat.S_ISREG(mode):  # opening one may block, reading one never end
        raise UserError(f'{path} is {KINDS.get(stat.S_IFMT(mode), "not a file")}; expected {EXPECTED}')
    if stat.S_ISDIR(mode) and is_run_directory(path):
        raise UserError(f'{path} is a run directory ({", ".join(RUN_FILES)}); expected the folder of the images it was '
                        'trained on')
    files, skipped, read_in_order = _open_folder(path) if stat.S_ISDIR(mode) else _open_file(path)
    if not files:
        raise UserError(f'found no image in {path}: '
                        + (f'skipped {_describe(skipped)}' if skipped else 'it is empty')
                        + _suggest_source(path, skipped))
    names = sorted(files)
    return Source(dataset_name(path), names, [files[name] for name in names], lambda: read_in_order(names),
                  os.path.realpath(path), skipped)


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


def _open_folder(path):
    """Opens the images of a folder or, if it has none, those in its .parquet files."""
    files, skipped, read_in_order = open_folder(path)
    shards = sorted(name for name in skipped.get(NOT_IMAGE, []) if name.lower().endswith('.parquet'))
    if files or not shards:
        return files, skipped, read_in_order
    skipped[NOT_IMAGE] = [name for name in skipped[NOT_IMAGE] if name not in shards]
    files, unusable, read_in_order = open_parquet(path, shards)
    return files, {reason: names for reason, names in {**skipped, **unusable}.items() if names}, read_in_order


def _open_file(path):
    """Opens a file by what it is, not by its suffix."""
    try:
        with path.open('rb') as file:
            head = file.read(tarfile.BLOCKSIZE)
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    if head.startswith(b'PAR1'):
        return open_parquet(path, [''])
    if head[257:262] == b'ustar':
        return open_tar(path)
    return open_zip(path)


def _path_of(path):
    return EMBEDDED if path is None else path


def _describe(skipped):
    """Describes {reason: [name]} in one line, with an example each."""
    return '; '.join(f'{len(names):,} {reason} (e.g. {min(names)[:80]})'
                     for reason, names in sorted(skipped.items(), key=lambda item: (-len(item[1]), item[0])))


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


def _suggest_source(path, skipped):
    """Points to images in a hidden folder, or in a .zip in or beside the source; returns '' if there are none."""
    if path.is_dir():
        for folder in sorted(path / name for name in skipped.get(HIDDEN, [])):
            if folder.is_dir() and _count_images(open_folder, folder):
                return f'; to use the images in a hidden folder, name it: --dataset_dir={folder}'
    zips = sorted(name for names in skipped.values() for name in names if name.lower().endswith('.zip'))
    if path.is_file():
        return f'; unpack it and use {zips[0]}' if zips else ''
    for archive in [*(path / name for name in zips), *sorted(path.resolve().parent.glob('*.zip'))][:MAX_TRIED]:
        if archive.is_file() and (count := _count_images(open_zip, archive)):
            return f'; {archive} contains {count:,}: --dataset_dir={archive}'
    return ''


def _count_images(open_, path):
    try:
        return len(open_(path)[0])
    except UserError:  # damaged
        return 0
