"""What the graph of a run adds to the article's: averages of weights, a second learning rate."""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.distributed.collectives import SingleWorker
from dcgan.errors import UserError
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.training.graph import build_graph
from dcgan.training.loop import train
from tests.article import FACTS
from tests.pictures import random_image
from tests.small_runs import assert_same_bits, config, variables

EMA = '/ExponentialMovingAverage'
DECAY = 0.3


@pytest.fixture(scope='module')
def averaged(faces, tmp_path_factory):
    """A run of three steps, a checkpoint after each, whose averages keep 2 / 11, 1 / 4 and 0.3."""
    folder = tmp_path_factory.mktemp('averaged')
    train(config(faces, max_steps=3, save_steps=1, ema_decay=DECAY), folder / 'run', folder / 'cache')
    return folder / 'run'


@pytest.fixture(scope='module')
def plain(faces, tmp_path_factory):
    """The same without averages."""
    folder = tmp_path_factory.mktemp('plain')
    train(config(faces, max_steps=3, save_steps=1), folder / 'run', folder / 'cache')
    return folder / 'run'


def graph_of(**changes):
    images = np.stack([random_image(number, 64, 64) for number in range(8)])
    with tf.Graph().as_default() as graph:
        return graph, build_graph(config('', **{
            'image_size': 64, 'z_dim': 100, 'batch_size': 8, **changes}), images, SingleWorker())


def test_the_one_variable_that_a_run_adds_is_global_step():
    facts = FACTS['full']
    graph, _ = graph_of(g_depths=[1024, 512, 256, 128], d_depths=[64, 128, 256, 512])
    names = [variable.op.name for variable in graph.get_collection(tf.GraphKeys.GLOBAL_VARIABLES)]
    assert sorted(names) == sorted(['global_step', *(name for name, _, _ in facts['variables'])])


def test_an_average_is_kept_as_defined_and_changes_nothing_else(plain, averaged):
    steps = [variables(averaged, step) for step in range(4)]
    expected = {name: value.astype(np.float64) for name, value in steps[0].items() if f'{name}{EMA}' in steps[0]}
    assert expected.keys() == {name for name in steps[0] if name.startswith('g/') and 'Adam' not in name
                               and 'moving_' not in name and not name.endswith(EMA)}
    for step, values in enumerate(steps):
        if step:
            decay = min(DECAY, (1 + step) / (10 + step))
            expected = {name: decay * before + (1 - decay) * values[name] for name, before in expected.items()}
        for name, value in expected.items():
            np.testing.assert_allclose(values[f'{name}{EMA}'], value, rtol=1e-5, atol=1e-7, err_msg=name)
        assert_same_bits({name: value for name, value in values.items() if not name.endswith(EMA)},
                         variables(plain, step))


def test_the_discriminator_may_have_its_own_learning_rate(fit, faces):
    still = fit('still', config(faces, max_steps=2, d_learning_rate=1e-12))
    before, after = (variables(still, step) for step in (0, 2))
    for name in before:
        if name.startswith(('g/', 'd/')) and 'Adam' not in name and 'moving_' not in name:
            assert (np.abs(after[name] - before[name]).max() < 1e-9) == name.startswith('d/'), name


def test_averages_are_drawn_from(averaged):
    path = averaged / 'model.ckpt-3'
    saved = variables(averaged, 3)
    checkpoint = read(path, 'ema')
    assert checkpoint.variables.keys() == {name.removesuffix(EMA) for name in saved if name.endswith(EMA)}
    assert_same_bits(checkpoint.variables, {name: saved[f'{name}{EMA}'] for name in checkpoint.variables})
    drawn = {}
    for weights in 'trained', 'ema', 'trained':  # the statistics of one are not used for the other
        with TrainedGenerator(read(path, weights)) as generator:
            images = generator.images(np.arange(3))
        assert np.array_equal(drawn.setdefault(weights, images), images)
    assert not np.array_equal(drawn['trained'], drawn['ema'])
    assert len(list(averaged.glob('model.ckpt-3.*population.npz'))) == 2
    assert read(path, 'auto').weights == 'ema'


def test_a_run_without_averages_has_none_to_draw_from(plain, averaged):
    assert read(plain / 'model.ckpt-1', 'auto').weights == 'trained'
    with pytest.raises(UserError, match=r'has no averaged weights.*use --weights=trained'):
        read(plain / 'model.ckpt-1', 'ema')
    with pytest.raises(UserError, match=r'ema weights of .* have no moving averages.*--batch_norm=population'):
        TrainedGenerator(read(averaged / 'model.ckpt-3', 'ema'), 'moving')
