"""Several workers on this machine, by the real command."""

import contextlib
import json
import os
import socket
import subprocess

from tests.small_runs import SCRIPT, command, log


def free_addresses(count):
    """Returns addresses at which nothing listens at present."""
    with contextlib.ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(('127.0.0.1', 0))
        return [f'127.0.0.1:{one.getsockname()[1]}' for one in sockets]


def tf_config(addresses, index):
    return json.dumps({'cluster': {'worker': addresses}, 'task': {'type': 'worker', 'index': index}})


def launch(words, addresses, index, **environment):
    """Starts a command line as one of the workers at these addresses; returns the process."""
    return launch_in({**environment, 'TF_CONFIG': tf_config(addresses, index)}, words)


def launch_in(environment, words):
    """Starts a command line with these variables, {name: value}, beside those of this process; returns the process."""
    return subprocess.Popen(words, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, cwd=SCRIPT.parent,
                            env={**os.environ, **environment})


def start(flags_of_each, **common):
    """Starts the command on a worker for each list of flags; returns the processes."""
    addresses = free_addresses(len(flags_of_each))
    return [launch(command(*flags, **common), addresses, index) for index, flags in enumerate(flags_of_each)]


def await_server(address, process):
    """Waits until the process listens at its address."""
    host, port = address.split(':')
    while True:
        assert process.poll() is None
        with socket.socket() as one:
            if one.connect_ex((host, int(port))) == 0:
                return


def wait_for_step(step, folder, processes):
    """Waits until a run has logged this step."""
    while not (folder / 'log.jsonl').exists() or max((entry['step'] for entry in log(folder)), default=0) < step:
        assert all(process.poll() is None for process in processes)


def end(processes):
    """Returns of each process its status and what it said."""
    said = [process.communicate(timeout=120)[0] for process in processes]
    return list(zip([process.returncode for process in processes], said, strict=True))
