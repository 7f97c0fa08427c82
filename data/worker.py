"""What a process that decodes images does. The modules that it loads are few and light: no TensorFlow, no NumPy."""

import multiprocessing
import os
import signal
import sys
import threading
import types
import warnings
from multiprocessing.context import SpawnProcess

from data.crop import MAX_MEMORY, crop_and_resize, decode
from dcgan.errors import UserError


class Decoder(SpawnProcess):
    """A process that does not import the main module of the program, which may load TensorFlow or lack a guard."""

    def start(self):
        main = sys.modules['__main__']
        sys.modules['__main__'] = types.ModuleType('__main__')
        try:
            super().start()
        finally:
            sys.modules['__main__'] = main


def begin():
    """Prepares a process of a pool: it ends with its parent, however that ends, and only then."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the parent, which kills this process
    warnings.simplefilter('ignore')  # Pillow's warnings about metadata would break the progress bar
    if hasattr(os, 'setsid'):
        os.setsid()  # signals of the terminal are for the parent
    threading.Thread(target=_end_with_parent, daemon=True).start()


def prepare(encoded, crop, size, max_memory=MAX_MEMORY):
    """Returns ((height, width), pixels) of one image, or a UserError.

    Args:
      encoded: bytes, the content of an image file; or the UserError that says why it cannot be read.
      crop: see ``crop_of``.
      size: int, height and width of the result in pixels.
      max_memory: bytes that decoding may take.

    Returns:
      The size before the crop in pixels, and size * size * 3 bytes of RGB.
    """
    if isinstance(encoded, UserError):
        return encoded
    try:
        image, shape = decode(encoded, max_memory)
        return shape, crop_and_resize(image, crop, size).tobytes()
    except UserError as error:
        return error


def prepare_all(images, crop, size):
    """Returns the answers of ``prepare`` to several images, a list."""
    return [prepare(encoded, crop, size) for encoded in images]


def _end_with_parent():
    multiprocessing.parent_process().join()
    os._exit(1)
