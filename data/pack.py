"""The pack: all images, decoded, cropped and resized once, in one memory-mapped uint8 file."""

import contextlib
import glob
import hashlib
import itertools
import json
import os
import pickle
import queue
import shutil
import subprocess
import sys
import zlib
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import filelock
import numpy as np
from tqdm import tqdm

from data.crop import RESIZER, crop_of
from dcgan.errors import UserError, reason_of
from dcgan.files import replacing, write_atomically

MAX_BROKEN = 0.01  # of all images
MAX_PENDING = 1 << 24  # bytes to decode before they are written; limits the memory
IMAGES_PER_REQUEST = 32  # how many a worker gets at a time


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

    Building shows a progress bar and takes size * size * 3 bytes per image on disk. If another process is building the
    same pack, this one waits for it. A corrupt pack is rebuilt.

    Args:
      source: a Source.
      crop: a name in ``CROPS``, or 'auto'.
      size: int, height and width of the images in the pack, in pixels.
      cache_dir: the folder for packs; created if it does not exist.

    Returns:
      A Pack.

    Raises:
      UserError: more than 1 % of the images are broken or do not fit the crop, or the folder cannot be written.
    """
    facts = {'source': source.name, 'crop': crop, 'size': size, 'resizer': RESIZER,
             'fingerprint': _fingerprint(source, crop, size)}
    path = Path(os.path.expanduser(cache_dir)) / f'{source.name}-{crop}-{size}-{facts["fingerprint"]}.npy'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _load(path) or _build(path, source, facts)
    except OSError as error:
        raise UserError(f'cannot write {path}: {reason_of(error)}; it takes {_file_size(source, size):,} bytes; choose '
                        'another folder with --cache_dir') from error


def _fingerprint(source, crop, size):
    facts = json.dumps([source.names, source.stamps, crop, size, RESIZER])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _load(path):
    """Returns the Pack at a path; None if it does not exist or is corrupt."""
    facts_path = path.with_suffix('.json')
    if not path.exists():
        return None
    try:
        facts = json.loads(facts_path.read_bytes())
        if _checksum(path) == facts['crc32']:
            shape = tuple(facts['source_shape'])
            images = np.lib.format.open_memmap(path, 'r')
            return Pack(images, path, facts_path, shape, *crop_of(facts['crop'], shape), facts['broken'],
                        facts['crc32'])
    except (OSError, ValueError, KeyError, TypeError):  # a damaged or foreign file
        pass
    print(f'cache file {path} is corrupt; rebuilding it')
    return None


def _build(path, source, facts):
    with _locked(path):
        if path.exists() and (pack := _load(path)):  # another process has built it meanwhile
            return pack
        for part in path.parent.glob(f'{glob.escape(path.stem)}.*.part'):  # a killed process left it
            part.unlink()
        needed, free = _file_size(source, facts['size']), shutil.disk_usage(path.parent).free
        if needed > free:
            raise UserError(f'cannot write {path}: it takes {needed:,} bytes and only {free:,} are free; choose '
                            'another folder with --cache_dir')
        with replacing(path) as part:
            with part.open('w+b') as file:
                facts = facts | _write_images(file, source, facts['crop'], facts['size'], path.with_suffix('.json'))
            facts['crc32'] = _checksum(part)
            _write_facts(path.with_suffix('.json'), facts)
    return _load(path)


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


def _write_images(file, source, crop, size, facts_path):
    """Writes the images of a source as an .npy file; returns the facts 'images', 'source_shape' and 'broken'."""
    count = len(source.names)
    shape, broken = None, {}
    pending = max(64, MAX_PENDING // (size * size * 3))
    _write_header(file, count, size)
    with (_workers(source, crop, size) as prepare,
          tqdm(desc=f'packing {source.name}', total=count, unit=' images') as bar):
        for start in range(0, count, pending):
            names = source.names[start:start + pending]
            for name, result in zip(names, prepare(names), strict=True):
                if isinstance(result, UserError):
                    broken[name] = str(result)
                else:
                    shape = shape or result[0]
                    file.write(result[1])
                bar.update()
            if len(broken) > MAX_BROKEN * count:
                _write_facts(facts_path, {'broken': broken})
                first = ''.join(f'\n  {name}: {broken[name]}' for name in list(broken)[:3])
                raise UserError(f'{len(broken):,} of the first {start + len(names):,} images of {source.name} are '
                                f'broken or do not fit the crop, more than 1 % of all {count:,}; replace or remove '
                                f'them ({facts_path} lists them), e.g.{first}')
    file.seek(0)
    _write_header(file, count - len(broken), size)
    file.flush()
    return {'images': count - len(broken), 'source_shape': shape, 'broken': broken}


@contextlib.contextmanager
def _workers(source, crop, size):
    """Starts a ``data.worker`` per core. Gives a function that takes names and yields the workers' results in order.

    A worker ends when its standard input closes, and so when this process ends, even if it is killed.
    """
    def request(names):
        files = [_read(source, name) for name in names]
        worker = idle.get()
        try:
            pickle.dump([file for file in files if isinstance(file, bytes)], worker.stdin)
            worker.stdin.flush()
            results = iter(pickle.load(worker.stdout))
        except (EOFError, OSError, pickle.UnpicklingError) as error:
            raise UserError(f'the process that decodes {names[0]} and the next {len(names) - 1} images ended with '
                            f'status {worker.wait()}; it may have run out of memory: close other programs and try '
                            'again') from error
        finally:
            idle.put(worker)
        return [next(results) if isinstance(file, bytes) else file for file in files]

    def prepare(names):
        requests = [names[start:start + IMAGES_PER_REQUEST] for start in range(0, len(names), IMAGES_PER_REQUEST)]
        return itertools.chain.from_iterable(threads.imap(request, requests))

    count = min(os.cpu_count(), -(-len(source.names) // IMAGES_PER_REQUEST))
    idle = queue.SimpleQueue()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            idle.put(stack.enter_context(subprocess.Popen(
                [sys.executable, '-m', 'data.worker', crop, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                cwd=Path(__file__).parent.parent, start_new_session=True)))  # so that Ctrl-C reaches this process only
        threads = stack.enter_context(ThreadPool(2 * count))  # one waits for a worker while another reads files
        yield prepare


def _read(source, name):
    try:
        return source.read(name)
    except UserError as error:
        return error


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
