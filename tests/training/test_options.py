"""What a run may do beyond the article: mirrored images, numbers during training, weights of another checkpoint."""

import json
import re

import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from data.order import batch_indices, mirrored
from data.stream import stream
from dcgan.errors import UserError
from dcgan.metrics.evaluator import open_evaluator
from dcgan.runs.event_log import DESCRIPTIONS
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, read
from tests.article import REFERENCE
from tests.commands import run_script
from tests.pictures import random_image
from tests.small_runs import (
    RATE,
    SMALL,
    assert_same_bits,
    assert_same_run,
    config,
    events,
    log,
    run_command,
    saved_steps,
    variables,
)

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
    halves = [batches(images, 3, 4, mirror=True, rank=rank, world_size=2) for rank in (0, 1)]
    with tf.Graph().as_default(), tf.Session() as session:
        fetch = tf.data.make_one_shot_iterator(stream(images, 8, 7, 3, mirror=True)).get_next()
        for step in range(4):
            np.testing.assert_array_equal(np.concatenate([half[step] for half in halves]), session.run(fetch))


def test_a_run_with_all_of_them_resumes_bit_for_bit(fit, faces, tmp_path):
    start = fit('start', config(faces, max_steps=3)) / 'model.ckpt-3'
    more = {'mirror': True, 'init_checkpoint': start, 'evaluate_steps': 2, 'ema_decay': 0.5, 'epochs': 9}
    whole = fit('whole', config(faces, **more, max_steps=7))
    fit('halted', config(faces, **more, max_steps=4))
    for path in start.parent.iterdir():  # is not needed again
        if path.is_file():
            path.unlink()
    assert_same_run(fit('halted', config(faces, **more, max_steps=7)), whole, stopped_at=[4])


def test_a_run_begins_with_the_weights_of_another(fit, faces):
    trained = fit('trained', config(faces, max_steps=3))
    for named in trained, trained / 'model.ckpt-3':
        name = f'run-{named.name}'
        run = fit(name, config(faces, max_steps=1, learning_rate=1e-3, seed=5, init_checkpoint=named))
        before, after = variables(trained, 3), variables(run, 0)
        weights = [name for name in after if WEIGHT.fullmatch(name)]
        assert len(weights) == 52
        assert_same_bits({name: before[name] for name in weights}, {name: after[name] for name in weights})
        assert after['global_step'] == 0
        assert not after['g/deconv1/batch_normalization/gamma/Adam'].any()
        assert variables(run, 1)['global_step'] == 1
    fresh = variables(fit('fresh', config(faces, max_steps=1, ema_decay=0.5, init_checkpoint=trained)), 0)
    for name in [name for name in fresh if name.endswith('/ExponentialMovingAverage')]:
        np.testing.assert_array_equal(fresh[name], before[name.removesuffix('/ExponentialMovingAverage')])


def test_a_run_begins_with_the_weights_that_tensorflow_1_saved(faces, tmp_path):
    settings = json.loads((REFERENCE / 'graph.json').read_text())['small']['config']
    depths = {name: settings[name] for name in ('g_depths', 'd_depths', 'z_dim')}
    done = run_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, max_steps=1, **depths,
                       image_size=16 * settings['s_size'], init_checkpoint=REFERENCE / 'end.ckpt')
    assert done.returncode == 0, done.stderr
    assert f'weights     from {REFERENCE / "end.ckpt"}; both Adam optimizers and the step start fresh' in done.stdout
    theirs, ours = tf.train.load_checkpoint(str(REFERENCE / 'end.ckpt')), variables(tmp_path / 'run', 0)
    for name in theirs.get_variable_to_shape_map():
        if WEIGHT.fullmatch(name):
            np.testing.assert_array_equal(theirs.get_tensor(name), ours[name])


@pytest.mark.parametrize(('path', 'more', 'message'), [
    ('nowhere', {}, "holds no checkpoint '.*nowhere'"),
    ('data/demo_generator.npz', {}, 'is an exported generator; --init_checkpoint needs both networks'),
    ('run', {'z_dim': 6}, r'ckpt-1 does not .*kernel has shape \[5, 8\]; expected \[6, 8\]; use the --g_d'),
    ('broken', {}, 'cannot read .*broken'),
])
def test_weights_that_do_not_fit_get_a_sentence(fit, faces, tmp_path, monkeypatch, path, more, message):
    if path == 'run':
        fit('run', config(faces, max_steps=1))
    if path == 'broken':
        (tmp_path / 'broken.index').write_bytes(b'?' * 99)
    place = tmp_path / path if not path.startswith('data') else REFERENCE.parent / path
    with pytest.raises(UserError, match=message):
        fit('new', config(faces, max_steps=1, init_checkpoint=place, **more))
    assert not saved_steps(tmp_path / 'new')


def test_numbers_during_training_are_those_of_evaluate(fit, faces, tmp_path):
    run = fit('run', config(faces, max_steps=6, evaluate_steps=2, log_steps=4, ema_decay=0.5))
    entries = {entry['step']: entry for entry in log(run)}
    assert entries.keys() == {2, 4, 6}
    assert all('swd7' in entry and 'msssim49' in entry for entry in entries.values())
    told, _ = events(run)
    assert told['swd7'] == [(step, pytest.approx(entry['swd7'])) for step, entry in entries.items()]
    assert {'swd', 'msssim'} <= DESCRIPTIONS.keys()
    with (open_evaluator(run, SMALL['image_size'], ['swd7', 'msssim49'], None, None, tmp_path / 'cache') as evaluator,
          TrainedGenerator(read(run / 'model.ckpt-4', 'ema')) as generator):
        results = {result.metric: result.value for result in evaluator.measure(generator)
                   if result.part in ('', 'mean')}
    assert results == {name: entries[4][name] for name in results}


def test_the_best_checkpoint_is_kept_and_found(fit, faces, tmp_path):
    run = fit('run', config(faces, max_steps=12, epochs=99, evaluate_steps=1, learning_rate=0.01))
    distances = {entry['step']: entry['swd7'] for entry in log(run)}
    best = min(distances, key=distances.get)
    assert best < 7  # else it is kept as one of the five newest
    assert find(run, 'best') == [run / f'model.ckpt-{best}']
    assert best in saved_steps(run)
    (run / f'model.ckpt-{best}.index').unlink()
    kept = {step: distances[step] for step in saved_steps(run) if step}
    assert find(run, 'best') == [run / f'model.ckpt-{min(kept, key=kept.get)}']
    done = run_script('sample.py', f'--model_dir={run}', '--checkpoint=best', f'--out={tmp_path / "best.png"}')
    assert done.returncode == 0, done.stderr
    assert (tmp_path / 'best.png').exists()


def test_without_numbers_there_is_no_best_checkpoint(fit, faces):
    run = fit('run', config(faces, max_steps=1))
    with pytest.raises(UserError, match=r'training measured no checkpoint of .*; train with --evaluate_steps'):
        find(run, 'best')


def test_the_bar_shows_the_numbers_and_the_rate_is_that_of_training(faces, tmp_path):
    done = run_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, max_steps=4, log_steps=1,
                       evaluate_steps=2)
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stderr.splitlines() if line.startswith('step ')]
    assert ['swd7 ' in line for line in lines] == [False, False, True, True]
    rates = [entry[RATE] for entry in log(tmp_path / 'run')]
    assert len(rates) == 4
