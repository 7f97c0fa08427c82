"""Collective operations between workers, by TensorFlow's servers and collective ops.

Every worker holds the whole model and takes its slice of each batch. A collective op waits for all workers without a
timeout, so a heartbeat runs beside it and ends the process when another worker is gone.
"""

import contextlib
import json
import os
import threading
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import tensorflow.compat.v1 as tf

from dcgan.distributed.heartbeat import DETECTION_TIME, JOIN_TIMEOUT, Heartbeat
from dcgan.distributed.slurm import read_slurm
from dcgan.distributed.tf_config import read_tf_config
from dcgan.errors import UserError, reason_of
from dcgan.signals import exit_now

OBJECT_BYTES = 1 << 14  # the most that all_gather_object takes from a worker

# What TensorFlow raises where a collective op is interrupted.
INTERRUPTED = (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError,
               tf.errors.DeadlineExceededError, tf.errors.FailedPreconditionError, tf.errors.InternalError)


def make_cluster(join_timeout=JOIN_TIMEOUT):
    """Returns the Cluster that TF_CONFIG describes, or if it is unset, that of Slurm's srun; else a SingleWorker.

    Args:
      join_timeout: seconds to wait for all workers to join.

    Raises:
      UserError: TF_CONFIG or Slurm's environment is invalid.
    """
    spec = read_tf_config() if os.environ.get('TF_CONFIG') else read_slurm()
    return SingleWorker() if spec is None else Cluster(spec, join_timeout)


class SingleWorker:
    """A Cluster of one: nothing is exchanged, and the graph is that of a single machine."""

    names, world_size, rank, is_chief, target = ['this'], 1, 0, True, ''

    @contextlib.contextmanager
    def connected(self):
        """See ``Cluster``."""
        yield

    def session_config(self, config):
        """See ``Cluster``."""
        return config

    def all_gather_object(self, value):
        """See ``Cluster``."""
        return [value]

    def broadcast(self, variables):
        """See ``Cluster``."""
        return []

    def all_reduce_mean(self, tensors):
        """See ``Cluster``."""
        return tensors


