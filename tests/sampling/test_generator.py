"""The generator of a checkpoint: what is read, what is refused, and by which statistics it draws."""

import os
import shutil

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.sampling.population import population_statistics
from model import DCGAN, Generator
from tests.article import FACTS, REFERENCE
from tests.sampling.drawing import difference

SEEDS = np.arange(512)
DEPTHS, S_SIZE = [6, 5, 4, 3], 1
DENSE, KERNEL = 'g/reshape/dense/kernel', 'g/deconv2/conv2d_transpose/kernel'
GAMMA, MOVING_MEAN = (f'g/reshape/batch_normalization/{name}' for name in ('gamma', 'moving_mean'))
FOREIGN = r"/x does not hold the article's generator: "


# Batch normalization


def test_a_face_does_not_depend_on_the_others_in_its_batch(generator):
    crowd = generator.images(SEEDS)
    with TrainedGenerator(generator.checkpoint, batch_size=7) as other:
        for seeds in np.array([7]), np.array([400, 7]), np.arange(30):
            assert difference(other.images(seeds), crowd[seeds]) <= 1


def test_after_100_steps_population_statistics_draw_like_batch_statistics_and_moving_averages_draw_blanks(generator):
    images = {'population': generator.images(SEEDS).astype(float)}
    for batch_norm in 'batch', 'moving':
        with TrainedGenerator(generator.checkpoint, batch_norm, len(SEEDS)) as other:
            images[batch_norm] = other.images(SEEDS).astype(float)
            if batch_norm == 'batch':  # a face depends on the others
                assert np.abs(other.images(SEEDS[:8])[7] - images['batch'][7]).mean() > 5
    spread = {name: np.sqrt(of.var(axis=0).mean()) for name, of in images.items()}
    assert np.sqrt(np.square(images['population'] - images['batch']).mean()) < 3
    assert spread['population'] == pytest.approx(spread['batch'], rel=0.05)
    assert spread['moving'] < spread['batch'] / 3


def test_statistics_are_cached_until_the_weights_change(run, capsys):
    path = run / 'model.ckpt-100.population.npz'
    first = population_statistics(read(run / 'model.ckpt-100'))
    written = path.stat().st_mtime_ns
    capsys.readouterr()
    again = population_statistics(read(run / 'model.ckpt-100'))
    assert path.stat().st_mtime_ns == written
    assert capsys.readouterr() == ('', '')  # no progress bar
    np.testing.assert_equal(again, first)
    for kind in 'index', 'data-00000-of-00001':  # another run's
        shutil.copy(run / f'model.ckpt-50.{kind}', run / f'model.ckpt-100.{kind}')
    changed, expected = (population_statistics(read(run / f'model.ckpt-{step}')) for step in (100, 50))
    np.testing.assert_equal(changed, expected)


