"""The pack: all images, decoded, cropped and resized once, in one memory-mapped uint8 file."""

import contextlib
import errno
import glob
import hashlib
import json
import os
import shutil
import zlib
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np

from data.crop import RESIZER, crop_of
from data.decoding import decode_images
from data.listing import MAX_BYTES
from dcgan.errors import UserError, reason_of
from dcgan.files import read_file, replacing, safe_name, write_atomically
from dcgan.progress import Progress

MAX_BROKEN = 3, 0.01  # images, or this share of all, whichever is more
MAX_NAME = 160  # bytes of a data set's name in a file's name, which has 255


class Pack(NamedTuple):
    """The images of a source, ready for training.

    Attributes:
      images: uint8 [n, size, size, 3], memory-mapped, in the order of the source's names.
      path: the .npy file.
      facts_path: the .json file beside it, with its source, its settings and the broken images.
      source_shape: (height, width) of the first image before the crop, in pixels.
      rows: the rows that the crop kept of the first image, a slice.
      columns: the columns that the crop kept of it, a slice.
      broken: {name: reason} of the skipped images.
      crc32: the checksum of the .npy file.
    """

    images: np.ndarray
    path: Path
    facts_path: Path
    source_shape: tuple[int, int]
    rows: slice
    columns: slice
    broken: dict[str, str]
    crc32: int

    def describe_crop(self):
        """Describes the crop and the resizing in words."""
        height, width = self.source_shape
        size = self.images.shape[1]
        change = 'enlarged' if self.rows.stop - self.rows.start < size else 'resized'
        return (f'rows {self.rows.start}:{self.rows.stop}, columns {self.columns.start}:{self.columns.stop} of images '
                f'like the first, {width}x{height}, {change} to {size}x{size}')


def make_pack(source, crop, size, cache_dir):
    """Builds the pack of a source, or finds the cached one for the same files, crop and size.

    Building shows its progress and takes size * size * 3 bytes per image on disk. If another process is building the
    same pack, this one waits for it. A corrupt pack is rebuilt. A pack of the same source, crop and size whose
    files have changed since is replaced.

    Args:
      source: a Source.
      crop: a name in ``CROPS``, or 'auto'.
      size: int, height and width of the images in the pack, in pixels.
      cache_dir: the folder for packs; created if it does not exist.

    Returns:
      A Pack.

    Raises:
      UserError: more images than ``MAX_BROKEN`` are broken or do not fit the crop, or the folder cannot be written.
    """
    skipped = {reason: {'count': len(names), 'names': sorted(names)[:1000]}  # enough to see what they are
               for reason, names in source.skipped.items()}
    stamps = json.dumps([source.names, source.stamps, crop, size, RESIZER])
    fingerprint = hashlib.sha256(stamps.encode()).hexdigest()[:16]
    facts = {'source': source.name, 'path': source.path, 'crop': crop, 'size': size, 'resizer': RESIZER,
             'fingerprint': fingerprint, 'skipped': skipped}
    name = safe_name(source.name)
    while len(os.fsencode(name)) > MAX_NAME:
        name = name[:-1]
    path = Path(cache_dir) / f'{name}-{crop}-{size}-{fingerprint}.npy'
    needed = len(source.names) * size * size * 3 + 128
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _load(path, facts) or _build(path, source, facts, needed)
    except (OSError, NotImplementedError) as error:  # filelock raises the second where files cannot be locked
        raise UserError(f'cannot write {path}: {reason_of(error)}; it takes {needed:,} bytes; choose another folder '
                        'with --cache_dir') from error


def _load(path, expected):
    """Returns the Pack at a path, with its list of skipped files up to date; None if there is none or it is corrupt."""
    facts_path = path.with_suffix('.json')
    try:
        facts = json.loads(read_file(facts_path, MAX_BYTES))
        if not path.is_file() or _checksum(path) != facts['crc32']:
            return None
        height, width = facts['source_shape']
        pack = Pack(_map(path), path, facts_path, (height, width),
                    *crop_of(expected['crop'], (height, width)), facts['broken'], facts['crc32'])
    except Exception:  # a damaged or foreign file can raise anything
        return None
    if facts != {**facts, **expected}:
        with contextlib.suppress(OSError):  # the pack may be in a folder that others share
            _write_facts(facts_path, {**facts, **expected})
    return pack


