"""Checkpoints that do not hold the article's generator get one sentence, before anything is built from them."""

import itertools

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.sampling import population
from dcgan.sampling.generator_checkpoint import read
from model import Generator

DEPTHS, S_SIZE, Z_DIM = [6, 5, 4, 3], 1, 7
DENSE, KERNEL = 'g/reshape/dense/kernel', 'g/deconv2/conv2d_transpose/kernel'
GAMMA = 'g/reshape/batch_normalization/gamma'
FOREIGN = r"/x does not hold the article's generator: "


@pytest.fixture(scope='module')
def intact():
    """The variables of a small generator, {name: float32 array}."""
    with tf.Graph().as_default(), tf.Session() as session:
        Generator(DEPTHS, S_SIZE)(tf.zeros([1, Z_DIM]))
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


def test_an_intact_checkpoint_is_read(intact, tmp_path):
    checkpoint = read(write(tmp_path / 'x', intact))
    assert (checkpoint.depths, checkpoint.s_size, checkpoint.z_dim, checkpoint.size) == (DEPTHS, S_SIZE, Z_DIM, 16)
    assert checkpoint.variables.keys() == intact.keys()
    for name, value in intact.items():
        np.testing.assert_array_equal(checkpoint.variables[name], value)


def test_variables_that_tensorflow_1_partitioned_are_read(intact, tmp_path):
    parts = write(tmp_path / 'x', intact, {DENSE: f'{Z_DIM} 6 0,{Z_DIM}:0,6'})
    np.testing.assert_array_equal(read(parts).variables[DENSE], intact[DENSE])


def test_a_checkpoint_of_something_else_is_refused(tmp_path):
    for variables in {'dense/kernel': np.zeros([3, 4], np.float32)}, {'global_step': np.int64(7)}:
        with pytest.raises(UserError, match=f'{FOREIGN}it has no variable {GAMMA}$'):
            read(write(tmp_path / 'x', variables))


def test_every_variable_is_required_but_moving_averages(intact, tmp_path):
    for number, missing in enumerate(intact):
        path = write(tmp_path / f'{number}' / 'x', {name: intact[name] for name in intact if name != missing})
        if '/moving_' in missing:
            read(path)
        else:
            with pytest.raises(UserError, match=f'{FOREIGN}it has no variable {missing}$'):
                read(path)


def test_every_variable_must_have_its_rank_and_size(intact, tmp_path):
    changes = [lambda value: value[np.newaxis], lambda value: value[0], lambda value: value[:0],
               lambda value: np.concatenate([value, value])]
    for number, (name, change) in enumerate(itertools.product(intact, changes)):
        if name != DENSE or change is not changes[3]:  # a longer latent is another generator, not a mistake
            with pytest.raises(UserError, match=rf'{FOREIGN}g/.* has shape \[.*; expected \['):
                read(write(tmp_path / f'{number}' / 'x', intact | {name: change(intact[name])}))


@pytest.mark.parametrize(('full', 'message'), [
    ({DENSE: '7 6000000 0,7:0,6'}, '/x is too large to draw from: an array would have 768,000,000 values; the limit is '
     '268,435,456$'),
    ({DENSE: '1000000000 6 0,7:0,6'}, ': an array would have 6,000,000,000 values; the limit'),
    ({DENSE: '1000000000 1000000000 0,7:0,6'}, '/x is too large'),
    ({GAMMA: '4000000000000000000 0,6'}, '/x is too large'),
    ({'g/deconv4/conv2d_transpose/bias': '4000000000000000000 0,3'}, r'bias has shape \[4\d{18}\]; expected'),
    ({'g/deconv3/batch_normalization/gamma': '100000000 0,3'},
     ': an array would have 10,000,000,000 values; the limit'),
    ({DENSE: '8 6 0,7:0,6'}, 'cannot read .*/x: '),  # the last row is missing
])
def test_huge_and_partial_variables_are_refused_before_memory_is_allocated(intact, tmp_path, full, message):
    with pytest.raises(UserError, match=message):
        read(write(tmp_path / 'x', intact, full))


@pytest.mark.parametrize('dtype', [np.float64, np.int32, object])
def test_a_variable_of_another_type_is_refused(intact, tmp_path, dtype):
    value = np.full([5, 5, 4, 5], b'x', object) if dtype is object else intact[KERNEL].astype(dtype)
    with pytest.raises(UserError, match=f'{FOREIGN}{KERNEL} is not float32$'):
        read(write(tmp_path / 'x', intact | {KERNEL: value}))


def test_values_that_are_not_finite_are_refused(intact, tmp_path):
    broken = intact[KERNEL].copy()
    broken[4, 4, 3, 4] = np.nan
    with pytest.raises(UserError, match=f'/x cannot be used: {KERNEL} holds NaN or infinite values; use another'):
        read(write(tmp_path / 'x', intact | {KERNEL: broken}))


def test_averaged_weights_are_checked_like_trained_ones(intact, tmp_path):
    averages = {f'{name}/ExponentialMovingAverage': value for name, value in intact.items() if '/moving_' not in name}
    checkpoint = read(write(tmp_path / 'x', intact | averages), 'auto')
    assert (checkpoint.weights, len(checkpoint.variables)) == ('ema', len(averages))
    del averages[f'{KERNEL}/ExponentialMovingAverage']
    with pytest.raises(UserError, match=f'{FOREIGN}it has no variable {KERNEL}$'):
        read(write(tmp_path / 'y' / 'x', intact | averages), 'auto')
    with pytest.raises(UserError, match=r'/x has no averaged weights.*; use --weights=trained$'):
        read(write(tmp_path / 'z' / 'x', intact), 'ema')


def test_bytes_that_are_no_checkpoint_are_refused(intact, tmp_path):
    path = write(tmp_path / 'x', intact)
    index = tmp_path / 'x.index'
    content = index.read_bytes()
    for damaged in b'', b'<html>', content[:-1], content[:len(content) // 2], content[:9] + b'\xff' + content[10:]:
        index.write_bytes(damaged)
        with pytest.raises(UserError, match=r'^cannot read .*/x: '):
            read(path)


def test_too_little_memory_for_population_statistics_gets_a_sentence(intact, tmp_path, monkeypatch):
    checkpoint = read(write(tmp_path / 'x', intact))
    monkeypatch.setattr(population, 'BATCH_SIZE', 10**15)  # more latents than a process can address
    with pytest.raises(UserError, match=r'^not enough memory for the population statistics of .*/x, which take 1'):
        population.population_statistics(checkpoint)
