"""Who trains together: the environment variable TF_CONFIG, as Kubeflow's TFJob, Vertex AI and others set it.

It is JSON, as TensorFlow's guide to distributed training describes it: ``{"cluster": {"worker": ["host:port", ...]},
"task": {"type": "worker", "index": 0}}``. Where there is a chief, it comes before the workers.
"""

import json
import re
from typing import NamedTuple

from runtime.errors import RunError

EXAMPLE = '{"cluster": {"worker": ["localhost:2222", "localhost:2223"]}, "task": {"type": "worker", "index": 0}}'
JOBS = 'chief', 'worker'  # in the order in which their tasks are counted
ADDRESS = re.compile(r'(?:[\w.-]+|\[[\da-fA-F:.]+\]):(\d{1,5})', re.ASCII)


class Place(NamedTuple):
    """One of several workers.

    Attributes:
      names: of all, as 'worker 1 (localhost:2223)', the first first.
      addresses: of all, as 'localhost:2223'.
      index: which of them this process is, from 0.
    """

    names: list[str]
    addresses: list[str]
    index: int


def place_of(content):
    """Returns the Place that the content of TF_CONFIG names, None where that is unset or names one worker alone.

    Raises:
      RunError: it is not what it should be.
    """
    if not content:
        return None
    try:
        config = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise _mistake(f'is not JSON: {error}') from error
    cluster, task = (_object(config, name) for name in ('cluster', 'task'))
    found = {job: _addresses(job, addresses) for job, addresses in cluster.items() if addresses}
    if others := [job for job in found if job not in (*JOBS, 'evaluator')]:
        raise _mistake(f'names the job {others[0]}; all train here, and none serves parameters: the jobs are chief, of '
                       'one task, and worker')
    if len(found.get('chief', [])) > 1:
        raise _mistake(f'names {len(found["chief"])} chiefs; there is one at the most')
    tasks = [(job, index) for job in JOBS for index in range(len(found.get(job, [])))]
    addresses = [address for job in JOBS for address in found.get(job, [])]
    if twice := [address for address in addresses if addresses.count(address) > 1]:
        raise _mistake(f'names {twice[0]} more than once; each worker has an address of its own')
    here = task.get('type'), _index(task)
    if here[0] == 'evaluator':
        raise _mistake('says that this is an evaluator, and all train here; evaluate.py measures a run')
    if here not in tasks:
        known = ', '.join(f'{job} {index}' for job, index in tasks) or 'none'
        raise _mistake(f'says that this is {here[0]} {here[1]}, of which its cluster has no address; it has: {known}')
    if len(tasks) == 1:
        return None
    return Place([f'{job} {index} ({address})' for (job, index), address in zip(tasks, addresses, strict=True)],
                 addresses, tasks.index(here))


def _object(config, name):
    value = config.get(name) if isinstance(config, dict) else None
    if not isinstance(value, dict):
        raise _mistake(f'has no object "{name}"')
    return value


def _addresses(job, addresses):
    if not (isinstance(addresses, list) and all(isinstance(address, str) and _is_address(address)
                                                for address in addresses)):
        raise _mistake(f'gives {job} {json.dumps(addresses)}; a list of addresses is expected, as "localhost:2222"')
    return addresses


def _is_address(address):
    match = ADDRESS.fullmatch(address)
    return match is not None and 0 < int(match[1]) < 1 << 16


def _index(task):
    index = task.get('index')
    if isinstance(index, str) and re.fullmatch(r'\d{1,9}', index, re.ASCII):
        return int(index)
    return index if type(index) is int else json.dumps(index)


def _mistake(what):
    return RunError(f'TF_CONFIG {what}. What is expected is like {EXAMPLE}; unset it to train on this machine alone')
