"""The real command, serving the page."""

from tests.commands import Running
from tests.workers import free_addresses, listens


def flags_of(run):
    return [f'--model_dir={run}', f'--cache_dir={run.parent / "cache"}']


def free_port():
    return int(free_addresses(1)[0].partition(':')[2])


def launch(*flags, host='127.0.0.1', path='/'):
    """Starts the command; returns the address of its page and the process, once it listens."""
    port = free_port()
    process = Running('explore.py', f'--port={port}', '--nobrowser', f'--host={host}', *flags)
    process.wait_for(f'^page        http://{host}:{port}{path} ')
    process.wait_until(lambda: listens(f'127.0.0.1:{port}'))
    return f'http://127.0.0.1:{port}/', process
