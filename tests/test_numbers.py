"""The numbers are the article's: from a checkpoint of TensorFlow 1.15.5, the outputs, gradients and five train steps.

Adam amplifies rounding (a gradient near 0 still moves its weight by the learning rate), so the tolerances after
training are wider than those of a single pass. The gradient of a bias that batch normalisation follows is nothing but
rounding; such a bias is held to the five times 0.0002 that Adam can have moved it either way.
"""

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from comparison.proof import ADDED, build
from tests.article import FACTS, REFERENCE

NUMBERS = np.load(REFERENCE / 'numbers.npz')
LATENTS = NUMBERS['z']
IMAGES = NUMBERS['images_uint8'] / np.float32(127.5) - 1


@pytest.fixture(scope='module')
def at_start():
    """The small graph with its inference ops, and a session on it restored from ``start.ckpt``."""
    with tf.Graph().as_default():
        built = build(**FACTS['small']['config'])
        dcgan = built.dcgan
        g_loss, d_loss = built.losses[dcgan.g], built.losses[dcgan.d]
        ops = {
            'generated': 'g/tanh/outputs:0',
            'generated_inference': dcgan.g(dcgan.z, training=False),
            'g_logits': 'dg/d/classify/outputs/BiasAdd:0',
            't_logits': 'dt/d/classify/outputs/BiasAdd:0',
            'g_gradient_norms': [tf.norm(gradient) for gradient in tf.gradients(g_loss, dcgan.g.variables)],
            'd_gradient_norms': [tf.norm(gradient) for gradient in tf.gradients(d_loss, dcgan.d.variables)],
        }
        with tf.Session() as session:
            yield session, built, ops


def restore(session, name):
    variables = [variable for variable in tf.global_variables() if variable.op.name not in ADDED]
    tf.train.Saver(variables).restore(session, str(REFERENCE / name))
    session.run(tf.train.get_global_step().initializer)


def feed(built, step):
    return {built.dcgan.z: LATENTS[step], built.images: IMAGES[step]}


def train_five_steps(session, built):
    losses = [built.losses[built.dcgan.g], built.losses[built.dcgan.d]]
    return [session.run([*losses, built.train], feed(built, step))[:2] for step in range(5)]


@pytest.mark.parametrize(('name', 'tolerance'), [
    ('generated', 5e-6), ('generated_inference', 1e-6), ('g_logits', 1e-5), ('t_logits', 1e-5)])
def test_outputs(at_start, name, tolerance):
    session, built, ops = at_start
    restore(session, 'start.ckpt')
    np.testing.assert_allclose(session.run(ops[name], feed(built, 0)), NUMBERS[name], rtol=0, atol=tolerance)


@pytest.mark.parametrize('name', ['g_gradient_norms', 'd_gradient_norms'])
def test_gradients(at_start, name):
    session, built, ops = at_start
    restore(session, 'start.ckpt')
    np.testing.assert_allclose(session.run(ops[name], feed(built, 0)), NUMBERS[name], rtol=1e-3, atol=2e-5)


def test_losses_and_images_over_five_steps(at_start):
    session, built, ops = at_start
    restore(session, 'start.ckpt')
    measured = train_five_steps(session, built)
    np.testing.assert_allclose(measured, np.stack([NUMBERS['g_loss'], NUMBERS['d_loss']], axis=1), rtol=0, atol=1e-3)
    np.testing.assert_allclose(session.run(ops['generated'], feed(built, 0)), NUMBERS['generated_after'],
                               rtol=0, atol=0.02)
    assert session.run(tf.train.get_global_step()) == 5


def test_variables_after_five_steps(at_start):
    session, built, _ = at_start
    restore(session, 'start.ckpt')
    train_five_steps(session, built)
    start, end = (tf.train.load_checkpoint(str(REFERENCE / name)) for name in ('start.ckpt', 'end.ckpt'))
    # The article leaves the moving averages where they began.
    compared = [variable for variable in tf.global_variables() if not variable.op.name.startswith(tuple(ADDED))
                and 'moving' not in variable.op.name]
    assert len(compared) == len(end.get_variable_to_shape_map()) - 16
    for name, value in session.run({variable.op.name: variable for variable in compared}).items():
        expected = end.get_tensor(name)
        if is_weight(name) and has_gradient(name):
            moved = np.linalg.norm(expected - start.get_tensor(name))
            assert np.linalg.norm(value - expected) < 0.1 * moved, name
        elif is_weight(name):
            np.testing.assert_allclose(value, expected, rtol=0, atol=2 * 5 * 0.0002, err_msg=name)
        elif 'power' in name:
            np.testing.assert_allclose(value, expected, rtol=1e-6, err_msg=name)
        elif has_gradient(name):
            assert np.linalg.norm(value - expected) < 0.1 * np.linalg.norm(expected), name


def is_weight(name):
    return 'Adam' not in name and 'power' not in name


def has_gradient(name):
    """Whether the loss depends on a variable at all: a bias before batch normalisation is taken out by it."""
    return '/bias' not in name or name.startswith(('g/deconv4/', 'd/classify/'))


def test_moving_averages_after_one_step(at_start):
    """Against their definition: the discriminator's follow the generated batch, then the real one.

    Looking at outputs, as this does first, moves nothing.
    """
    session, built, _ = at_start
    restore(session, 'start.ckpt')
    averages = tf.global_variables('d/conv1/batch_normalization/moving_')
    mean, variance = session.run(averages)
    for batch in session.run([f'{scope}/conv1/conv2d/BiasAdd:0' for scope in ('dg/d', 'dt/d')], feed(built, 0)):
        mean = 0.99 * mean + 0.01 * batch.mean((0, 1, 2), dtype=np.float64)
        variance = 0.99 * variance + 0.01 * batch.var((0, 1, 2), ddof=1, dtype=np.float64)
    session.run(built.train, feed(built, 0))
    np.testing.assert_allclose(session.run(averages), [mean, variance], rtol=0, atol=1e-6)
