"""The heartbeat: every worker asks every other, all the time, whether it is there.

What it asks for is a variable in the other's server: the addresses that the other waits for, or none once all have
joined. So a process of an earlier start, or of another cluster, is not mistaken for one that has joined.
"""

import contextlib
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow.compat.v1 as tf

from dcgan.errors import UserError, counted
from dcgan.signals import exit_now

JOIN_TIMEOUT = 45.0  # seconds for all workers to join by default: longer than a process of an earlier start lives
HEARTBEAT_TIMEOUT = 10.0  # seconds for an answer; after a second one without, a worker is dead
HEARTBEAT_INTERVAL = 2.0  # seconds from an answer to the next question
DETECTION_TIME = 2 * HEARTBEAT_TIMEOUT + 3 * HEARTBEAT_INTERVAL  # seconds until a dead worker is found, at the most
EXIT_DELAY = 3 * HEARTBEAT_INTERVAL  # seconds in which the others find the dead worker, before this one is gone, too


class Heartbeat:
    """What one worker asks of all others.

    Attributes:
      found_dead: an Event, set when a worker is dead and this process is about to end.
    """

    def __init__(self, names, addresses, rank, target, config):
        """Publishes that this worker waits for all others.

        Args:
          names, addresses: of all workers, by rank.
          rank: of this worker.
          target: of its server.
          config: the ConfigProto of sessions there.
        """
        self._names, self._addresses, self._rank = names, addresses, rank
        self._target, self._config = target, config
        self._peers = [_Peer(other, address) for other, address in enumerate(addresses) if other != rank]
        self._threads = [threading.Thread(target=self._watch, args=[peer], daemon=True) for peer in self._peers]
        self._done = threading.Event()
        self.found_dead = threading.Event()
        self._publish(addresses)

    def all_joined(self):
        """Tells all others that this worker waits for nobody any more."""
        self._publish([])

    def await_all(self, timeout):
        """Waits until every worker waits for all workers of this cluster.

        Args:
          timeout: seconds.

        Raises:
          UserError: one did not join within that time.
        """
        end = time.monotonic() + timeout
        expected = json.dumps(self._addresses).encode()
        with ThreadPoolExecutor(len(self._peers)) as pool:
            while True:
                answers = list(pool.map(lambda peer: peer.ask(HEARTBEAT_INTERVAL), self._peers))
                missing = [(peer, answer) for peer, answer in zip(self._peers, answers, strict=True)
                           if answer != expected]
                if not missing:
                    return
                if time.monotonic() > end:
                    raise UserError(self._not_joined(missing, timeout))
                for peer, _ in missing:
                    peer.reconnect()  # another process may have taken its place
                time.sleep(0.2)

    def start(self):
        """Watches all other workers from here on, and ends this process when one is dead."""
        for thread in self._threads:
            thread.start()

    def stop(self):
        """Watches no more."""
        self._done.set()
        for thread in self._threads:  # Python must not end while one of its threads is in TensorFlow
            thread.join()

    def _publish(self, addresses):
        with tf.Graph().as_default():
            state = _state(self._rank).assign(json.dumps(addresses))
            with tf.Session(self._target, config=self._config) as session:
                session.run(state.op)

    def _not_joined(self, missing, timeout):
        names = ', '.join(self._names[peer.rank] for peer, _ in missing)
        details = [f'; {self._names[peer.rank]} answers, but belongs to an earlier start or to another cluster'
                   for peer, answer in missing if answer is not None]
        return (f'{self._names[self._rank]} waited {counted(round(timeout), "second")} for {names}{"".join(details)}; '
                'start the same command on all workers within that time (--join_timeout), check that they reach one '
                'another, and give each its own index')

    def _watch(self, peer):
        while peer.ask(HEARTBEAT_TIMEOUT) is not None or peer.ask(HEARTBEAT_TIMEOUT) is not None:
            if self._done.wait(HEARTBEAT_INTERVAL):
                return
        if self._done.wait(HEARTBEAT_INTERVAL):  # it was done, and so is this one
            return
        self.found_dead.set()
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), (
                f'\n{Path(sys.argv[0]).name}: {self._names[peer.rank]} does not answer: it has ended or hangs. If it '
                'ended by itself, its own output says why; start the same command on all workers to resume from the '
                'last checkpoint\n').encode())
        time.sleep(EXIT_DELAY)
        exit_now(1)


class _Peer:
    """Another worker, asked in one session until ``reconnect``, so that a process in its place does not answer."""

    def __init__(self, rank, address):
        self.rank = rank
        self._address = address
        with tf.Graph().as_default() as self._graph:
            self._state = _state(rank).read_value()
        self.reconnect()

    def reconnect(self):
        config = tf.ConfigProto(operation_timeout_in_ms=int(1000 * HEARTBEAT_INTERVAL),  # to connect
                                device_filters=[f'/job:worker/task:{self.rank}'])
        self._session = tf.Session(f'grpc://{self._address}', self._graph, config)

    def ask(self, seconds):
        """Returns the addresses that it waits for, as JSON in bytes; None if there was no answer in that time."""
        try:
            return self._session.run(self._state, options=tf.RunOptions(timeout_in_ms=int(1000 * seconds)))
        except tf.errors.OpError:
            return None


def _state(rank):
    """Returns the variable, in the current graph, in which the server of a worker says whom that waits for."""
    with tf.device(f'/job:worker/task:{rank}/device:CPU:0'):
        return tf.get_variable('waits_for', initializer='', trainable=False)