class Cluster:
    """Several workers.

    Attributes:
      names: of all workers, by rank.
      world_size: number of workers.
      rank: of this worker, from 0.
      is_chief: whether it is the worker that writes the run directory, that of rank 0.
      target: what a session connects to, in the context of ``connected``.
    """

    def __init__(self, spec, join_timeout=JOIN_TIMEOUT):
        """Prepares the sessions' config.

        Args:
          spec: a ClusterSpec.
          join_timeout: seconds to wait for all workers to join.
        """
        self._join_timeout = join_timeout
        self.names, self._addresses, self.rank = spec
        self.world_size = len(self.names)
        self.is_chief = self.rank == 0
        self.target = None
        self._config = self.session_config(tf.ConfigProto())
        self._config.gpu_options.allow_growth = True
        self._instances = 0

    @contextlib.contextmanager
    def connected(self):
        """Starts this worker's server and waits for all others; in its context the heartbeat runs.

        Raises:
          UserError: the port is taken, a worker does not join, or a collective operation failed.
        """
        _bypass_proxies(self._addresses)
        try:
            server = tf.train.Server({'worker': self._addresses}, 'worker', self.rank, config=self._config)
        except tf.errors.OpError as error:
            raise UserError(f'cannot listen on the address of this worker, {self.names[self.rank]}: '
                            f'{reason_of(error)}; is another process using the port?') from error
        self.target = server.target
        heartbeat = Heartbeat(self.names, self._addresses, self.rank, self.target, self._config)
        print(f'{self.names[self.rank]} waits for {", ".join(self.names[:self.rank] + self.names[self.rank + 1:])}',
              flush=True)
        _interruptible(heartbeat.await_all, self._join_timeout)
        heartbeat.start()
        try:
            self._barrier()
            heartbeat.all_joined()
            yield
            with contextlib.suppress(*INTERRUPTED):  # another worker is gone only because it is done, too
                self._barrier()
        except INTERRUPTED as error:
            if heartbeat.found_dead.wait(DETECTION_TIME):
                threading.Event().wait()  # until the heartbeat ends this process
            raise UserError('the workers could not exchange data, though all of them answer: '
                            f'{type(error).__name__}, {reason_of(error)}; start the same command on all to resume from '
                            'the last checkpoint') from error
        except SystemExit as leaving:
            exit_now(leaving.code)
        finally:
            heartbeat.stop()

    def session_config(self, config):
        """Adds to the ConfigProto of a session what collectives need, and returns it."""
        config.experimental.collective_group_leader = '/job:worker/replica:0/task:0'
        config.device_filters.append(f'/job:worker/replica:0/task:{self.rank}')
        rewrites = config.graph_options.rewrite_options
        if rewrites.auto_mixed_precision_onednn_bfloat16:
            # What it fuses in bfloat16 oneDNN can run, but a server refuses the graph before that.
            rewrites.remapping = 2  # RewriterConfig.OFF
        return config

    def all_gather_object(self, value):
        """Returns the values of all workers, by rank.

        Args:
          value: what JSON can hold, and Paths, which become text, in at most ``OBJECT_BYTES``.
        """
        return _interruptible(self._all_gather_object, value)

    def _all_gather_object(self, value):
        content = json.dumps(value, default=str).encode()
        padded = np.frombuffer(content.ljust(OBJECT_BYTES), np.uint8).astype(np.int32)
        with tf.Graph().as_default():
            gathered = self.all_gather(tf.constant(padded))
            with tf.Session(self.target, config=self._config) as session:
                return [json.loads(row.astype(np.uint8).tobytes()) for row in session.run(gathered)]

    def _barrier(self):
        self.all_gather_object(None)

    def all_gather(self, vector):
        """Returns int32 [world_size, n], the vectors int32 [n] of all workers."""
        size = vector.shape[0]
        with tf.device('CPU:0'):
            gathered = tf.raw_ops.CollectiveGather(
                input=vector, group_size=self.world_size, group_key=1, instance_key=self._instance_key(),
                shape=[self.world_size * size])
        return tf.reshape(gathered, [self.world_size, size])

    def all_reduce_mean(self, tensors):
        """Returns, for a list of float32 tensors, their means over all workers: the same bits on each."""
        mean = self._mean(tf.concat([tf.reshape(tensor, [-1]) for tensor in tensors], 0))
        parts = tf.split(mean, [tensor.shape.num_elements() for tensor in tensors])
        return [tf.reshape(part, tensor.shape) for part, tensor in zip(parts, tensors, strict=True)]

    def broadcast(self, variables):
        """Returns ops that give variables the values that they have on the chief."""
        return [self._broadcast(variable) for variable in variables]

    def _broadcast(self, variable):
        common = {'group_size': self.world_size, 'group_key': 1, 'instance_key': self._instance_key(),
                  'shape': variable.shape}
        value = variable.read_value()  # outside the device below: where it is read it would be placed
        with tf.device('CPU:0'):
            if self.is_chief:
                return tf.raw_ops.CollectiveBcastSend(input=value, **common).op
            received = tf.raw_ops.CollectiveBcastRecv(T=variable.dtype.base_dtype, **common)
        return variable.assign(received).op

    def _mean(self, tensor):
        return tf.raw_ops.CollectiveReduce(
            input=tensor, group_size=self.world_size, group_key=2, instance_key=self._instance_key(), merge_op='Add',
            final_op='Div', subdiv_offsets=[0])

    def _instance_key(self):
        self._instances += 1
        return self._instances


def _bypass_proxies(addresses):
    """Exempts the workers from the proxies that http_proxy and the like name, which gRPC would use for them, too."""
    exempt = os.environ.get('no_grpc_proxy') or os.environ.get('no_proxy')  # noqa: SIM112
    hosts = [address.rpartition(':')[0].strip('[]') for address in addresses]
    os.environ['no_grpc_proxy'] = ','.join([*([exempt] if exempt else []), *hosts])  # noqa: SIM112


def _interruptible(function, *arguments):
    """Calls a function that waits for others in a thread: Python would not hear a signal while it is in TensorFlow."""
    pool = ThreadPoolExecutor(1)
    try:
        return pool.submit(function, *arguments).result()
    except SystemExit as leaving:
        exit_now(leaving.code)
    finally:
        pool.shutdown()
