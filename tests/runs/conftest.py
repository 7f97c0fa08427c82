"""Runs that many tests resume: trained once, copied for each."""

import shutil

import pytest

from dcgan.training.loop import train
from tests.small_runs import config


@pytest.fixture(scope='session')
def trained(faces, tmp_path_factory):
    folder = tmp_path_factory.mktemp('trained')
    train(config(faces, save_steps=2), folder / 'whole', folder / 'cache')
    train(config(faces, max_steps=1), folder / 'one_step', folder / 'cache')
    return folder


@pytest.fixture
def whole(trained, tmp_path):
    """A run of six steps with checkpoints of 0, 2, 3, 4 and 6, named whole."""
    return shutil.copytree(trained / 'whole', tmp_path / 'whole')


@pytest.fixture
def one_step(trained, tmp_path):
    """A run of one step, named run, which ``fit('run', ...)`` resumes."""
    return shutil.copytree(trained / 'one_step', tmp_path / 'run')
