"""What a run may do beyond the article: mirrored images, numbers during training, weights of another checkpoint."""

import contextlib
import io
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from data.order import batch_indices, mirrored
from data.stream import stream
from dcgan.errors import UserError
from dcgan.metrics.evaluator import open_evaluator
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, read
from dcgan.training.loop import train
from tests.article import FACTS, REFERENCE
from tests.pictures import random_image
from tests.small_runs import SMALL, assert_same_bits, config, events, log, saved_steps, variables

WEIGHT = re.compile(r'[gd]/.*/(?:kernel|bias|gamma|beta|moving_mean|moving_variance)')


def batches(images, first_step, count, **flags):
    with tf.Graph().as_default(), tf.Session() as session:
        iterator = tf.data.make_initializable_iterator(stream(images, 4, 7, first_step, **flags))
        fetch = iterator.get_next()
        session.run(iterator.initializer)
        return np.stack([session.run(fetch) for _ in range(count)])


def test_mirrored_images_are_decided_by_seed_epoch_and_image():
    images = np.stack([random_image(number, 16, 16) for number in range(10)])
    plain, both = batches(images, 0, 40), batches(images, 0, 40, mirror=True)
    decided = {}
    for step in range(40):
        flips = mirrored(step, 10, 4, 7)
        np.testing.assert_array_equal(both[step], np.where(flips[:, None, None, None], plain[step][:, :, ::-1],
                                                           plain[step]))
        for image, flip in zip(batch_indices(step, 10, 4, 7), flips, strict=True):
            decided[image, step // 2] = flip
    assert 0.35 < np.mean(list(decided.values())) < 0.65
    assert len({tuple(mirrored(step, 10, 4, 7)) for step in range(0, 40, 2)}) > 5  # another choice in each epoch
    np.testing.assert_array_equal(batches(images, 25, 5, mirror=True), both[25:30])


@pytest.fixture(scope='module')
def start(faces, tmp_path_factory):
    """A run of one step, to take weights from."""
    folder = tmp_path_factory.mktemp('start')
    train(config(faces, max_steps=1), folder / 'run', folder / 'cache')
    return folder / 'run'


def test_a_run_begins_with_the_weights_of_another(fit, faces, start):
    run = fit('run', config(faces, max_steps=1, learning_rate=1e-3, seed=5, ema_decay=0.5, init_checkpoint=start))
    before, after = variables(start, 1), variables(run, 0)
    weights = [name for name in after if WEIGHT.fullmatch(name)]
    assert len(weights) == 52
    assert_same_bits({name: before[name] for name in weights}, {name: after[name] for name in weights})
    assert after['global_step'] == 0
    assert not after['g/deconv1/batch_normalization/gamma/Adam'].any()
    assert variables(run, 1)['global_step'] == 1
    for name in [name for name in after if name.endswith('/ExponentialMovingAverage')]:
        np.testing.assert_array_equal(after[name], before[name.removesuffix('/ExponentialMovingAverage')])


def test_a_run_begins_with_the_weights_that_tensorflow_1_saved(fit, faces, capsys):
    settings = FACTS['small']['config']
    depths = {name: settings[name] for name in ('g_depths', 'd_depths', 'z_dim')}
    run = fit('run', config(faces, max_steps=1, **depths, image_size=16 * settings['s_size'],
                            init_checkpoint=REFERENCE / 'end.ckpt'))
    assert f'weights     from {REFERENCE / "end.ckpt"}; both Adam optimizers and the step start fresh' in (
        capsys.readouterr().out)
    theirs, ours = tf.train.load_checkpoint(str(REFERENCE / 'end.ckpt')), variables(run, 0)
    for name in theirs.get_variable_to_shape_map():
        if WEIGHT.fullmatch(name):
            np.testing.assert_array_equal(theirs.get_tensor(name), ours[name])


@pytest.mark.parametrize(('path', 'more', 'message'), [
    ('nowhere', {}, "holds no checkpoint '.*nowhere'"),
    ('data/demo_generator.npz', {}, 'is an exported generator; --init_checkpoint needs both networks'),
    ('run', {'z_dim': 6}, r'ckpt-1 does not .*kernel has shape \[5, 8\]; expected \[6, 8\]; use the --g_d'),
    ('broken', {}, 'cannot read .*broken'),
])
def test_weights_that_do_not_fit_get_a_sentence(fit, faces, start, tmp_path, path, more, message):
    (tmp_path / 'broken.index').write_bytes(b'?' * 99)
    place = {'run': start, 'data/demo_generator.npz': REFERENCE.parent / path}.get(path, tmp_path / path)
    with pytest.raises(UserError, match=message):
        fit('new', config(faces, max_steps=1, init_checkpoint=place, **more))
    assert not saved_steps(tmp_path / 'new')


@pytest.fixture(scope='module')
def measured(faces, tmp_path_factory):
    """A run that was measured at every other step, and what it printed to standard error."""
    folder, printed = tmp_path_factory.mktemp('measured'), io.StringIO()
    with contextlib.redirect_stderr(printed):
        train(config(faces, max_steps=14, epochs=99, evaluate_steps=2, log_steps=5, learning_rate=0.01, ema_decay=0.5),
              folder / 'run', folder / 'cache')
    return folder / 'run', printed.getvalue()


def test_numbers_during_training_are_those_of_evaluate_and_are_shown(measured, tmp_path):
    run, printed = measured
    entries = {entry['step']: entry for entry in log(run)}
    assert list(entries) == [2, 4, 5, 6, 8, 10, 12, 14]
    del entries[5]
    assert all('swd7' in entry and 'msssim49' in entry for entry in entries.values())
    told, _ = events(run)
    assert told['swd7'] == [(step, pytest.approx(entry['swd7'])) for step, entry in entries.items()]
    assert f'swd7 {entries[4]["swd7"]:.1f}\nstep 6/14' in printed
    with (open_evaluator(run, SMALL['image_size'], ['swd7', 'msssim49'], None, None, tmp_path / 'cache') as evaluator,
          TrainedGenerator(read(run / 'model.ckpt-14', 'ema')) as generator):
        results = {result.metric: result.value for result in evaluator.measure(generator)
                   if result.part in ('', 'mean')}
    assert results == {name: entries[14][name] for name in results}


def test_the_best_checkpoint_is_kept_and_found(measured):
    run, _ = measured
    distances = {entry['step']: entry['swd7'] for entry in log(run) if 'swd7' in entry}
    best = min(distances, key=distances.get)
    assert best < 6, distances  # else it is kept as one of the five newest
    assert find(run, 'best') == [run / f'model.ckpt-{best}']
    (run / f'model.ckpt-{best}.index').unlink()
    kept = {step: distances[step] for step in saved_steps(run) if step in distances}
    assert find(run, 'best') == [run / f'model.ckpt-{min(kept, key=kept.get)}']


def test_without_numbers_there_is_no_best_checkpoint(start):
    with pytest.raises(UserError, match=r'training measured no checkpoint of .*; train with --evaluate_steps'):
        find(start, 'best')
