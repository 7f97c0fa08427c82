"""The pack: every image decoded, cropped and resized once, in one uint8 file that is memory-mapped."""

import hashlib
import json
import os
from multiprocessing.pool import ThreadPool
from pathlib import Path
from typing import NamedTuple

import numpy as np
from tqdm import tqdm

from data.crop import RESIZER, crop_and_resize, crop_of, decode, shape_of
from data.errors import DataError


class Pack(NamedTuple):
    """The images of a source, ready to train on.

    Attributes:
      images: uint8 [n, size, size, 3], memory-mapped, in the order of the source's names.
      path: the file.
      source_shape: height and width of the first image before the crop, in pixels.
      rows, columns: what the crop kept of it, as slices.
    """

    images: np.ndarray
    path: Path
    source_shape: tuple[int, int]
    rows: slice
    columns: slice


def make_pack(source, crop, size, cache_dir):
    """Makes the pack of a source, or finds the one that was made of the same files with the same crop and size.

    Making it shows a progress bar, and takes size * size * 3 bytes an image.

    Args:
      source: a Source.
      crop: a name of ``CROPS``, or 'auto'.
      size: height and width of the images of the pack, in pixels.
      cache_dir: the folder of packs, made where it is missing.

    Raises:
      DataError: an image cannot be decoded or has no such crop, or the folder cannot be written.
    """
    shape = _named(source.names[0], shape_of, source.read(source.names[0]))
    rows, columns = _named(source.names[0], crop_of, crop, shape)
    path = Path(cache_dir).expanduser() / f'{source.name}-{crop}-{size}-{_fingerprint(source, crop, size)}.npy'
    if not path.exists():
        _write(path, source, crop, size)
    return Pack(np.load(path, mmap_mode='r'), path, shape, rows, columns)


def _fingerprint(source, crop, size):
    facts = json.dumps([source.names, source.stamps, crop, size, RESIZER])
    return hashlib.sha256(facts.encode(errors='surrogateescape')).hexdigest()[:16]


def _write(path, source, crop, size):
    """Writes the pack beside its place and renames it into it when it is whole."""
    part = path.with_name(f'{path.name}.{os.getpid()}.part')
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            _fill(np.lib.format.open_memmap(part, 'w+', np.uint8, (len(source.names), size, size, 3)), source, crop)
            part.replace(path)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise DataError(f'the pack {path} cannot be written: {error.strerror}; --cache_dir names another '
                        'folder') from error


def _fill(images, source, crop):
    """Decodes, crops and resizes every image of the source into its place."""
    def fill(index):
        name = source.names[index]
        images[index] = _named(name, lambda: crop_and_resize(decode(source.read(name)), crop, images.shape[1]))

    # Threads, for decoding and resizing are done outside of Python's lock.
    with ThreadPool(os.cpu_count()) as pool:
        done = pool.imap_unordered(fill, range(len(source.names)), chunksize=16)
        for _ in tqdm(done, f'packing {source.name}', len(source.names), unit=' images'):
            pass
    images.flush()


def _named(name, function, *arguments):
    """Calls a function of one image, and names the image where it fails."""
    try:
        return function(*arguments)
    except DataError as error:
        raise DataError(f'{name} cannot be used: {error}') from error
