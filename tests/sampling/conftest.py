"""A run to draw from."""

import shutil

import pytest

from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.training.loop import train
from tests.sampling.drawing import SIZE, Z_DIM
from tests.small_runs import config


@pytest.fixture(scope='session')
def trained_run(tmp_path_factory):
    """A run of 100 steps of a small model on the embedded faces, with checkpoints and grids at 0, 50 and 100."""
    folder = tmp_path_factory.mktemp('trained')
    train(config('', image_size=SIZE, batch_size=32, z_dim=Z_DIM, g_depths=[32, 16, 8, 8], d_depths=[8, 8, 16, 32],
                 max_steps=100, save_steps=50, sample_steps=50)._replace(dataset_dir=None),
          folder / 'run', folder / 'cache')
    return folder / 'run'


@pytest.fixture
def run(trained_run, tmp_path, monkeypatch):
    """A copy of it in the current folder; its training images are packed in ``cache`` beside it."""
    shutil.copytree(trained_run.parent / 'cache', tmp_path / 'cache')
    monkeypatch.chdir(tmp_path)
    return shutil.copytree(trained_run, tmp_path / 'run')


@pytest.fixture(scope='session')
def generator(trained_run):
    with TrainedGenerator(read(trained_run / 'model.ckpt-100')) as generator:
        yield generator
