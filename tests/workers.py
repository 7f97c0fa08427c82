"""Several workers on this machine, by the real command."""

import contextlib
import json
import socket

from dcgan.runs.event_log import read_log
from tests.commands import TIMEOUT
from tests.small_runs import start_command


def free_addresses(count):
    """Returns addresses at which nothing listens at present."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(('127.0.0.1', 0))
        return [f'127.0.0.1:{one.getsockname()[1]}' for one in sockets]


def tf_config(addresses, index):
    return json.dumps({'cluster': {'worker': addresses}, 'task': {'type': 'worker', 'index': index}})


def start_worker(addresses, index, *flags, **more):
    """Starts the command as one of the workers at these addresses."""
    return start_command(*flags, environment={'TF_CONFIG': tf_config(addresses, index)},
                         **{'join_timeout': TIMEOUT, **more})


def start_workers(flags_of_each, **more):
    """Starts the command on a worker for each list of flags."""
    addresses = free_addresses(len(flags_of_each))
    return [start_worker(addresses, index, *flags, **more) for index, flags in enumerate(flags_of_each)]


def listens(address):
    host, port = address.split(':')
    with socket.socket() as one:
        return one.connect_ex((host, int(port))) == 0


def wait_for_step(step, folder, process):
    """Waits until the run of a process has logged this step."""
    process.wait_until(lambda: any(entry['step'] >= step for entry in read_log(folder / 'log.jsonl')))


def end(processes):
    return [process.end() for process in processes]