def test_statistics_are_estimated_again_if_the_cache_is_damaged_or_cannot_be_written(run, capsys):
    expected = population_statistics(read(run / 'model.ckpt-50'))
    path = run / 'model.ckpt-50.population.npz'
    for damage in (lambda: path.write_bytes(b''), lambda: path.write_bytes(b'PK\x03\x04 nonsense'),
                   lambda: os.truncate(path, path.stat().st_size // 2), lambda: (path.unlink(), path.mkdir())):
        damage()
        np.testing.assert_equal(population_statistics(read(run / 'model.ckpt-50')), expected)
        said = capsys.readouterr().out
        assert f'cache file {path} is corrupt; rebuilding it' in said
        assert (f'cannot write {path}: ' in said) == path.is_dir()


# Checkpoints


@pytest.mark.parametrize(('name', 'batch_norm', 'expected'), [
    ('start', 'batch', 'generated'), ('start', 'moving', 'generated_inference'), ('end', 'batch', 'generated_after')])
def test_a_tensorflow_1_checkpoint_draws_what_tensorflow_1_drew(name, batch_norm, expected):
    numbers = np.load(REFERENCE / 'numbers.npz')
    checkpoint = read(REFERENCE / f'{name}.ckpt')
    assert (checkpoint.depths, checkpoint.step) == (FACTS['small']['config']['g_depths'], None)
    with TrainedGenerator(checkpoint, batch_norm) as generator:
        images = generator.images(numbers['z'][0])
    assert np.abs(images - (numbers[expected] + 1) * 127.5).max() < 1


@pytest.mark.parametrize(('depths', 's_size', 'z_dim', 'saved'), [
    ([6, 5, 4, 3], 3, 7, tf.global_variables), ([16, 8, 4, 2], 2, 20, tf.trainable_variables)])
def test_the_architecture_is_read_from_the_variables(tmp_path, depths, s_size, z_dim, saved):
    with tf.Graph().as_default(), tf.Session() as session:  # as TensorFlow 1 did, without global_step and config.json
        dcgan = DCGAN(2, s_size, z_dim, depths, [4, 4, 4, 4])
        dcgan.train(dcgan.loss(tf.zeros([2, 16 * s_size, 16 * s_size, 3])))
        session.run(tf.global_variables_initializer())
        variables = [variable for variable in saved() if variable.op.name != 'global_step']
        tf.train.Saver(variables).save(session, str(tmp_path / 'x'))
    with TrainedGenerator(read(tmp_path / 'x')) as generator:
        assert generator.images(np.arange(3)).shape == (3, 16 * s_size, 16 * s_size, 3)
    if saved is tf.trainable_variables:
        with pytest.raises(UserError, match=r'the trained weights of .* have no moving averages'):
            TrainedGenerator(read(tmp_path / 'x'), 'moving')


@pytest.fixture(scope='module')
def intact():
    """The variables of a small generator, {name: float32 array}."""
    with tf.Graph().as_default(), tf.Session() as session:
        Generator(DEPTHS, S_SIZE)(tf.zeros([1, 7]))
        session.run(tf.global_variables_initializer())
        return {variable.op.name: value for variable, value in
                zip(tf.global_variables(), session.run(tf.global_variables()), strict=True)}


def write(path, variables, slices=None):
    """Writes a checkpoint; ``slices`` gives full shapes, by name, of which the values are said to be a part."""
    slices = [(slices or {}).get(name, '') for name in variables]
    with tf.Graph().as_default(), tf.Session() as session:
        session.run(tf.raw_ops.SaveV2(prefix=str(path), tensor_names=list(variables), shape_and_slices=slices,
                                      tensors=[tf.constant(value) for value in variables.values()]))
    return path


@pytest.mark.parametrize('slices', [{}, {DENSE: '7 6 0,7:0,6'}], ids=['whole', 'partitioned by TensorFlow 1'])
def test_an_intact_checkpoint_is_read(intact, tmp_path, slices):
    checkpoint = read(write(tmp_path / 'x', intact, slices))
    assert (checkpoint.depths, checkpoint.s_size, checkpoint.z_dim, checkpoint.size) == (DEPTHS, S_SIZE, 7, 16)
    np.testing.assert_equal(checkpoint.variables, intact)


def test_every_variable_but_moving_averages_is_required_and_has_its_shape(intact, tmp_path):
    with pytest.raises(UserError, match=f'{FOREIGN}it has no variable {GAMMA}$'):
        read(write(tmp_path / 'x', {'global_step': np.int64(7)}))
    for number, name in enumerate([DENSE, GAMMA, KERNEL, 'g/deconv4/conv2d_transpose/bias', MOVING_MEAN]):
        value = intact[name]
        others = {other: value for other, value in intact.items() if other != name}
        for change, changed in ('more', value[np.newaxis]), ('fewer', value[:0]):
            with pytest.raises(UserError, match=rf'{FOREIGN}g/.* has shape \[.*; expected \['):
                read(write(tmp_path / f'{number}-{change}' / 'x', others | {name: changed}))
        path = write(tmp_path / f'{number}' / 'x', others)
        if name == MOVING_MEAN:
            read(path)
        else:
            with pytest.raises(UserError, match=f'{FOREIGN}it has no variable {name}$'):
                read(path)


@pytest.mark.parametrize(('value', 'message'), [
    (np.zeros([5, 5, 4, 5]), f'{FOREIGN}{KERNEL} is not float32$'),
    (np.full([5, 5, 4, 5], b'x', object), f'{FOREIGN}{KERNEL} is not float32$'),
    (np.full([5, 5, 4, 5], np.nan, np.float32), f'/x cannot be used: {KERNEL} holds NaN or infinite values; use')])
def test_values_that_are_no_finite_float32_are_refused(intact, tmp_path, value, message):
    with pytest.raises(UserError, match=message):
        read(write(tmp_path / 'x', intact | {KERNEL: value}))


def test_averaged_weights_are_checked_like_trained_ones(intact, tmp_path):
    averages = {f'{name}/ExponentialMovingAverage': value for name, value in intact.items() if '/moving_' not in name}
    checkpoint = read(write(tmp_path / 'x', intact | averages), 'auto')
    assert (checkpoint.weights, len(checkpoint.variables)) == ('ema', len(averages))
    del averages[f'{KERNEL}/ExponentialMovingAverage']
    with pytest.raises(UserError, match=f'{FOREIGN}it has no variable {KERNEL}$'):
        read(write(tmp_path / 'y' / 'x', intact | averages), 'auto')
    with pytest.raises(UserError, match=r'/x has no averaged weights.*; use --weights=trained$'):
        read(write(tmp_path / 'z' / 'x', intact), 'ema')
