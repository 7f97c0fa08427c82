"""Workers that train one model together, each in its own process, on TensorFlow's servers and collectives.

Every worker holds the whole model and takes its slice of each batch. Where they exchange something, TensorFlow's
collective ops do it, each worker running the same ops in its own session. Such an op waits for all workers without
end, so every worker also asks every other, all the time, whether it is there, and ends when one is not.

What is asked for is a variable in the other's server: whom it waits for, and nothing once all have come. So nobody
takes for one that came now a process of a former start, or one of other workers.
"""

import contextlib
import json
import os
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import tensorflow.compat.v1 as tf

from runtime.errors import RunError, reason_of
from runtime.tf_config import place_of

COMING = 45.0  # seconds for all to come: more than a process of a former start lives, FINDING + LEAVING
ANSWER = 10.0  # seconds for an answer; who does not answer is asked a second time
PAUSE = 2.0  # seconds from an answer to the next question
FINDING = 2 * ANSWER + 2 * PAUSE  # seconds until one that is gone is found, at the most
LEAVING = 3 * PAUSE  # seconds for the others to find out for themselves who is gone, before this one is, too
MESSAGE = 1 << 14  # bytes that a worker can tell the others at once
LARGE = 1 << 18  # numbers of a tensor that is exchanged by itself; smaller ones go together

# What TensorFlow raises where an exchange is broken off.
NO_EXCHANGE = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
               tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError, tf.errors.InternalError)


def workers():
    """Returns the workers that TF_CONFIG in the environment names, as ``Cluster``; one that is alone as ``Alone``.

    Raises:
      RunError: TF_CONFIG is not what it should be.
    """
    place = place_of(os.environ.get('TF_CONFIG'))
    return Alone() if place is None else Cluster(place)


class Alone:
    """The only worker, of which ``Cluster`` has more: nothing is exchanged, and the graph is that of one machine."""

    names, count, index, is_first, target = ['this'], 1, 0, True, ''
    average = None

    @contextlib.contextmanager
    def joined(self):
        """See ``Cluster``."""
        yield

    def adapted(self, settings):
        """See ``Cluster``."""
        return settings

    def exchange(self, message):
        """See ``Cluster``."""
        return [message]

    def take_from_first(self, variables):
        """See ``Cluster``."""
        return []


