"""The environment variable TF_CONFIG, as Kubeflow's TFJob, Vertex AI and others set it.

It is JSON, as TensorFlow's guide to distributed training describes it: ``{"cluster": {"worker": ["host:port", ...]},
"task": {"type": "worker", "index": 0}}``. A chief, if there is one, has rank 0.
"""

import json
import os
import re
from typing import NamedTuple

from dcgan.errors import UserError

EXAMPLE = '{"cluster": {"worker": ["localhost:2222", "localhost:2223"]}, "task": {"type": "worker", "index": 0}}'
JOBS = 'chief', 'worker'  # in the order of their ranks
ADDRESS = re.compile(r'(?:[\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})', re.ASCII)


class ClusterSpec(NamedTuple):
    """The workers, and which of them this process is.

    Attributes:
      names: of all workers, e.g. 'worker 1 (localhost:2223)', by rank.
      addresses: of all workers, e.g. 'localhost:2223', by rank.
      rank: of this process.
    """

    names: list[str]
    addresses: list[str]
    rank: int


def read_tf_config():
    """Returns the ClusterSpec that TF_CONFIG describes; None if it names a single worker.

    Raises:
      UserError: TF_CONFIG is invalid.
    """
    jobs, task = _parse(os.environ['TF_CONFIG'])
    tasks = [(job, index) for job in JOBS for index in range(len(jobs.get(job, [])))]
    addresses = [address for job in JOBS for address in jobs.get(job, [])]
    if repeated := [address for address in addresses if addresses.count(address) > 1]:
        raise _invalid(f'has {repeated[0]} more than once; each worker needs its own address')
    if task not in tasks:
        known = ', '.join(f'{job} {index}' for job, index in tasks) or 'none'
        raise _invalid(f'makes this task {task[0]} {task[1]}, which is none of those that train: {known}')
    if len(tasks) == 1:
        return None
    names = [f'{job} {index} ({address})' for (job, index), address in zip(tasks, addresses, strict=True)]
    return ClusterSpec(names, addresses, tasks.index(task))


def _parse(content):
    """Returns {job: addresses}, without empty jobs, and (job, index) of this task."""
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _invalid(f'is not JSON: {error}') from error
    for name in 'cluster', 'task':
        if not isinstance(config, dict) or not isinstance(config.get(name), dict):
            raise _invalid(f'has no object "{name}"')
    jobs = {job: addresses for job, addresses in config['cluster'].items() if addresses}
    for job, addresses in jobs.items():
        if not isinstance(addresses, list) or not all(_is_address(address) for address in addresses):
            raise _invalid(f'has {json.dumps(addresses)} for {job}; expected a list of addresses, e.g. '
                           '["localhost:2222"]')
    index = config['task'].get('index')
    if not re.fullmatch(r'\d{1,9}', str(index), re.ASCII):
        raise _invalid(f'has the task index {json.dumps(index)}; expected a whole number from 0')
    return jobs, (config['task'].get('type'), int(index))


def _is_address(address):
    match = isinstance(address, str) and ADDRESS.fullmatch(address)
    return bool(match) and 0 < int(match[1]) < 1 << 16


def _invalid(problem):
    return UserError(f'TF_CONFIG {problem}. Expected e.g. {EXAMPLE}; unset it to train on this machine alone')
