"""Opens a data set: a folder, .zip or .tar of images, .parquet files with images, or the embedded faces."""

import os
import re
import stat
from collections import defaultdict
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from data.folders import RUN, RUN_FILES, SEEN, is_run_directory, open_folder
from data.formats import CONTAINERS, HIDDEN, LFS_POINTER, NOT_IMAGE
from data.listing import PASSING
from data.parquet import open_parquet
from data.tars import open_tar
from data.zips import open_zip
from dcgan.errors import UserError, counted, reason_of

EMBEDDED = Path(__file__).with_name('demo_faces.zip')

SHARDS = '.parquet', '.tar', '.zip'  # suffixes of files of images in a folder
CLEAR = 10  # times as many images as in all the rest: what a folder is meant to hold
UNKNOWN = 1000  # images that a file may hold that cannot be opened
LEFT_OUT = 'left out, as there are far more images'
EXPECTED_REASONS = {NOT_IMAGE, HIDDEN, RUN, SEEN}  # to skip files; others may be a mistake

PARQUET, TAR, ZIP = rb'PAR1', rb'.{257}ustar', rb'PK'  # how they begin
# What a file that cannot be opened is, by how it begins.
DESCRIPTIONS = {
    TAR: 'is an incomplete or damaged .tar archive; download it again',
    ZIP: 'is an incomplete or damaged .zip archive; download it again',
    PARQUET: 'is an incomplete or damaged .parquet file; download it again',
    rb'(\xef\xbb\xbf)?\s*<': 'is a web page (HTML), not an archive; the site probably asked for a click or a sign-in; '
                             'download it in a browser',
    rb'Rar!|7z\xbc\xaf|\x1f\x8b|BZh|\xfd7zXZ|\x28\xb5\x2f\xfd': 'is a compressed archive; unpack it and use the folder',
    LFS_POINTER: 'is a pointer of Git LFS, not the file itself; git lfs pull downloads that',
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


def open_source(path=None, image_column=None):
    """Finds the images in a folder, at any depth, in a .zip, .tar or .parquet file, or in a folder of such files.

    Images are files that have a usual suffix or begin like one, except hidden files and the system's own. Of a folder
    that holds both images and files of images, those that are far more are taken.

    Args:
      path: the folder or file; None means the embedded faces.
      image_column: see ``open_parquet``.

    Returns:
      A Source of at least one image.

    Raises:
      UserError: the path does not exist, is something else, contains no image, or is a run directory; or it is not
        clear which images of it are meant.
    """
    path = EMBEDDED if path is None else Path(path)
    try:
        stamps, skipped, read_in_order = _open(path, image_column)
    except UserError as error:
        raise UserError(f'{path} {error}') from error
    except (FileNotFoundError, NotADirectoryError) as error:
        raise UserError(f'{path} does not exist; correct --dataset_dir') from error
    except OSError as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}') from error
    names = sorted(stamps)
    source = Source(dataset_name(path), names, [stamps[name] for name in names], lambda: read_in_order(names),
                    os.path.realpath(path), skipped)
    if not names:
        raise UserError(f'found no image in {path}: '
                        + (f'skipped {source.describe_skipped()}' if skipped else 'it is empty')
                        + ''.join(f'; {kind}: {advice}' for _, kind, advice in CONTAINERS if kind in skipped))
    return source


def dataset_name(path=None):
    """Returns the name of a data set: that of its folder or file, without a suffix. For ``path``: open_source."""
    path = EMBEDDED if path is None else Path(path)
    name = os.path.basename(os.path.realpath(path)) if os.path.isdir(path) else path.stem
    return name or 'images'  # the root of a disk has none


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


def _open(path, image_column):
    """Finds the images in a folder or file; returns as ``list_images``. A UserError lacks the path at its beginning."""
    mode = path.stat().st_mode
    if stat.S_ISREG(mode):
        return _open_file(path, image_column)
    if not stat.S_ISDIR(mode):  # opening a pipe may block, reading a device never end
        raise UserError('is neither a folder nor a file; expected a folder, .zip or .tar of images, or .parquet files')
    if is_run_directory(path):
        raise UserError(f'is a run directory ({", ".join(RUN_FILES)}); expected the folder of its training images')
    return _open_folder(path, image_column)


