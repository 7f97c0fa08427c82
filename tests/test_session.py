"""Which precisions and devices a session takes, what it answers to others, and the scaled losses of float16."""

import types

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from comparison.proof import build
from runtime.errors import RunError
from runtime.session import session_config
from tests.runs import assert_same_bits, run_command


@pytest.fixture
def gpus(monkeypatch):
    """The GPUs that TensorFlow finds: none, until a test adds their details."""
    found = []
    monkeypatch.setattr(tf.config, 'list_physical_devices', lambda kind=None: found)
    monkeypatch.setattr(tf.config.experimental, 'get_device_details', lambda device: device.details)
    return found


def gpu_of(capability=(7, 0)):
    details = {'device_name': 'A GPU', 'compute_capability': capability}
    return types.SimpleNamespace(name='/physical_device:GPU:0', details=details)


@pytest.mark.parametrize(('precision', 'xla'), [('float16', False), ('float32', True)])
def test_what_is_for_gpus_is_refused_without_one(precision, xla, gpus):
    with pytest.raises(RunError, match=r'is for GPUs, and TensorFlow found none; .*processor'):
        session_config(precision, xla)
    gpus.append(gpu_of())
    config = session_config(precision, xla)
    assert config.gpu_options.allow_growth
    assert config.graph_options.rewrite_options.auto_mixed_precision == (precision == 'float16')
    assert config.graph_options.optimizer_options.global_jit_level == xla


def test_float16_is_refused_on_an_old_gpu(gpus):
    gpus.append(gpu_of((6, 1)))
    with pytest.raises(RunError, match=r'needs a GPU of compute capability 7.0 or more, and A GPU has 6.1; .*float32'):
        session_config('float16')


def test_bfloat16_is_refused_where_it_would_be_float32(gpus):
    with pytest.raises(RunError, match='needs oneDNN, which TF_ENABLE_ONEDNN_OPTS=0 in the environment switches off'):
        session_config('bfloat16')
    gpus.append(gpu_of())
    with pytest.raises(RunError, match='is for processors, by oneDNN, and there is a GPU; --precision=float16'):
        session_config('bfloat16')


@pytest.mark.parametrize('flag', ['--precision=float16', '--xla'])
def test_the_command_says_so(flag, faces, tmp_path):
    done = run_command(flag, dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path / 'cache')
    assert done.returncode == 1
    assert done.stderr.splitlines()[-1].startswith(f'train.py: {flag} is for GPUs, and TensorFlow found none; ')
    assert 'Traceback' not in done.stderr


def trained(loss_scaling, factor=1.0, steps=3):
    """Returns the variables of a small model before and after steps on losses times a factor."""
    with tf.Graph().as_default(), tf.Session() as session:
        tf.set_random_seed(0)
        built = build(batch_size=4, s_size=4, z_dim=5, g_depths=[8, 4], d_depths=[4, 8])
        losses = {network: loss * factor for network, loss in built.losses.items()}
        train = built.dcgan.train(losses, loss_scaling=loss_scaling)
        session.run(tf.global_variables_initializer())
        variables = {variable.op.name: variable for variable in tf.global_variables()}
        before = session.run(variables)
        for _ in range(steps):
            session.run(train)
        return before, session.run(variables)


def test_scaled_losses_train_the_same_weights():
    """The scale is a power of two, which changes no bit but where float16 runs out of them."""
    _, plain = trained(loss_scaling=False)
    _, scaled = trained(loss_scaling=True)
    assert_same_bits(plain, {name: scaled[name] for name in plain})
    assert scaled.keys() - plain.keys() == {f'{name}{end}' for end in ('', '_1')
                                           for name in ('current_loss_scale', 'good_steps')}


def test_a_step_whose_gradients_are_not_finite_is_left_out_and_the_scale_halved():
    before, after = trained(loss_scaling=True, factor=np.float32(1e38), steps=2)
    assert after.pop('global_step') == 2
    for name, value in after.items():
        if 'current_loss_scale' in name:
            assert value == before[name] / 4
        elif 'moving_' not in name:  # they are of the forward pass
            np.testing.assert_array_equal(value, before[name], err_msg=name)
