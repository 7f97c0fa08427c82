"""Decodes images in other processes, none of which outlives the work."""

import collections
import contextlib
import functools
import multiprocessing
import signal
import threading
import uuid
from concurrent.futures import ProcessPoolExecutor, TimeoutError
from concurrent.futures.process import BrokenProcessPool
from multiprocessing.context import SpawnContext

import numpy as np

from data import worker
from data.crop import MAX_MEMORY
from dcgan.cores import cores
from dcgan.errors import UserError, counted, reason_of
from dcgan.signals import handling_stop_signals

MAX_DECODERS = 16
IMAGES_PER_TASK = 32
BYTES_PER_TASK = 1 << 22  # of encoded images, unless one alone has more
ENCODED_MEMORY = 1 << 26  # bytes of encoded images that wait for their answers, unless one alone has more
MAX_SECONDS = 60  # of decoding one image, and of starting a process for it
MAX_TASK_SECONDS = 300


def decode_images(images, crop, size):
    """Decodes, crops and resizes images, in one process per core. A generator: close it to end these processes.

    If one of them dies or hangs, the images that were in work are decoded again, each in a process of its own.

    Args:
      images: iterator of (name, content); the content is bytes, or a UserError that says why it cannot be read.
      crop: see ``crop_of``.
      size: int, height and width of the results in pixels.

    Yields:
      (name, answer) in the order of the images; for the answer, see ``worker.prepare``.

    Raises:
      UserError: no pool of processes can be started.
    """
    with contextlib.closing(_Pool(min(cores(), MAX_DECODERS))) as pool:
        pending = collections.deque()

        def answers():
            names, contents, future = pending.popleft()
            try:
                decoded = future.result(MAX_TASK_SECONDS)
            except (BrokenProcessPool, TimeoutError):
                pool.close()
                decoded = (_decode_alone(content, crop, size, MAX_MEMORY, MAX_SECONDS) for content in contents)
            yield from zip(names, decoded, strict=True)

        for names, contents in _tasks(images):
            pending.append((names, contents, pool.submit(worker.prepare_all, contents, crop, size)))
            while len(pending) > pool.size + 4 or sum(_size_of(task[1]) for task in pending) > ENCODED_MEMORY:
                yield from answers()
        while pending:
            yield from answers()


def decode_one(encoded, crop, size, max_memory, seconds):
    """Decodes one image in a process of its own, which a hostile file may crash or keep busy.

    Args:
      encoded: bytes, the content of an image file.
      crop, size, max_memory: as ``worker.prepare`` takes them.
      seconds: that decoding may take.

    Returns:
      Uint8 [size, size, 3].

    Raises:
      UserError: the image is damaged, too large, in another format or of another shape than the crop expects.
    """
    answer = _decode_alone(encoded, crop, size, max_memory, seconds)
    if isinstance(answer, UserError):
        raise answer
    return np.frombuffer(answer[1], np.uint8).reshape(size, size, 3)


@contextlib.contextmanager
def _stop_signals_deferred():
    """Lets stop signals wait until the context ends: nobody finds and kills a process that is half started."""
    if threading.current_thread() is not threading.main_thread():  # only the main thread answers signals
        yield
        return
    received = []
    try:
        with handling_stop_signals(lambda number, frame: received.append(number)):
            yield
    finally:
        for number in received:
            signal.raise_signal(number)


class _Pool:
    """A ProcessPoolExecutor that starts again after one of its processes has ended.

    Attributes:
      size: the number of processes.
    """

    @_stop_signals_deferred()
    def __init__(self, size):
        self.size = size
        self._name = f'decoder {uuid.uuid4()}'
        self._start()

    def _start(self):
        context = SpawnContext()
        context.Process = functools.partial(worker.Decoder, name=self._name)
        try:
            self._executor = ProcessPoolExecutor(self.size, context, worker.begin)
        except OSError as error:
            raise UserError(f'cannot start processes that decode images: {reason_of(error)}; on Linux, they need a '
                            'writable /dev/shm: mount one') from error

    @_stop_signals_deferred()
    def submit(self, function, *arguments):
        """Returns the Future of a call of a function in one of the processes."""
        try:
            return self._executor.submit(function, *arguments)
        except BrokenProcessPool:
            self.close()
            self._start()
            return self._executor.submit(function, *arguments)

    @_stop_signals_deferred()
    def close(self):
        """Kills the processes, even if they are busy or stopped."""
        for process in multiprocessing.active_children():
            if process.name == self._name:
                process.kill()
        self._executor.shutdown(cancel_futures=True)


def _decode_alone(encoded, crop, size, max_memory, seconds):
    """Returns the answer of ``worker.prepare`` to one image, by a process of its own."""
    with contextlib.closing(_Pool(1)) as pool:
        try:
            return pool.submit(worker.prepare, encoded, crop, size, max_memory).result(seconds)
        except TimeoutError:
            return UserError(f'decoding it takes more than {counted(seconds, "second")}')
        except BrokenProcessPool:
            return UserError('the process that decodes it ended; it may have run out of memory')


def _tasks(images):
    """Yields what a process gets at a time: names and contents, two lists."""
    names, contents = [], []
    for name, content in images:
        names.append(name)
        contents.append(content)
        if len(names) == IMAGES_PER_TASK or _size_of(contents) > BYTES_PER_TASK:
            yield names, contents
            names, contents = [], []
    if names:
        yield names, contents


def _size_of(contents):
    return sum(len(content) for content in contents if isinstance(content, bytes))
