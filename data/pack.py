"""The pack: all images, decoded, cropped and resized once, in one memory-mapped uint8 file.

    python -m data.pack --list     # the cached packs, their sizes and where their images were
    python -m data.pack --clear    # removes them; they are rebuilt when they are needed
"""

import argparse
import contextlib
import glob
import hashlib
import json
import os
import re
import shutil
import sys
import zlib
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np

from data.crop import CROPS, RESIZER, crop_of
from data.decoding import decode_images
from dcgan.errors import UserError, reason_of
from dcgan.files import CACHE_DIR, replacing, safe_name, write_atomically
from dcgan.progress import Progress
from dcgan.streams import protect_standard_streams

MAX_BROKEN = 3, 0.01  # images, or this share of all, whichever is more
MAX_NAME = 160  # bytes of a data set's name in a file's name, which has 255
MAX_LISTED = 1000  # names of skipped files, for each reason
FILE_NAME = re.compile(  # of a pack, and of what is beside it
    rf'(.*-(?:auto|{"|".join(CROPS)})-\d+-[0-9a-f]{{16}})\.(?:npy|json|lock|(?:npy|json)\.\d+\.part)', re.DOTALL)


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
    skipped = {reason: {'count': len(names), 'names': sorted(names)[:MAX_LISTED]}
               for reason, names in source.skipped.items()}
    stamps = json.dumps([source.names, source.stamps, crop, size, RESIZER])
    fingerprint = hashlib.sha256(stamps.encode()).hexdigest()[:16]
    facts = {'source': source.name, 'path': source.path, 'crop': crop, 'size': size, 'resizer': RESIZER,
             'fingerprint': fingerprint, 'skipped': skipped}
    name = safe_name(source.name)
    while len(os.fsencode(name)) > MAX_NAME:
        name = name[:-1]
    path = cache_dir / f'{name}-{crop}-{size}-{fingerprint}.npy'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _load(path, source, facts) or _build(path, source, facts)
    except OSError as error:
        raise UserError(f'cannot write {path}: {reason_of(error)}; it takes {_file_size(source, size):,} bytes; choose '
                        'another folder with --cache_dir') from error


def _load(path, source, expected):
    """Returns the Pack at a path; None if it does not exist or is corrupt. Brings the list of skipped files up to date.
    """
    facts_path = path.with_suffix('.json')
    if not os.path.lexists(path):
        return None
    try:
        facts = json.loads(facts_path.read_bytes())
        broken, (height, width) = facts['broken'], facts['source_shape']
        images = np.lib.format.open_memmap(path, 'r')
        shape = len(source.names) - len(broken), expected['size'], expected['size'], 3
        if (images.dtype, images.shape) == (np.uint8, shape) and _checksum(path) == facts['crc32']:
            pack = Pack(images, path, facts_path, (height, width), *crop_of(expected['crop'], (height, width)), broken,
                        facts['crc32'])
            if facts != {**facts, **expected}:
                with contextlib.suppress(OSError):  # the pack may be in a folder that others share
                    _write_facts(facts_path, {**facts, **expected})
            return pack
    except Exception:  # a damaged or foreign file can raise anything
        pass
    print(f'cache file {path} is corrupt; rebuilding it')
    return None


def _build(path, source, facts):
    with _locked(path):
        if path.exists() and (pack := _load(path, source, facts)):  # another process has built it meanwhile
            return pack
        for part in path.parent.glob(f'{glob.escape(path.stem)}.*.part'):  # a killed process left it
            part.unlink()
        _remove_outdated(path, facts)
        needed, free = _file_size(source, facts['size']), shutil.disk_usage(path.parent).free
        if needed > free:
            raise UserError(f'cannot write {path}: it takes {needed:,} bytes and only {free:,} are free; choose '
                            'another folder with --cache_dir, or remove cached packs: python -m data.pack --clear')
        with replacing(path) as part:
            with part.open('w+b') as file:
                facts = facts | _write_images(file, source, facts['crop'], facts['size'], path.with_suffix('.json'))
            facts['crc32'] = _checksum(part)
            _write_facts(path.with_suffix('.json'), facts)
    return _load(path, source, facts)


