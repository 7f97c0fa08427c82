"""Decodes the images of a source in one process per core, in bounded memory; no process outlives the work."""

import collections
import concurrent.futures
import contextlib
import pickle
import queue
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np

from data.cores import available_cores
from data.folders import MAX_BYTES
from dcgan.errors import UserError

IMAGES_PER_REQUEST = 32  # how many a decoder gets at a time, at most
BYTES_PER_REQUEST = 1 << 22  # of encoded images, and of decoded ones, unless one alone has more
ENCODED_MEMORY = 1 << 26  # bytes of encoded images in memory, unless one alone has more
DECODING_MEMORY = 1 << 29  # bytes for decoding large images at the same time, unless one alone takes more
MAX_DEATHS = 8  # of workers in a row


class Budget:
    """Bytes of memory that threads may use at the same time."""

    def __init__(self, total):
        self._free = self._total = total
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def using(self, amount):
        """A context that waits until that many bytes are free; above the total, until no thread uses any."""
        amount = min(amount, self._total)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= amount)
            self._free -= amount
        try:
            yield
        finally:
            with self._changed:
                self._free += amount
                self._changed.notify_all()


@contextlib.contextmanager
def decoders(source, crop, size):
    """Starts a ``data.worker`` per core; kills them when the context ends, even if they are busy or stopped.

    A worker also ends when its standard input closes, and so when this process is killed. One that dies is replaced.

    Gives:
      An iterator over the workers' answers, in the order of ``source.names``; for an image on which two workers died, a
      UserError. It raises a UserError if workers keep dying.
    """
    requests = list(_requests(source, size))
    count = min(available_cores(), len(requests))
    encoded_memory, decoding_memory = Budget(ENCODED_MEMORY), Budget(DECODING_MEMORY)
    workers, idle = [], queue.SimpleQueue()
    starting, has_ended, deaths = threading.Lock(), False, 0  # deaths in a row
    # One waits for a worker while another reads files. multiprocessing's ThreadPool would need a writable /dev/shm.
    threads = concurrent.futures.ThreadPoolExecutor(2 * count)

    def start():
        with starting:
            if has_ended:
                raise UserError('the decoders have ended')
            workers.append(_start(crop, size))
            return workers[-1]

    def decode(names, amount):
        with encoded_memory.using(amount):
            files, answers, suspect = [_read(source, name) for name in names], [], None
            worker = idle.get()
            try:
                while (status := ask(worker, files, answers)) is not None:
                    name = names[len(answers)]
                    if deaths >= MAX_DEATHS:
                        raise UserError(f'the process that decodes {name} ended with status {status}, as {deaths} in a '
                                        'row did; they may have run out of memory: close other programs and try again')
                    if name == suspect:
                        answers.append(UserError(f'the process that decodes it ended with status {status}'))
                    suspect, worker = name, start()  # tries once more: it may have been killed for another reason
            finally:
                idle.put(worker)
            return answers

    def ask(worker, files, answers):
        """Adds the answers that are missing. If the worker dies, returns its exit status."""
        nonlocal deaths
        rest = files[len(answers):]
        try:
            pickle.dump([file for file in rest if isinstance(file, bytes)], worker.stdin)
            worker.stdin.flush()
            for file in rest:
                answers.append(_receive(worker, decoding_memory.using) if isinstance(file, bytes) else file)
                deaths = 0
        except (EOFError, OSError, ValueError, pickle.UnpicklingError):  # ValueError: its pipes are closed
            deaths += 1
            return _end(worker)
        return None

    def answers():
        pending = collections.deque()
        for request in requests:
            pending.append(threads.submit(decode, *request))
            if len(pending) == 4 * count:
                yield from wait(pending.popleft())
        while pending:
            yield from wait(pending.popleft())

    def wait(pending):
        while not concurrent.futures.wait([pending], 0.5).done:  # a signal just before an endless wait is seen after it
            pass
        return pending.result()

    try:
        for _ in range(count):
            idle.put(start())
        yield answers()
    finally:
        with starting:
            has_ended = True
        for worker in workers:
            worker.kill()
        threads.shutdown(wait=False, cancel_futures=True)
        for worker in workers:
            _end(worker)


def decode_one(encoded, crop, size, max_memory, seconds):
    """Decodes one image in a process of its own, which a hostile file may crash or keep busy.

    Args:
      encoded: bytes, the content of an image file.
      crop, size: as ``data.worker.prepare`` takes them.
      max_memory: bytes that decoding may take.
      seconds: that it may take.

    Returns:
      Uint8 [size, size, 3].

    Raises:
      UserError: the image is damaged, too large, in another format or of another shape than the crop expects.
    """
    @contextlib.contextmanager
    def using(amount):
        if amount > max_memory:
            raise UserError(f'decoding it takes {amount:,} bytes of memory; the limit is {max_memory:,}; save it with '
                            'fewer pixels')
        yield

    worker = _start(crop, size)
    timer = threading.Timer(seconds, worker.kill)
    timer.start()
    try:
        pickle.dump([encoded], worker.stdin)
        worker.stdin.flush()
        answer = _receive(worker, using)
    except (EOFError, OSError, pickle.UnpicklingError) as error:
        raise UserError('the process that decodes it ended' if timer.is_alive() else
                        f'decoding it takes more than {seconds} seconds') from error
    finally:
        timer.cancel()
        worker.kill()
        _end(worker)
    if isinstance(answer, UserError):
        raise answer
    return np.frombuffer(answer[1], np.uint8).reshape(size, size, 3)


def _start(crop, size):
    """Starts a ``data.worker``; returns its Popen."""
    return subprocess.Popen(
        [sys.executable, '-m', 'data.worker', crop, str(size)], stdin=subprocess.PIPE, stdout=subprocess.PIPE,
        cwd=Path(__file__).parent.parent, start_new_session=True)  # so that Ctrl-C reaches this process only


def _receive(worker, using):
    """Returns a worker's answer to one image; ``using`` gives a context for the bytes of memory that it takes."""
    answer = pickle.load(worker.stdout)
    if not isinstance(answer, int):
        return answer
    with using(answer):
        worker.stdin.write(b'\n')
        worker.stdin.flush()
        return pickle.load(worker.stdout)


def _end(worker):
    """Closes the pipes of a worker, which ends it if it has not ended; returns its exit status."""
    for pipe in worker.stdout, worker.stdin:
        with contextlib.suppress(OSError):  # of what was not written yet
            pipe.close()
    return worker.wait()


def _requests(source, size):
    """Yields what a worker gets at a time: names, and the most bytes that their files have."""
    most = max(1, min(IMAGES_PER_REQUEST, BYTES_PER_REQUEST // (size * size * 3)))
    names, amount = [], 0
    for name, stamp in zip(source.names, source.stamps, strict=True):
        length = min(stamp[0], MAX_BYTES)
        if names and (len(names) == most or amount + length > BYTES_PER_REQUEST):
            yield names, amount
            names, amount = [], 0
        names.append(name)
        amount += length
    yield names, amount


def _read(source, name):
    try:
        return source.read(name)
    except UserError as error:
        return error