def _build(path, source, facts, needed):
    facts_path = path.with_suffix('.json')
    with _lock(path):
        if pack := _load(path, facts):  # another process has built it meanwhile
            return pack
        if path.exists():
            print(f'cache file {path} is corrupt; rebuilding it')
        for part in path.parent.glob(f'{glob.escape(path.stem)}.*.part'):  # a killed process left it
            part.unlink()
        _remove_outdated(facts_path, facts)
        free = shutil.disk_usage(path.parent).free
        if free < needed:
            raise OSError(errno.ENOSPC, f'only {free:,} bytes are free')
        with replacing(path) as part:
            with part.open('w+b') as file:
                facts = facts | _write_images(file, source, facts['crop'], facts['size'], facts_path)
            _write_facts(facts_path, facts | {'crc32': _checksum(part)})
    if pack := _load(path, facts):
        return pack
    raise OSError('what was written cannot be read back')


def _map(path):
    try:
        return np.lib.format.open_memmap(path, 'r')
    except OSError:  # file systems of networks may map no file
        return np.load(path)


def _lock(path):
    """Lets one process at a time build a pack; a context. The system releases the lock of a killed process."""
    lock = filelock.FileLock(path.with_suffix('.lock'))
    try:
        return lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f'another process is building {path}; waiting for it')
        return lock.acquire()


def _remove_outdated(facts_path, facts):
    """Removes packs of the same source, crop and size whose files changed since."""
    for other in facts_path.parent.glob(f'*-{facts["crop"]}-{facts["size"]}-*.json'):
        with contextlib.suppress(Exception):  # a damaged or foreign file, or one in use on Windows
            theirs = json.loads(read_file(other, MAX_BYTES))
            if other != facts_path and all(theirs[key] == facts[key] for key in ('path', 'crop', 'size')):
                for file in other.parent.glob(f'{glob.escape(other.stem)}.*'):
                    file.unlink()


def _write_images(file, source, crop, size, facts_path):
    """Writes the images of a source as an .npy file; returns the facts 'images', 'source_shape' and 'broken'."""
    count = len(source.names)
    limit = min(max(MAX_BROKEN[0], int(MAX_BROKEN[1] * count)), count - 1)
    shape, broken = None, {}
    _write_header(file, count, size)
    with (contextlib.closing(decode_images(source.images(), crop, size)) as results,
          Progress(f'packing {source.name}', count, 'images') as progress):
        for name, result in results:
            progress.update()
            if not isinstance(result, UserError):
                shape = shape or result[0]
                file.write(result[1])
                continue
            broken[name] = str(result)
            if len(broken) > limit:
                _write_facts(facts_path, {'broken': broken})
                first = ''.join(f'\n  {name}: {broken[name]}' for name in list(broken)[:3])
                advice = 'replace or remove them' + ('' if crop == 'auto' else ', or use --crop=auto')
                raise UserError(f'{len(broken):,} of the first {source.names.index(name) + 1:,} images of '
                                f'{source.name} are broken or do not fit the crop; at most {limit:,} of all {count:,} '
                                f'may be: {advice} ({facts_path} lists them), e.g.{first}')
    file.seek(0)
    _write_header(file, count - len(broken), size)
    file.flush()
    return {'images': count - len(broken), 'source_shape': shape, 'broken': broken}


def _write_header(file, count, size):
    # NumPy leaves room in the header: another count fits in the same place.
    np.lib.format.write_array_header_1_0(
        file, {'descr': '|u1', 'fortran_order': False, 'shape': (count, size, size, 3)})


def _write_facts(path, facts):
    write_atomically(path, json.dumps(facts, indent=2).encode() + b'\n')


def _checksum(path):
    checksum = 0
    with open(path, 'rb') as file:  # a memory map of the whole file would count as memory in use
        while chunk := file.read(1 << 20):
            checksum = zlib.crc32(chunk, checksum)
    return checksum
