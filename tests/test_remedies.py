"""What the article lacks, and a flag brings: two learning rates, and the average of the generator's variables."""

import json

import numpy as np
import pytest

from runtime.errors import RunError
from sampling.checkpoint import read
from sampling.generator import TrainedGenerator
from tests.runs import assert_same_bits, config, variables

AVERAGE = '/ExponentialMovingAverage'
DECAY = 0.3


@pytest.fixture
def averaged(fit, faces):
    """A run of three steps, a checkpoint after each, whose average keeps 2 / 11, 1 / 4 and 0.3."""
    return fit('averaged', config(faces, max_steps=3, save_steps=1, ema_decay=DECAY))


def test_an_average_is_kept_as_defined_and_changes_nothing_else(fit, faces, averaged):
    plain = fit('plain', config(faces, max_steps=3, save_steps=1))
    of_steps = [variables(averaged, step) for step in range(4)]
    expected = {name: value.astype(np.float64) for name, value in of_steps[0].items()
                if f'{name}{AVERAGE}' in of_steps[0]}
    assert expected.keys() == {name for name in of_steps[0] if name.startswith('g/') and 'Adam' not in name
                               and 'moving_' not in name and not name.endswith(AVERAGE)}
    for step, values in enumerate(of_steps):
        if step:
            decay = min(DECAY, (1 + step) / (10 + step))
            expected = {name: decay * before + (1 - decay) * values[name] for name, before in expected.items()}
        for name, value in expected.items():
            np.testing.assert_allclose(values[f'{name}{AVERAGE}'], value, rtol=1e-5, atol=1e-7, err_msg=name)
        assert_same_bits({name: value for name, value in values.items() if not name.endswith(AVERAGE)},
                         variables(plain, step))


def test_a_rate_of_its_own_for_the_discriminator(fit, faces):
    before, after = (variables(fit('still', config(faces, max_steps=2, d_learning_rate=0.0)), step) for step in (0, 2))
    for name in before:
        if name.startswith(('g/', 'd/')) and 'Adam' not in name and 'moving_' not in name:
            assert np.array_equal(before[name], after[name]) == name.startswith('d/'), name
    same, plain = (variables(fit(name, config(faces, max_steps=2, **more)))
                   for name, more in (('same', {'d_learning_rate': 0.0002}), ('plain', {})))
    assert_same_bits(same, plain)


def test_a_run_of_before_these_flags_goes_on_but_not_with_them(fit, faces):
    folder = fit('run', config(faces, max_steps=1))
    settings = json.loads((folder / 'config.json').read_text())
    del settings['d_learning_rate'], settings['ema_decay']
    (folder / 'config.json').write_text(json.dumps(settings))
    with pytest.raises(RunError, match=r'd_learning_rate: None there, 0\.1 now\n  ema_decay: None there, 0\.9 now'):
        fit('run', config(faces, max_steps=2, d_learning_rate=0.1, ema_decay=0.9))
    assert variables(fit('run', config(faces, max_steps=2)))['global_step'] == 2


def test_averages_are_drawn_from(averaged):
    path = averaged / 'model.ckpt-3'
    kept = variables(averaged, 3)
    trained = read(path, 'ema')
    assert trained.weights.keys() == {name.removesuffix(AVERAGE) for name in kept if name.endswith(AVERAGE)}
    assert_same_bits(trained.weights, {name: kept[f'{name}{AVERAGE}'] for name in trained.weights})
    drawn = {}
    for kind in 'trained', 'ema', 'trained':  # the statistics of one are not taken for those of the other
        with TrainedGenerator(read(path, kind)) as generator:
            images = generator.images(np.arange(3))
        assert np.array_equal(drawn.setdefault(kind, images), images)
    assert not np.array_equal(drawn['trained'], drawn['ema'])
    assert len(list(averaged.glob('model.ckpt-3.*population.npz'))) == 2


def test_no_averages_to_draw_from(fit, faces, averaged):
    with pytest.raises(RunError, match=r'holds no averaged weights.*--weights=trained takes'):
        read(fit('plain', config(faces, max_steps=1)) / 'model.ckpt-1', 'ema')
    with pytest.raises(RunError, match=r'averaged weights have no moving averages .*--batch_norm=population'):
        TrainedGenerator(read(averaged / 'model.ckpt-3', 'ema'), 'moving')