class Cluster:
    """Several workers.

    Attributes:
      names: of all.
      count: how many there are.
      index: which of them this is, from 0.
      is_first: whether it is the one that writes what the run leaves.
      target: what a session connects to, in the context of ``joined``.
    """

    def __init__(self, place):
        """Takes a Place."""
        self.names, self._addresses, self.index = place
        self.count = len(self.names)
        self.is_first = self.index == 0
        self.target = None
        self._settings = self.adapted(tf.ConfigProto())
        self._settings.gpu_options.allow_growth = True
        self._keys = 0
        self._left = threading.Event()  # this one is done
        self._found = threading.Event()  # another is gone

    @contextlib.contextmanager
    def joined(self):
        """Starts this worker's server and waits until all have done so; in its context this worker is watched over.

        Raises:
          RunError: the port is taken, a worker does not come, or an exchange failed.
        """
        try:
            server = tf.train.Server({'worker': self._addresses}, 'worker', self.index, config=self._settings)
        except tf.errors.OpError as error:
            raise RunError(f'the address of this worker, {self.names[self.index]}, cannot be listened at: '
                           f'{reason_of(error)}; is another process using the port?') from error
        self.target = server.target
        self._say_whom_it_waits_for(self._addresses)
        questions = [_Question(index, address) for index, address in enumerate(self._addresses) if index != self.index]
        _interruptibly(self._await, questions)
        watches = [threading.Thread(target=self._watch, args=[question], daemon=True) for question in questions]
        for watch in watches:
            watch.start()
        try:
            self.exchange(None)  # nobody goes before all have come
            self._say_whom_it_waits_for([])
            yield
            with contextlib.suppress(*NO_EXCHANGE):  # another is gone only because it, too, is done
                self.exchange(None)
        except NO_EXCHANGE as error:
            if self._found.wait(FINDING + PAUSE):
                threading.Event().wait()  # for the watch, which says who is gone and ends this process
            raise RunError('the workers could not exchange what they must, though all of them answer: '
                           f'{type(error).__name__}, {reason_of(error)}; the same command on all goes on from the last '
                           'checkpoint') from error
        except SystemExit as leaving:
            _end(leaving.code)
        finally:
            self._left.set()
            for watch in watches:  # Python must not end while one of its threads is in TensorFlow
                watch.join()

    def adapted(self, settings):
        """Adds to the ConfigProto of a session what it takes to exchange something, and returns it."""
        settings.experimental.collective_group_leader = '/job:worker/replica:0/task:0'
        settings.device_filters.append(f'/job:worker/replica:0/task:{self.index}')
        rewrites = settings.graph_options.rewrite_options
        if rewrites.auto_mixed_precision_onednn_bfloat16:
            # What it fuses in bfloat16 oneDNN has kernels for, but the graph that goes to a server is refused before.
            rewrites.remapping = 2  # RewriterConfig.OFF
        return settings

    def exchange(self, message):
        """Tells all workers something and returns what they tell, in their order; all must be here to go on.

        Args:
          message: what JSON can hold, in no more than ``MESSAGE`` bytes.
        """
        return _interruptibly(self._exchange, message)

    def _exchange(self, message):
        content = json.dumps(message).encode()
        padded = np.frombuffer(content.ljust(MESSAGE), np.uint8).astype(np.int32)
        with tf.Graph().as_default():
            told = self.gather(tf.constant(padded))
            with tf.Session(self.target, config=self._settings) as session:
                return [json.loads(row.astype(np.uint8).tobytes()) for row in session.run(told)]

    def gather(self, numbers):
        """Returns int32 [count, n], the vectors int32 [n] of all workers."""
        size = numbers.shape[0]
        with tf.device('CPU:0'):
            gathered = tf.raw_ops.CollectiveGather(
                input=numbers, group_size=self.count, group_key=1, instance_key=self._key(), shape=[self.count * size])
        return tf.reshape(gathered, [self.count, size])

    def average(self, tensors):
        """Returns, for a list of float32 tensors, their means over all workers: the same bits on all of them."""
        large = {i for i, tensor in enumerate(tensors) if tensor.shape.num_elements() >= LARGE}
        small = [i for i in range(len(tensors)) if i not in large]
        means = {i: self._mean(tensors[i]) for i in sorted(large)}
        if small:
            together = self._mean(tf.concat([tf.reshape(tensors[i], [-1]) for i in small], 0))
            pieces = tf.split(together, [tensors[i].shape.num_elements() for i in small])
            means.update((i, tf.reshape(piece, tensors[i].shape)) for i, piece in zip(small, pieces, strict=True))
        return [means[i] for i in range(len(tensors))]

    def take_from_first(self, variables):
        """Returns ops that give variables the values that they have on the first worker."""
        return [self._take_from_first(variable) for variable in variables]

    def _take_from_first(self, variable):
        common = {'group_size': self.count, 'group_key': 1, 'instance_key': self._key(), 'shape': variable.shape}
        value = variable.read_value()  # here, as where it is read it is placed
        with tf.device('CPU:0'):
            if self.is_first:
                return tf.raw_ops.CollectiveBcastSend(input=value, **common).op
            received = tf.raw_ops.CollectiveBcastRecv(T=variable.dtype.base_dtype, **common)
        return variable.assign(received).op

    def _mean(self, tensor):
        return tf.raw_ops.CollectiveReduce(
            input=tensor, group_size=self.count, group_key=2, instance_key=self._key(), merge_op='Add', final_op='Div',
            subdiv_offsets=[0])

    def _key(self):
        self._keys += 1
        return self._keys

    def _say_whom_it_waits_for(self, addresses):
        with tf.Graph().as_default():
            said = _state(self.index).assign(json.dumps(addresses))
            with tf.Session(self.target, config=self._settings) as session:
                session.run(said.op)

    def _await(self, questions):
        """Waits until all wait for all."""
        end = time.monotonic() + COMING
        wanted = json.dumps(self._addresses).encode()
        with ThreadPoolExecutor(len(questions)) as pool:
            while True:
                answers = list(pool.map(lambda question: question.answer(PAUSE), questions))
                missing = [(question, answer) for question, answer in zip(questions, answers, strict=True)
                           if answer != wanted]
                if not missing:
                    return
                if time.monotonic() > end:
                    raise RunError(self._in_vain(missing))
                for question, _ in missing:
                    question.begin()  # another process may come in its place
                time.sleep(0.2)

    def _in_vain(self, missing):
        names = ', '.join(self.names[question.index] for question, _ in missing)
        others = [f'; {self.names[question.index]} ' + (
            'has not ended a former run yet' if json.loads(answer) == [] else
            f'answers, but is one of other workers: {", ".join(json.loads(answer))}')
            for question, answer in missing if answer is not None]
        return (f'{self.names[self.index]} waited for {names} in vain, {COMING:.0f} seconds{"".join(others)}; start '
                'the same command on all within that time, and see that they reach one another, and that each has an '
                'index of its own')

    def _watch(self, question):
        """Asks another worker until it does not answer, and then ends this process."""
        while question.answer(ANSWER) is not None or question.answer(ANSWER) is not None:
            if self._left.wait(PAUSE):
                return
        if self._left.wait(PAUSE):  # it was done, and so was this one
            return
        self._found.set()
        with contextlib.suppress(OSError):
            os.write(sys.stderr.fileno(), (
                f'\n{Path(sys.argv[0]).name}: {self.names[question.index]} is gone or hangs: it does not answer any '
                'more. If it ended by itself, it has said why; the same command on all goes on from the last '
                'checkpoint\n').encode())
        time.sleep(LEAVING)
        _end(1)


class _Question:
    """What another worker's server says whom it waits for.

    It is asked in one session until ``begin``, so that another process that came in its place does not answer for it.
    """

    def __init__(self, index, address):
        self.index = index
        self._address = address
        with tf.Graph().as_default() as self._graph:
            self._state = _state(index).read_value()
        self.begin()

    def begin(self):
        """Begins another session."""
        config = tf.ConfigProto(operation_timeout_in_ms=int(1000 * PAUSE),  # of its beginning, at the first question
                                device_filters=[f'/job:worker/task:{self.index}'])
        self._session = tf.Session(f'grpc://{self._address}', self._graph, config)

    def answer(self, seconds):
        """Returns a list of addresses, as JSON in bytes; None where none came within so many seconds."""
        try:
            return self._session.run(self._state, options=tf.RunOptions(timeout_in_ms=int(1000 * seconds)))
        except tf.errors.OpError:
            return None


def _state(index):
    """Returns the variable, in the current graph, in which the server of a worker has whom that waits for."""
    with tf.device(f'/job:worker/task:{index}/device:CPU:0'):
        return tf.get_variable('waits_for', initializer='', trainable=False)


def _interruptibly(function, argument):
    """Calls what waits for others in a thread, as Python hears of a signal here, and would not in TensorFlow."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, argument).result()
    except SystemExit as leaving:
        _end(leaving.code)
    finally:
        pool.shutdown()


def _end(status):
    """Ends this process though one of its threads waits in TensorFlow, where nothing else ends it."""
    with contextlib.suppress(OSError):
        sys.stdout.flush()
    os._exit(status)