@contextlib.contextmanager
def _locked(path):
    """Lets one process at a time build a pack. The system releases the lock of a killed process."""
    lock = filelock.FileLock(path.with_suffix('.lock'))
    try:
        lock.acquire(timeout=0)
    except filelock.Timeout:
        print(f'another process is building {path}; waiting for it')
        lock.acquire()
    try:
        yield
    finally:
        lock.release()


def _remove_outdated(path, facts):
    """Removes packs of the same source, crop and size whose files changed since."""
    for other in path.parent.glob(f'*-{facts["crop"]}-{facts["size"]}-*.json'):
        if other != path.with_suffix('.json') and FILE_NAME.fullmatch(other.name):
            theirs = _read_facts(other)
            if all(theirs.get(key) == facts[key] for key in ('path', 'crop', 'size')):
                _remove_pack(other.with_suffix('.npy'))


def _read_facts(path):
    """Returns what a pack's .json says, a dict; {} if it is damaged."""
    try:
        facts = json.loads(path.read_bytes())
    except Exception:  # a damaged file can raise anything
        return {}
    return facts if isinstance(facts, dict) else {}


def _remove_pack(path):
    """Removes a pack and the files beside it; returns whether that was possible."""
    lock = filelock.FileLock(path.with_suffix('.lock'), timeout=0)
    try:
        with lock:
            for file in (path, *path.parent.glob(f'{glob.escape(path.stem)}.*.part'), path.with_suffix('.json')):
                file.unlink(missing_ok=True)
        path.with_suffix('.lock').unlink(missing_ok=True)
    except (OSError, filelock.Timeout):  # another process is building it, or has it open on Windows
        return False
    return True


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
    buffer = memoryview(bytearray(1 << 20))  # a memory map of the whole file would count as memory in use
    with open(path, 'rb', buffering=0) as file:
        while count := file.readinto(buffer):
            checksum = zlib.crc32(buffer[:count], checksum)
    return checksum


def _file_size(source, size):
    return len(source.names) * size * size * 3 + 128


def cached_packs(cache_dir):
    """Returns the sorted paths of the packs in a folder, including those of which only parts are left.

    Raises:
      UserError: the folder cannot be read.
    """
    try:
        names = os.listdir(cache_dir)
    except FileNotFoundError:
        names = []
    except OSError as error:
        raise UserError(f'cannot read {cache_dir}: {reason_of(error)}') from error
    stems = {found[1] for found in map(FILE_NAME.fullmatch, names) if found}
    return [Path(cache_dir, f'{stem}.npy') for stem in sorted(stems)]


def main(arguments=None):
    """Lists or clears the cached packs."""
    parser = argparse.ArgumentParser('python -m data.pack', description='Lists or removes the cached packs of decoded '
                                     'images. A pack that was removed is rebuilt when it is needed.')
    action = parser.add_mutually_exclusive_group(required=True)
    action.add_argument('--list', action='store_true', help='list the packs, their sizes and where their images were')
    action.add_argument('--clear', action='store_true', help='remove all packs that no process is building')
    parser.add_argument('--cache_dir', type=Path, default=CACHE_DIR, help='folder of the packs (default: %(default)s)')
    options = parser.parse_args(arguments)
    protect_standard_streams()
    try:
        cache_dir = options.cache_dir.expanduser()
        total = 0
        for path in cached_packs(cache_dir):
            size = path.stat().st_size if path.is_file() else 0
            if options.clear and not _remove_pack(path):
                print(f'in use       {path}')
                continue
            total += size
            place = _read_facts(path.with_suffix('.json')).get('path', 'an unknown place')
            print(f'{size / 1e6:10,.1f} MB  {path.stem}, images of {place}')
        print(f'{total / 1e6:10,.1f} MB  {"removed from" if options.clear else "in"} {cache_dir}')
    except UserError as error:
        sys.exit(f'data.pack: {error}')


if __name__ == '__main__':
    main()