def _open_folder(path, image_column):
    """Finds the image files in a folder, or the images in its archives or .parquet files; returns as ``list_images``.

    Raises:
      UserError: it holds several kinds, and it is not clear which is meant.
    """
    images, skipped, read_in_order = open_folder(path)
    skipped = defaultdict(list, skipped)
    others = skipped.pop(NOT_IMAGE, [])
    found, unusable = {'image files': (images, {}, read_in_order, list(images))}, {}
    for suffix in SHARDS:
        kind, shards = f'{suffix} files', {}
        for name in others:
            if name.lower().endswith(suffix):
                try:
                    shards[name] = _open_file(path / name, image_column)
                except UserError as error:
                    unusable[name] = kind, f'file that {error}'
                    skipped[f'file that {error}'].append(name)
        found[kind] = *_join(shards), list(shards)
    counts = {kind: len(images) for kind, (images, *_) in found.items() if images}
    kind = max(counts, key=counts.get, default='image files')
    unclear = [f'{counted(count, "image")} in {other}' for other, count in counts.items()]
    unclear += [f'{name}, which cannot be opened' for name, (other, _) in unusable.items() if other != kind]
    rest = sum(counts.values()) - counts.get(kind, 0) + UNKNOWN * (len(unclear) - len(counts))
    if 0 < counts.get(kind, 0) < CLEAR * rest:
        problem = f'holds {", ".join(unclear)}; give those to train on a folder of their own, or name one file'
        raise UserError('; '.join([problem, *dict.fromkeys(reason for _, reason in unusable.values())]))
    skipped[NOT_IMAGE] = [name for name in others if not name.lower().endswith(SHARDS)]
    for other, (images, more, _, names) in found.items():
        for reason, members in ({LEFT_OUT: names} if images and other != kind else more).items():
            skipped[reason] += members
    return found[kind][0], {reason: names for reason, names in skipped.items() if names}, found[kind][2]


def _join(shards):
    """Returns the images of some files, {name: what ``_open_file`` returns}, as if these were folders."""
    stamps, skipped = {}, defaultdict(list)
    for name, (images, others, _) in shards.items():
        stamps |= {f'{name}/{member}': stamp for member, stamp in images.items()}
        for reason, members in others.items():
            skipped[reason] += [f'{name}/{member}'.removesuffix(f'/{os.path.basename(name)}') for member in members]

    def read_in_order(_):  # the names of all images, sorted: those of a file follow one another
        for name in sorted(shards, key=lambda name: f'{name}/'):
            images, _, read = shards[name]
            yield from ((f'{name}/{member}', content) for member, content in read(sorted(images)))

    return stamps, skipped, read_in_order


def _open_file(path, image_column):
    """Opens a file by what it is, not by its suffix; returns as ``list_images``."""
    with path.open('rb') as file:
        head = file.read(512)
    try:
        if re.match(PARQUET, head):
            return open_parquet(path, image_column)
        return open_tar(path) if re.match(TAR, head, re.DOTALL) or path.suffix.lower() == '.tar' else open_zip(path)
    except Exception as error:  # a damaged file can raise anything
        if isinstance(error, UserError) or getattr(error, 'errno', None):
            raise
        if getattr(error.__context__, 'errno', None) in PASSING:  # zipfile hides it
            raise error.__context__ from None
        name = path.name.lower() + '.z01' * path.with_suffix('.z01').exists()  # the last part of a .zip has no number
        texts = [*(f'is a {kind}; {advice}' for pattern, kind, advice in CONTAINERS if re.search(pattern, name)),
                 *(text for pattern, text in DESCRIPTIONS.items() if re.match(pattern, head, re.DOTALL)),
                 f'is not a folder, .zip, .tar or .parquet file; it begins with {head[:8]!r}']
        raise UserError(texts[0]) from error
