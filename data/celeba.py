"""Explains where to get CelebA, and checks a download of it.

    python -m data.celeba                            # where to get it
    python -m data.celeba img_align_celeba.zip       # or the folder: is it the data set as published?

The check reads every image: some minutes for all of them. Its exit status is 0 if all is well.
"""

import hashlib
import json
import os
import re
import sys
from collections import Counter
from multiprocessing.pool import ThreadPool
from pathlib import Path

from absl import app
from tqdm import tqdm

from data.crop import CELEBA_SHAPE, decode
from data.errors import DataError
from data.source import open_source

COUNT = 202_599  # 000001.jpg to 202599.jpg
SAMPLE = Path(__file__).with_name('celeba_sha256.json')  # {name: SHA-256, its first 16 hexadecimal digits}

WHERE = f"""CelebA (Liu, Luo, Wang and Tang, ICCV 2015): {COUNT:,} photographs of celebrities, for non-commercial
research only, not to be passed on. Its page has the terms: https://mmlab.ie.cuhk.edu.hk/projects/CelebA.html

1. On that page follow "Align&Cropped Images" and, in the folder Img, take img_align_celeba.zip (1.4 GB), in a browser:
   Google Drive answers other programs, and anyone once the day's quota is spent, with a web page of the same name.
   (torchvision gives the MD5 of the archive as 00d2c5bc6d35e252742224ab0c1e8fcb.)
2. Neither unpack nor rename anything: --dataset_dir=img_align_celeba.zip is read as it is. A folder does, too.
3. python -m data.celeba img_align_celeba.zip      checks that it is whole."""


def shortfall(names, shape):
    """Says which images are missing of what looks like the aligned CelebA.

    Args:
      names: of the images of a source.
      shape: height and width of its first image.

    Returns:
      A sentence that counts and names the first missing ones; None if none is missing, or it is another data set.
    """
    if shape != CELEBA_SHAPE:
        return None
    numbers = set(_numbers(names))
    missing = COUNT - len(numbers)
    if len(numbers) < 0.9 * len(names) or not missing:
        return None
    first = []
    number = 0
    while len(first) < min(missing, 3):
        number += 1
        if number not in numbers:
            first.append(_name(number))
    more = ', ...' if missing > len(first) else ''
    return f"{len(numbers):,} of CelebA's {COUNT:,} images are there; missing {missing:,}: {', '.join(first)}{more}"


def problems_of(source):
    """Yields a sentence for each thing in which a Source differs from the aligned CelebA as published.

    Compared are the names, the count, the size in pixels of every image and, of a sample, the checksum.
    """
    expected = json.loads(SAMPLE.read_text())

    def look(name):
        try:
            encoded = source.read(name)
            image = decode(encoded)
        except DataError as error:
            return 'broken', f'{name}: {error}'
        if (image.height, image.width) != CELEBA_SHAPE:
            return 'not 178x218 pixels', f'{name}: {image.width}x{image.height}'
        checksum = expected.get(Path(name).name)
        if checksum is None:
            return 'whole', name
        if hashlib.sha256(encoded).hexdigest()[:len(checksum)] != checksum:
            return 'not the bytes that were published', name
        return 'as published', name

    numbers = _numbers(source.names)
    if len(numbers) < len(source.names):
        other = next(name for name in source.names if not _numbers([name]))
        yield f"names not of CelebA (000001.jpg to {_name(COUNT)}): {len(source.names) - len(numbers):,}, as {other}"
    twice = [number for number, count in Counter(numbers).items() if count > 1]
    if twice:
        yield f'there more than once: {len(twice):,}, as {_name(min(twice))}'
    missing = shortfall(source.names, CELEBA_SHAPE)
    if missing:
        yield missing
    kinds = {}
    with ThreadPool(2 * os.cpu_count()) as pool:
        done = pool.imap(look, source.names, chunksize=64)
        for kind, example in tqdm(done, f'checking {source.name}', len(source.names), unit=' images'):
            kinds.setdefault(kind, []).append(example)
    kinds.pop('whole', None)
    compared = len(kinds.pop('as published', []))
    for kind, examples in kinds.items():
        yield f'{kind}: {len(examples):,}, as {"; ".join(examples[:3])}'
    if not compared:
        yield f'not one of the {len(expected)} images whose checksums are known here is as published'


def main(argv):
    if len(argv) == 1:
        print(WHERE)
        return
    if len(argv) > 2:
        raise app.UsageError('one path is expected: the folder or the .zip to check')
    try:
        source = open_source(argv[1])
        problems = list(problems_of(source))
    except DataError as error:
        sys.exit(f'data.celeba: {error}')
    except KeyboardInterrupt:
        sys.exit('\ndata.celeba: stopped before all was checked')
    if problems:
        sys.exit('\n'.join([f'{argv[1]} is not the aligned CelebA as published:', *(f'  {line}' for line in problems)]))
    print(f'{argv[1]} is the aligned CelebA as published: {len(source.names):,} images of 178x218 pixels')


def _numbers(names):
    """Returns the numbers in those names that are CelebA's."""
    numbers = [int(match[1]) for match in map(re.compile(r'(?:.*/)?(\d{6})\.jpg').fullmatch, names) if match]
    return [number for number in numbers if 1 <= number <= COUNT]


def _name(number):
    return f'{number:06d}.jpg'


if __name__ == '__main__':
    app.run(main)
