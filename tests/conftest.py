"""The environment of the tests, set before TensorFlow is loaded."""

import os
import signal

# TensorFlow's own kernels on every processor: oneDNN's round otherwise, and Adam amplifies that beyond the tolerances.
os.environ['TF_ENABLE_ONEDNN_OPTS'] = '0'

# A shell ignores Ctrl-C for what it starts in the background, nohup SIGHUP, and the commands would, too.
signal.signal(signal.SIGINT, signal.default_int_handler)
if hasattr(signal, 'SIGHUP'):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)

import pytest

import dcgan

dcgan.configure()

from dcgan.training.loop import train
from tests.pictures import write_images


@pytest.fixture(scope='session')
def faces(tmp_path_factory):
    """A folder of 14 images: three steps an epoch of the small model."""
    return write_images(tmp_path_factory.mktemp('data') / 'faces', 14)


@pytest.fixture(scope='session')
def cache(tmp_path_factory):
    """A folder of packs, for tests that do not ask how they are made."""
    return tmp_path_factory.mktemp('cache')


@pytest.fixture
def fit(tmp_path, cache):
    """Trains by the function, in ``tmp_path``; returns the run directory."""
    def fit(name, config):
        train(config, tmp_path / name, cache)
        return tmp_path / name
    return fit
