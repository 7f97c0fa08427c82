"""Precisions and XLA are accepted on the devices that support them; the losses of float16 are scaled."""

import types

import pytest
import tensorflow.compat.v1 as tf

from dcgan.device import make_session_config
from dcgan.distributed.collectives import SingleWorker
from dcgan.errors import UserError
from dcgan.training.optimizers import make_optimizers
from model import DCGAN
from tests.small_runs import assert_same_bits, config


@pytest.fixture
def gpus(monkeypatch):
    """The GPUs that TensorFlow finds: none, until a test adds one."""
    found = []
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind=None: found)
    monkeypatch.setattr(tf.config.experimental, 'get_device_details', lambda device: device.details)
    return found


def fake_gpu(capability=(7, 0)):
    details = {'device_name': 'A GPU', 'compute_capability': capability}
    return types.SimpleNamespace(name='/physical_device:GPU:0', details=details)


@pytest.mark.parametrize(('precision', 'xla'), [('float16', False), ('float32', True)])
def test_float16_and_xla_are_refused_without_a_gpu(precision, xla, gpus):
    with pytest.raises(UserError, match=r'is for GPUs, and TensorFlow found none; .*CPU'):
        make_session_config(precision, xla)
    gpus.append(fake_gpu())
    session_config = make_session_config(precision, xla)
    assert session_config.gpu_options.allow_growth
    assert session_config.graph_options.rewrite_options.auto_mixed_precision == (precision == 'float16')
    assert session_config.graph_options.optimizer_options.global_jit_level == xla


def test_float16_is_refused_on_an_old_gpu(gpus):
    gpus.append(fake_gpu((6, 1)))
    with pytest.raises(UserError, match=r'compute capability 7.0 or higher, and A GPU has 6.1; .*float32'):
        make_session_config('float16')


def test_bfloat16_is_refused_where_tensorflow_would_silently_use_float32(gpus):
    with pytest.raises(UserError, match=r'needs oneDNN, which .*TF_ENABLE_ONEDNN_OPTS=0 turns off; unset it'):
        make_session_config('bfloat16')
    gpus.append(fake_gpu())
    with pytest.raises(UserError, match='is for CPUs, and TensorFlow found a GPU; use --precision=float16'):
        make_session_config('bfloat16')


def trained(precision):
    """Returns the variables of a small model after three steps."""
    settings = config('', precision=precision)
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        dcgan = DCGAN(settings.batch_size, settings.s_size, settings.z_dim, settings.g_depths, settings.d_depths)
        losses = dcgan.loss(tf.zeros([settings.batch_size, settings.image_size, settings.image_size, 3]))
        train = dcgan.train(losses, optimizers=make_optimizers(settings, SingleWorker()))
        session.run(tf.global_variables_initializer())
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        for _ in range(3):
            session.run(train)
        return session.run(variables)


def test_scaled_losses_train_the_same_weights():
    """The scale is a power of two, so it changes no bit unless float16 overflows or underflows."""
    plain, scaled = trained('float32'), trained('float16')
    assert_same_bits(plain, {name: scaled[name] for name in plain})
    assert scaled.keys() - plain.keys() == {f'{name}{suffix}' for suffix in ('', '_1')
                                           for name in ('current_loss_scale', 'good_steps')}
