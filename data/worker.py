"""Decodes, crops and resizes images in a process of its own: in threads, Python's lock would let few work at a time.

    python -m data.worker CROP SIZE

Reads pickled lists of encoded images from standard input, until that ends. Answers each by a pickled list: for every
image its height and width and the bytes of its size * size RGB pixels, or the DataError that says what is wrong.
"""

import os
import pickle
import sys
import warnings

from data.crop import crop_and_resize, decode
from data.errors import DataError


def prepare(encoded, crop, size):
    """Returns (height, width), pixels of one image, or a DataError."""
    try:
        image = decode(encoded)
        return (image.height, image.width), crop_and_resize(image, crop, size).tobytes()
    except DataError as error:
        return error


def main(crop, size):
    warnings.simplefilter('ignore')  # what Pillow says of odd metadata would break the progress bar
    try:
        while True:
            batch = pickle.load(sys.stdin.buffer)
            pickle.dump([prepare(encoded, crop, int(size)) for encoded in batch], sys.stdout.buffer)
            sys.stdout.buffer.flush()
    except (EOFError, pickle.UnpicklingError, BrokenPipeError):  # the process that asked is done, or is no more
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # what is left to write goes nowhere


if __name__ == '__main__':
    main(*sys.argv[1:])
