"""Decodes, crops and resizes images in a separate process, because Python's lock slows down threads.

    python -m data.worker CROP SIZE

Reads pickled lists of encoded images from standard input until it closes. Answers each list with a pickled list: for
every image (height, width) and the bytes of its size x size RGB pixels, or the UserError that says what is wrong.
"""

import os
import pickle
import signal
import sys
import warnings

from data.crop import crop_and_resize, decode
from dcgan.errors import UserError


def prepare(encoded, crop, size):
    """Returns ((height, width), pixels) of one image, or a UserError.

    Args:
      encoded: bytes, the content of an image file.
      crop: see ``crop_of``.
      size: int, height and width of the result in pixels.

    Returns:
      The size before the crop in pixels, and size * size * 3 bytes of RGB.
    """
    try:
        image = decode(encoded)
        return (image.height, image.width), crop_and_resize(image, crop, size).tobytes()
    except UserError as error:
        return error


def main(crop, size):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, whose end closes standard input
    warnings.simplefilter('ignore')  # Pillow's warnings about metadata would break the progress bar
    try:
        while True:
            images = pickle.load(sys.stdin.buffer)
            pickle.dump([prepare(encoded, crop, int(size)) for encoded in images], sys.stdout.buffer)
            sys.stdout.buffer.flush()
    except (EOFError, OSError, pickle.UnpicklingError):  # the parent has closed the pipes, or has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards what is left in the buffer


if __name__ == '__main__':
    main(*sys.argv[1:])
