"""The pack: every image decoded, cropped and resized once, in one uint8 file that is memory-mapped."""

import contextlib
import fcntl
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

import numpy as np
from tqdm import tqdm

from data.crop import RESIZER, crop_of
from data.errors import DataError

CACHE_DIR = os.path.join(os.environ.get('XDG_CACHE_HOME') or '~/.cache', 'dcgan-faces')  # unless another is named
MAX_BROKEN = 0.01  # share of the images
AT_ONCE = 1 << 24  # bytes decoded before they are written: what bounds the memory
PART = 32  # images that a worker is sent at a time


class Pack(NamedTuple):
    """The images of a source, ready to train on.

    Attributes:
      images: uint8 [n, size, size, 3], memory-mapped, in the order of the source's names.
      path: the file.
      facts_path: the .json beside it that says what it was made of, and which images were broken.
      source_shape: height and width of the first image before the crop, in pixels.
      rows, columns: what the crop kept of it, as slices.
      broken: {name: reason} of the images that were skipped.
      crc32: checksum of the file, and so of the images.
    """

    images: np.ndarray
    path: Path
    facts_path: Path
    source_shape: tuple[int, int]
    rows: slice
    columns: slice
    broken: dict[str, str]
    crc32: int


def make_pack(source, crop, size, cache_dir):
    """Makes the pack of a source, or finds the one that was made of the same files with the same crop and size.

    Making it shows a progress bar, and takes size * size * 3 bytes an image on disk. Where another process is making
    the same pack, it is waited for. A pack whose checksum is not that of its making is made anew.

    Args:
      source: a Source.
      crop: a name of ``CROPS``, or 'auto'.
      size: height and width of the images of the pack, in pixels.
      cache_dir: the folder of packs, made where it is missing.

    Raises:
      DataError: more than one image in a hundred is broken or has no such crop, or the folder cannot be written.
    """
    facts = {'source': source.name, 'crop': crop, 'size': size, 'resizer': RESIZER,
             'fingerprint': _fingerprint(source, crop, size)}
    path = Path(os.path.expanduser(cache_dir)) / f'{source.name}-{crop}-{size}-{facts["fingerprint"]}.npy'
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        return _load(path) or _make(path, source, facts)
    except OSError as error:
        raise DataError(f'the pack {path} cannot be written: {error.strerror}; it takes {_bytes(source, size):,} '
                        'bytes, and --cache_dir names another folder') from error


def _fingerprint(source, crop, size):
    facts = json.dumps([source.names, source.stamps, crop, size, RESIZER])
    return hashlib.sha256(facts.encode()).hexdigest()[:16]


def _load(path):
    """Returns the Pack at a path, or None where there is no whole one."""
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
    except (OSError, ValueError, KeyError, TypeError):  # what a damaged or foreign file leads to
        pass
    print(f'the pack {path} is not as it was made, and is made anew')
    return None


def _make(path, source, facts):
    part = path.with_suffix('.part')
    with _exclusive(part) as file:
        if path.exists() and (pack := _load(path)):  # made by the process that was waited for
            return pack
        needed, free = _bytes(source, facts['size']), shutil.disk_usage(path.parent).free
        if needed > free:
            raise DataError(f'the pack {path} takes {needed:,} bytes, and {free:,} are free there; --cache_dir names '
                            'another folder')
        facts = {**facts, **_fill(file, source, facts['crop'], facts['size'], path.with_suffix('.json'))}
        facts['crc32'] = _checksum(part)
        _write_facts(path.with_suffix('.json'), facts)
        part.replace(path)
    return _load(path)


@contextlib.contextmanager
def _exclusive(part):
    """Opens a file that no other process has open this way, waiting for it; removes it unless it was renamed.

    The lock goes with the process, however that ends, so the next one takes over what a killed one left.
    """
    while True:
        with open(os.open(part, os.O_RDWR | os.O_CREAT, 0o666), 'r+b') as file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                print(f'another process is writing {part}; waiting for it')
                fcntl.flock(file, fcntl.LOCK_EX)
            if not part.exists() or not os.path.samestat(os.fstat(file.fileno()), part.stat()):
                continue  # the process that was waited for has renamed or removed it
            try:
                file.truncate()
                yield file
            finally:
                if part.exists() and os.path.samestat(os.fstat(file.fileno()), part.stat()):
                    part.unlink()
            return


