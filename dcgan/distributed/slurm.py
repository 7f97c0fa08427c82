"""The step of a Slurm job, as the environment of its tasks describes it: ``srun --ntasks=N python train.py``."""

import os
import re

import tensorflow.compat.v1 as tf

from dcgan.distributed.tf_config import ClusterSpec
from dcgan.errors import UserError

# Each step has ports of its own on a node that it shares: those of 344 jobs in a row, and of 8 steps of each, differ.
FIRST_PORT = 10000  # all are above Slurm's own ports, and below those that Linux gives to clients
MAX_TASKS = 10_000  # of a step, of a node, or nodes in a range
JOB_PORTS, STEP_PORTS, ALL_PORTS = 64, 8, 344 * 64


def read_slurm():
    """Returns the ClusterSpec of this step, each task a worker, and leaves this task one GPU.

    Returns None outside a step, as in a batch script or a shell of salloc, and in a step of one task.

    Raises:
      UserError: Slurm's environment is incomplete or contradicts itself.
    """
    if 'SLURM_STEP_NODELIST' not in os.environ or os.environ.get('SLURM_STEP_NUM_TASKS') == '1':
        return None
    try:
        _require_few()
        port = _first_port()
        addresses, rank = _resolve(port)
    except (RuntimeError, ValueError) as error:
        raise UserError(f"cannot read the workers from Slurm's environment: {error}. Expected that of a task of srun, "
                        'e.g. srun --ntasks=2 python train.py; srun --ntasks=1 trains with one worker, and TF_CONFIG '
                        'is read instead if it is set') from error
    _choose_gpu(int(addresses[rank].rpartition(':')[2]) - port)
    return ClusterSpec([f'worker {index} ({address})' for index, address in enumerate(addresses)], addresses, rank)


def _require_few():
    """Refuses counts that would fill the memory when the resolver expands them."""
    counts = [os.environ.get('SLURM_STEP_NUM_TASKS', '0'), *re.findall(
        r'\d+', os.environ.get('SLURM_STEP_TASKS_PER_NODE', ''))]
    ranges = re.findall(r'(\d+) *- *(\d+)', os.environ['SLURM_STEP_NODELIST'])
    if max(sum(map(int, counts)), sum(int(last) - int(first) for first, last in ranges)) > MAX_TASKS:
        raise ValueError(f'it describes more than {MAX_TASKS:,} tasks')


def _first_port():
    job, step = (int(os.environ.get(name, 0)) for name in ('SLURM_JOB_ID', 'SLURM_STEP_ID'))
    return FIRST_PORT + (JOB_PORTS * job + STEP_PORTS * step) % ALL_PORTS


def _resolve(port):
    """Returns the addresses of all tasks, those of a node from this port on, and the place of this task's own."""
    # By default the resolver asks nvidia-smi for the GPUs of a node, and lists no more tasks than those.
    resolver = tf.distribute.cluster_resolver.SlurmClusterResolver(
        port_base=port, gpus_per_node=int(os.environ.get('SLURM_STEP_NUM_TASKS', 0)), gpus_per_task=1,
        auto_set_gpu=False)
    addresses = resolver.cluster_spec().as_dict().get('worker', [])
    # It takes tasks to be in blocks on nodes sorted by name; they are not with --distribution=cyclic, or on n9 and n10.
    here = f'{os.environ.get("SLURMD_NODENAME")}:{port + int(os.environ.get("SLURM_LOCALID", 0))}'
    rank = addresses.index(here) if here in addresses else resolver.task_id
    if rank is None:
        raise ValueError(f'task {os.environ["SLURM_PROCID"]} is not one of {len(addresses)}')
    return addresses, rank


def _choose_gpu(place):
    """Leaves the task of this place on its node one of the GPUs that Slurm gave to all tasks there."""
    if gpus := os.environ.get('CUDA_VISIBLE_DEVICES'):
        gpus = gpus.split(',')
        os.environ['CUDA_VISIBLE_DEVICES'] = gpus[place % len(gpus)]
