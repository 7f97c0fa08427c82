"""A small run, and servers of the page."""

import pytest
from gradio_client import Client

from dcgan.training.loop import train
from tests.small_runs import config
from tests.web.server import flags_of, launch


@pytest.fixture(scope='session')
def run(tmp_path_factory):
    """A run of a small model on the embedded faces, with averages and checkpoints of steps 0, 10, 20 and 30."""
    folder = tmp_path_factory.mktemp('explore')
    settings = config('', batch_size=32, g_depths=[32, 16, 16, 8], d_depths=[8, 16, 16, 32], max_steps=30,
                      save_steps=10, ema_decay=0.5)
    train(settings._replace(dataset_dir=None), folder / 'run', folder / 'cache')
    return folder / 'run'


@pytest.fixture(scope='module')
def serve():
    """Starts the real command; returns the address of its page, and the process."""
    processes = []

    def serve(*flags, **options):
        address, process = launch(*flags, **options)
        processes.append(process)
        return address, process

    yield serve
    for process in processes:
        process.kill()


@pytest.fixture(scope='module')
def address(run, serve):
    return serve(*flags_of(run))[0]


@pytest.fixture(scope='module')
def client(address, tmp_path_factory):
    return Client(address, download_files=str(tmp_path_factory.mktemp('client')), verbose=False)
