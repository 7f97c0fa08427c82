"""Decodes, crops and resizes images in a separate process, because Python's global lock slows down threads.

    python -m data.worker CROP SIZE

Reads pickled lists of encoded images from standard input until it closes. Answers each image with a pickled
((height, width), pixels), the bytes of its size x size RGB pixels, or with the UserError that says what is wrong. Where
decoding takes much memory, answers with the number of bytes first, and waits for a byte on standard input.
"""

import os
import pickle
import signal
import sys
import warnings

from data.crop import crop_and_resize, decode
from dcgan.errors import UserError

FREE_MEMORY = 1 << 24  # bytes that decoding may take without asking


def prepare(encoded, crop, size, wait_for_memory=lambda needed: None):
    """Returns ((height, width), pixels) of one image, or a UserError.

    Args:
      encoded: bytes, the content of an image file.
      crop: see ``crop_of``.
      size: int, height and width of the result in pixels.
      wait_for_memory: see ``decode``.

    Returns:
      The size before the crop in pixels, and size * size * 3 bytes of RGB.
    """
    try:
        decoded = decode(encoded, wait_for_memory)
        return decoded.shape, crop_and_resize(decoded, crop, size).tobytes()
    except UserError as error:
        return error


def main(crop, size):
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which kills this process
    warnings.simplefilter('ignore')  # Pillow's warnings about metadata would break the progress bar

    def answer(value):
        pickle.dump(value, sys.stdout.buffer)
        sys.stdout.buffer.flush()  # at once: the answer that is missing tells at which image this process died

    def wait_for_memory(needed):
        if needed > FREE_MEMORY:
            answer(needed)
            if not sys.stdin.buffer.read(1):
                sys.exit()

    try:
        while True:
            images = pickle.load(sys.stdin.buffer)[::-1]
            while images:
                answer(prepare(images.pop(), crop, int(size), wait_for_memory))
    except (EOFError, OSError, pickle.UnpicklingError):  # the parent has closed the pipes, or has ended
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # discards what is left in the buffer


if __name__ == '__main__':
    main(*sys.argv[1:])