def _fill(file, source, crop, size, facts_path):
    """Writes the images of a source as an .npy file; returns the facts 'images', 'source_shape' and 'broken'."""
    found = len(source.names)
    shape, broken = None, {}
    at_once = max(64, AT_ONCE // (size * size * 3))
    _write_header(file, found, size)
    with (_workers(source, crop, size) as prepare,
          tqdm(desc=f'packing {source.name}', total=found, unit=' images') as bar):
        for start in range(0, found, at_once):
            names = source.names[start:start + at_once]
            for name, result in zip(names, prepare(names), strict=True):
                if isinstance(result, DataError):
                    broken[name] = str(result)
                else:
                    shape = shape or result[0]
                    file.write(result[1])
                bar.update()
            if len(broken) > MAX_BROKEN * found:
                _write_facts(facts_path, {'broken': broken})
                first = ''.join(f'\n  {name}: {broken[name]}' for name in list(broken)[:3])
                raise DataError(f'{len(broken):,} of the first {start + len(names):,} images of {source.name} cannot '
                                f'be used, more than 1 % of all {found:,}; they are listed in {facts_path}, as:{first}')
    file.seek(0)
    _write_header(file, found - len(broken), size)
    file.flush()
    return {'images': found - len(broken), 'source_shape': shape, 'broken': broken}


@contextlib.contextmanager
def _workers(source, crop, size):
    """Starts a ``data.worker`` per core; gives a function of names that yields, in their order, what these answer.

    When this process ends, however it does, so does their standard input, and so do they.
    """
    def ask(names):
        answers = [_read(source, name) for name in names]
        worker = idle.get()
        try:
            pickle.dump([answer for answer in answers if isinstance(answer, bytes)], worker.stdin)
            worker.stdin.flush()
            prepared = iter(pickle.load(worker.stdout))
        except (BrokenPipeError, EOFError) as error:
            raise DataError(f'the process that decodes {names[0]} and the {len(names) - 1} images after it ended with '
                            f'status {worker.wait()}; is there memory enough?') from error
        finally:
            idle.put(worker)
        return [next(prepared) if isinstance(answer, bytes) else answer for answer in answers]

    def prepare(names):
        parts = [names[start:start + PART] for start in range(0, len(names), PART)]
        return itertools.chain.from_iterable(threads.imap(ask, parts))

    count = min(os.cpu_count(), -(-len(source.names) // PART))
    idle = queue.SimpleQueue()
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            idle.put(stack.enter_context(subprocess.Popen(
                [sys.executable, '-m', 'data.worker', crop, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
                cwd=Path(__file__).parent.parent, start_new_session=True)))  # Ctrl-C is for this process alone
        threads = stack.enter_context(ThreadPool(2 * count))  # while one waits for a worker, another reads
        yield prepare


def _read(source, name):
    try:
        return source.read(name)
    except DataError as error:
        return error


def _write_header(file, count, size):
    # NumPy pads it so that the count may change in place.
    np.lib.format.write_array_header_1_0(
        file, {'descr': '|u1', 'fortran_order': False, 'shape': (count, size, size, 3)})


def _write_facts(path, facts):
    part = path.with_name(f'{path.name}.part')
    part.write_text(json.dumps(facts, indent=2) + '\n')
    part.replace(path)


def _checksum(path):
    checksum = 0
    part = memoryview(bytearray(1 << 20))  # read, not mapped, so that it takes no more memory for more images
    with open(path, 'rb', buffering=0) as file:
        while count := file.readinto(part):
            checksum = zlib.crc32(part[:count], checksum)
    return checksum


def _bytes(source, size):
    return len(source.names) * size * size * 3 + 128
