"""Drawing from a checkpoint: seeds, population statistics, pictures, TensorFlow 1 checkpoints, mistakes."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

from dcgan.errors import UserError
from dcgan.sampling import draw
from dcgan.sampling.exported import PRETRAINED
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, open_run, read, read_all
from dcgan.sampling.latents import format_seeds, parse_seeds, parse_sum, walk
from dcgan.sampling.neighbours import nearest
from dcgan.sampling.pictures import film, layout, sheet
from dcgan.sampling.population import population_statistics
from dcgan.sampling.sample import sample
from dcgan.training.loop import train
from model import DCGAN
from tests.article import FACTS, REFERENCE
from tests.commands import run_script
from tests.small_runs import SCRIPT, config

SIZE, Z_DIM, STEPS = 32, 20, 100
SEEDS = np.arange(512)
NUMBERS = {'batch_size': 128, 'num_images': None, 'seed': 0, 'scale': 1, 'frames': 16, 'neighbours': None}
DEFAULTS = {**NUMBERS, 'model_dir': None, 'checkpoint': 'latest', 'weights': 'auto', 'dataset_dir': None,
            'cache_dir': 'cache', 'batch_norm': 'population', 'out': None, 'overwrite': False, 'seeds': None,
            'grid': None, 'interpolate': None, 'arithmetic': None, 'project': None, 'film': None}  # of sample.py
LATENT_OF_7 = [-0.42966747, -0.86518669, 0.02054286, -0.76747394]  # its first numbers; they never change


@pytest.fixture(scope='module')
def trained_run(tmp_path_factory):
    """A run of 100 steps of a small model on the embedded faces, with checkpoints and grids at 0, 50 and 100."""
    folder = tmp_path_factory.mktemp('trained')
    train(config('', image_size=SIZE, batch_size=32, z_dim=Z_DIM, g_depths=[32, 16, 8, 8], d_depths=[8, 8, 16, 32],
                 max_steps=STEPS, save_steps=50, sample_steps=50)._replace(dataset_dir=None),
          folder / 'run', folder / 'cache')
    return folder / 'run'


@pytest.fixture
def run(trained_run, tmp_path):
    """A copy of it that a test may change; its training images are packed in ``cache`` beside it."""
    shutil.copytree(trained_run.parent / 'cache', tmp_path / 'cache')
    return shutil.copytree(trained_run, tmp_path / 'run')


@pytest.fixture(scope='module')
def generator(trained_run):
    with TrainedGenerator(read(trained_run / 'model.ckpt-100')) as generator:
        yield generator


def arguments(*flags):
    return [sys.executable, SCRIPT.with_name('sample.py'), *flags]


def command(*flags):
    return run_script('sample.py', *flags)


def draw_by(*flags):
    """Does what the command does, in this process."""
    given = dict(flag.removeprefix('--').split('=', 1) for flag in flags)
    values = {name: int(value) if name in NUMBERS else value for name, value in given.items()}
    sample(SimpleNamespace(**{**DEFAULTS, **values}), set(given))


def contains(picture, image):
    """Returns whether an image is part of a picture, up to rounding."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, image.shape)[:, :, 0]
    return bool((np.abs(windows.astype(int) - image) <= 1).all(axis=(2, 3, 4)).any())


# Seeds


def test_a_seed_always_gives_the_same_latent(generator):
    latents = generator.latents(np.array([7, 2**62, 7]))
    np.testing.assert_allclose(latents[0, :4], LATENT_OF_7, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(latents[0], latents[2])
    assert np.abs(latents[0] - latents[1]).mean() > 0.3


def test_latents_are_uniform(generator):
    latents = generator.latents(np.arange(10_000))
    assert -1 <= latents.min() < latents.max() < 1
    np.testing.assert_allclose(np.histogram(latents, 10, (-1, 1))[0] / latents.size, 0.1, rtol=0.03)
    assert np.abs(np.corrcoef(latents.T) - np.eye(Z_DIM)).max() < 0.05


@pytest.mark.parametrize('batch_size', [1, 7, 512])
def test_a_face_does_not_depend_on_the_others_in_its_batch(generator, trained_run, batch_size):
    crowd = generator.images(SEEDS)
    with TrainedGenerator(read(trained_run / 'model.ckpt-100'), batch_size=batch_size) as other:
        for seeds in np.array([7]), np.array([400, 7]), np.arange(30):
            faces = other.images(seeds)
            assert np.abs(faces.astype(int) - crowd[seeds]).max() <= 1


def test_with_batch_statistics_a_face_depends_on_the_others(trained_run):
    with TrainedGenerator(read(trained_run / 'model.ckpt-100'), 'batch') as generator:
        alone, among = generator.images(np.array([7])), generator.images(np.arange(8))
    assert np.abs(alone[0].astype(int) - among[7]).mean() > 5


@pytest.mark.parametrize(('text', 'seeds'), [
    ('7', [7]), ('7,100-103', [7, 100, 101, 102, 103]), (' 9 , 3-3 ', [9, 3]), ('9223372036854775807', [2**63 - 1])])
def test_seeds_are_parsed(text, seeds):
    assert parse_seeds(text).tolist() == seeds
    assert parse_seeds(format_seeds(seeds)).tolist() == seeds


@pytest.mark.parametrize(('text', 'message'), [
    ('7,x', "^invalid seed 'x'; expected e.g. 7,100-163$"), ('', "invalid seed ''"), ('1,,2', "invalid seed ''"),
    ('-3', "invalid seed '-3'"), ('1.5', "invalid seed '1.5'"), ('\u0663', 'invalid seed'),
    ('9-3', '^invalid range 9-3 of seeds; expected 3-9$'),
    ('9223372036854775808', '^invalid seed 9223372036854775808; the largest is 9223372036854775807$'),
    ('0-9223372036854775807', 'names more than 10,000,000 seeds'),
    ('0-9999999,7', 'names more than 10,000,000 seeds'),
    ('9' * 5000, r"^invalid seed '9{57}\.\.\.'")])
def test_invalid_seeds_get_a_sentence(text, message):
    with pytest.raises(UserError, match=message):
        parse_seeds(text)


# Each would take hours in quadratic time.
SPACES = ' ' * 100_000
HOSTILE = [f'{SPACES}x', f'1{SPACES}x', f'1{SPACES}-{SPACES}x', f'mean{SPACES}x', f'mean({SPACES}x', f'mean({SPACES})',
           f'mean(9{SPACES}-{SPACES}3)', '-' * 100_000, '1-' * 100_000, '(' * 100_000, 'mean(' * 100_000,
           '1,' * 100_000, '7+' * 100_000, '9' * 1_000_000, f'{"7," * 100_000}9-3', ' ' * 2_000_000,
           '7,' * 1_000_000 + '7']


@pytest.mark.parametrize('parse', [parse_seeds, parse_sum])
@pytest.mark.parametrize('text', HOSTILE, ids=range(len(HOSTILE)))
def test_a_long_invalid_text_is_refused_in_linear_time(parse, text):
    with pytest.raises(UserError) as refused:
        parse(text)
    assert len(str(refused.value)) < 200


# Batch normalization


def test_after_100_steps_population_statistics_draw_like_batch_statistics_and_moving_averages_draw_blanks(trained_run):
    images = {}
    for batch_norm in 'population', 'batch', 'moving':
        with TrainedGenerator(read(trained_run / 'model.ckpt-100'), batch_norm, len(SEEDS)) as generator:
            images[batch_norm] = generator.images(SEEDS).astype(float)
    spread = {name: np.sqrt(of.var(axis=0).mean()) for name, of in images.items()}
    assert np.sqrt(np.square(images['population'] - images['batch']).mean()) < 3
    assert spread['population'] == pytest.approx(spread['batch'], rel=0.05)
    assert spread['moving'] < spread['batch'] / 3


def test_population_statistics_of_the_first_layer_are_those_of_uniform_latents(trained_run):
    """They follow from the weights: a latent has mean 0 and variance 1/3."""
    checkpoint = read(trained_run / 'model.ckpt-100')
    statistics = population_statistics(checkpoint)
    kernel = checkpoint.variables['g/reshape/dense/kernel'].reshape(Z_DIM, -1, checkpoint.depths[0])
    bias = checkpoint.variables['g/reshape/dense/bias'].reshape(-1, checkpoint.depths[0])
    scope = 'g/reshape/batch_normalization'
    variance = np.square(kernel).sum(axis=0).mean(axis=0) / 3 + bias.var(axis=0)
    np.testing.assert_allclose(statistics[f'{scope}/moving_variance'], variance, rtol=0.15)
    np.testing.assert_allclose(statistics[f'{scope}/moving_mean'], bias.mean(axis=0), rtol=0,
                               atol=5 * np.sqrt(variance.max() / 512))
    assert len(statistics) == 2 * len(checkpoint.depths)


def test_statistics_are_cached_until_the_weights_change(run, capsys):
    path = run / 'model.ckpt-100.population.npz'
    first = population_statistics(read(run / 'model.ckpt-100'))
    written = path.stat().st_mtime_ns
    capsys.readouterr()
    again = population_statistics(read(run / 'model.ckpt-100'))
    assert path.stat().st_mtime_ns == written
    assert capsys.readouterr().err == ''  # no progress bar
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    for kind in 'index', 'data-00000-of-00001':  # another run's
        shutil.copy(run / f'model.ckpt-50.{kind}', run / f'model.ckpt-100.{kind}')
    changed, expected = (population_statistics(read(run / f'model.ckpt-{step}')) for step in (100, 50))
    for name in expected:
        np.testing.assert_array_equal(changed[name], expected[name])


@pytest.mark.parametrize('damage', [
    lambda path: path.write_bytes(b''),
    lambda path: path.write_bytes(b'PK\x03\x04 nonsense'),
    lambda path: os.truncate(path, path.stat().st_size // 2),
    lambda path: np.savez(path, made_of=np.load(path)['made_of']),
    lambda path: (path.unlink(), path.mkdir()),
])
def test_statistics_are_estimated_again_if_the_cache_is_damaged_or_cannot_be_written(run, capsys, damage):
    expected = population_statistics(read(run / 'model.ckpt-50'))
    path = run / 'model.ckpt-50.population.npz'
    damage(path)
    again = population_statistics(read(run / 'model.ckpt-50'))
    for name in expected:
        np.testing.assert_array_equal(again[name], expected[name])
    assert (f'cannot write {path}: ' in capsys.readouterr().out) == path.is_dir()


# Checkpoints


@pytest.mark.parametrize(('name', 'batch_norm', 'expected'), [
    ('start', 'batch', 'generated'), ('start', 'moving', 'generated_inference'), ('end', 'batch', 'generated_after')])
def test_a_tensorflow_1_checkpoint_draws_what_tensorflow_1_drew(name, batch_norm, expected):
    numbers = np.load(REFERENCE / 'numbers.npz')
    checkpoint = read(REFERENCE / f'{name}.ckpt')
    assert checkpoint.depths == FACTS['small']['config']['g_depths']
    with TrainedGenerator(checkpoint, batch_norm) as generator:
        images = generator.images(numbers['z'][0])
    assert np.abs(images - (numbers[expected] + 1) * 127.5).max() < 1


@pytest.mark.parametrize(('depths', 's_size', 'z_dim'), [
    ([6, 5, 4, 3], 3, 7), ([16, 8, 4, 2], 2, 20), ([4, 4, 4, 4], 1, 100)])
@pytest.mark.parametrize('saved', [tf.global_variables, tf.trainable_variables])
def test_the_architecture_is_read_from_the_variables(tmp_path, depths, s_size, z_dim, saved):
    write_checkpoint(tmp_path / 'x', lambda: saved(), depths, s_size, z_dim)
    with TrainedGenerator(read(tmp_path / 'x')) as generator:
        assert generator.images(np.arange(3)).shape == (3, 16 * s_size, 16 * s_size, 3)
    if saved is tf.trainable_variables:
        with pytest.raises(UserError, match=r'the trained weights of .* have no moving averages'):
            TrainedGenerator(read(tmp_path / 'x'), 'moving')


def test_a_warning_says_that_the_moving_averages_were_never_updated(tmp_path, capsys):
    write_checkpoint(tmp_path / 'x', tf.global_variables, [6, 5, 4, 3], 1, 7)
    TrainedGenerator(read(tmp_path / 'x'), 'moving')
    assert 'are 0 and 1, as before the first step' in capsys.readouterr().out


def write_checkpoint(path, variables, depths, s_size, z_dim):
    """Writes a checkpoint as TensorFlow 1 did: with a Saver, without global_step and config.json."""
    with tf.Graph().as_default(), tf.Session() as session:
        dcgan = DCGAN(2, s_size, z_dim, depths, [4, 4, 4, 4])
        dcgan.train(dcgan.loss(tf.zeros([2, 16 * s_size, 16 * s_size, 3])))
        session.run(tf.global_variables_initializer())
        tf.train.Saver([variable for variable in variables() if variable.op.name != 'global_step']).save(
            session, str(path))


def test_checkpoints_are_found_by_step_and_by_path(run, monkeypatch):
    steps = [run / f'model.ckpt-{step}' for step in (0, 50, 100)]
    assert find(run, 'latest') == steps[-1:]
    assert find(run, 'all') == steps
    assert find(run, '50') == find(run, 'model.ckpt-50') == find(None, str(steps[1])) == steps[1:2]
    for suffix in '.index', '.data-00000-of-00001', '.meta':
        assert find(None, f'{steps[1]}{suffix}') == steps[1:2]
    monkeypatch.chdir(run)
    assert find(None, 'model.ckpt-0') == [Path('model.ckpt-0')]


def test_a_damaged_checkpoint_is_reported_and_skipped(run, capsys):
    path = run / 'model.ckpt-100.data-00000-of-00001'
    os.truncate(path, path.stat().st_size // 2)
    assert find(run, 'latest') == [run / 'model.ckpt-50']
    assert f'cannot read {run / "model.ckpt-100"}: ' in capsys.readouterr().out
    assert [found.path for found in read_all(find(run, 'all'))] == [run / 'model.ckpt-0', run / 'model.ckpt-50']
    [named] = find(run, '100')
    with pytest.raises(UserError, match=r'cannot read \S+model\.ckpt-100: '):
        read(named)
    for path in run.glob('*.data-*'):
        path.write_bytes(b'')
    with pytest.raises(UserError, match='there is no checkpoint to draw from'):
        find(run, 'latest')


@pytest.mark.parametrize(('model_dir', 'wanted', 'message'), [
    ('run', '7', 'holds no checkpoint of step 7; it holds 0, 50, 100'),
    ('.', 'latest', r'holds no checkpoint model\.ckpt-N; python train\.py .* makes them; there are \S*run$'),
    ('cache', 'latest', r'holds no checkpoint model\.ckpt-N; python train\.py .* makes them$'),
    (REFERENCE, 'latest', r'but end\.ckpt, start\.ckpt; use --checkpoint=\S*end\.ckpt$'),
    (None, '50', '--checkpoint=50 needs a run; name its directory with --model_dir'),
    ('run', '9' * 5000, 'holds no checkpoint of step 9{20}; it holds 0, 50, 100'),
    ('run', '\u0663', 'there is no checkpoint'),
    (None, 'run', r'is a folder; use --model_dir=\S*run to draw'),
    ('run', 'model.ckpt-1', 'there is no checkpoint .*; .* holds model.ckpt-0, model.ckpt-100, model.ckpt-50'),
    (None, '', r"there is no checkpoint ''"),
    (None, 'run/model.ckpt-1', 'there is no checkpoint .*; .* holds model.ckpt-0, model.ckpt-100, model.ckpt-50'),
    (None, 'no/where', r'holds none$'),
])
def test_a_missing_checkpoint_gets_a_sentence(run, model_dir, wanted, message):
    folder = run.parent
    if wanted.startswith(('run', 'no')):
        wanted = str(folder / wanted)
    with pytest.raises(UserError, match=message):
        find(model_dir and folder / model_dir, wanted)


def test_a_missing_run_gets_a_sentence(run):
    for name in 'rum', '':
        with pytest.raises(UserError, match=r"the run directory '\S*' does not exist"):
            open_run(name and str(run.parent / name))
    with pytest.raises(UserError, match=r'rum\S* does not exist; there are \S*run$'):
        open_run(str(run.parent / 'rum'))
    with pytest.raises(UserError, match=r'config\.json\S* is a file$'):
        open_run(str(run / 'config.json'))


# Walks, sums, neighbours, films


def test_a_walk_is_straight_from_each_station_to_the_next():
    stations = np.array([[0, 0], [1, 2], [1, 0]], np.float32)
    np.testing.assert_allclose(walk(stations, 3), [[[0, 0], [0.5, 1], [1, 2]], [[1, 2], [1, 1], [1, 0]]])


def test_interpolation_shows_each_seed_and_the_way_between(generator):
    seeds = np.array([7, 100, 31])
    faces = generator.images(seeds)
    picture = imageio.imread(draw.interpolation(generator, seeds, 5))
    cells = picture.reshape(2, SIZE, 5, SIZE, 3).swapaxes(1, 2)
    for (row, column), face in zip([(0, 0), (0, -1), (1, 0), (1, -1)], faces[[0, 1, 1, 2]], strict=True):
        assert np.abs(cells[row, column].astype(int) - face).max() <= 1


def test_a_film_walks_from_seed_to_seed():
    seeds = np.array([7, 100, 31])
    with TrainedGenerator(read(PRETRAINED, 'auto')) as generator:  # its faces differ more than compression changes them
        faces = generator.images(seeds)
        for suffix, options in ('.gif', {}), ('.mp4', {'plugin': 'pyav'}):
            frames = imageio.imread(film(*draw.walk_film(generator, seeds, 5), suffix), extension=suffix, **options)
            assert frames.shape == (9, 64, 64, 3)  # seed 100 is shown once
            shown, _ = nearest(frames[[0, 4, 8]], faces, 1)
            assert shown[:, 0].tolist() == [0, 1, 2]


def test_a_sum_shows_its_terms_and_result(generator):
    terms = parse_sum('mean(7,9,12) - mean(3-4) + 20')
    picture = imageio.imread(draw.arithmetic(generator, terms))
    latents = {seed: generator.latents(np.array([seed]))[0] for seed in (7, 9, 12, 3, 4, 20)}
    means = [(latents[7] + latents[9] + latents[12]) / 3, (latents[3] + latents[4]) / 2, latents[20]]
    for face in generator.images(np.stack([*latents.values(), *means, means[0] - means[1] + means[2]])):
        assert contains(picture, face)
    assert not contains(picture, generator.images(np.array([8]))[0])


@pytest.mark.parametrize(('text', 'terms'), [
    ('7', [(1, [7])]), ('-7+8', [(-1, [7]), (1, [8])]), ('mean(1-3)-mean( 5 , 9 )', [(1, [1, 2, 3]), (-1, [5, 9])]),
    (' mean (7) -  3 ', [(1, [7]), (-1, [3])])])
def test_sums_are_parsed(text, terms):
    assert [(term.sign, term.seeds.tolist()) for term in parse_sum(text)] == terms


@pytest.mark.parametrize('text', ['', '7 8', 'mean(7', 'mean()', '7 + ', '7 * 8', 'mean(x)', 'max(7,8)', '7 -- 8'])
def test_invalid_sums_get_a_sentence(text):
    with pytest.raises(UserError, match=r'^invalid (sum at|seed) .*; expected e\.g\. '):
        parse_sum(text)


@pytest.mark.parametrize('text', ['mean(0-8)', 'mean(0-4) + mean(5-8)', '1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9'])
def test_a_sum_of_too_many_seeds_gets_a_sentence(text):
    assert parse_sum(text, 9)
    with pytest.raises(UserError, match='names more than 8 seeds'):
        parse_sum(text, 8)


def test_nearest_images_are_found():
    noise = np.random.RandomState(0)
    images, faces = (noise.randint(0, 256, [count, 8, 8, 3]).astype(np.uint8) for count in (12000, 5))
    faces[0] = images[11_000]
    faces[1] = images[17] ^ 1
    found, distances = nearest(faces, images, 3)
    everything = np.sqrt(np.square(faces[:, np.newaxis].astype(float) - images).mean(axis=(2, 3, 4)))
    np.testing.assert_array_equal(found, np.argsort(everything, axis=1)[:, :3])
    np.testing.assert_allclose(distances, np.sort(everything, axis=1)[:, :3])
    assert (found[0, 0], distances[0, 0], found[1, 0], distances[1, 0]) == (11_000, 0, 17, 1)
    assert nearest(faces, images[:2], 3)[0].shape == (5, 2)


def test_captions_are_below_their_images():
    image = np.full([8, 8, 3], 200, np.uint8)
    picture = sheet([[(image, 'a'), (image, 'a long caption\nof two lines')], [None, (image, 'b')]])
    assert contains(picture, image)
    dark = (picture < 100).any(axis=-1)
    assert dark[12:].any()
    assert not dark[:12].any()
    assert dark[:, 30:].any()


# The command


def test_the_command_draws_a_grid_from_the_newest_checkpoint(run, generator):
    done = command(f'--model_dir={run}')
    assert done.returncode == 0, done.stderr
    assert f'wrote       {run}/faces-step-0000100.png' in done.stdout
    cells = imageio.imread(run / 'faces-step-0000100.png').reshape(8, SIZE, 8, SIZE, 3).swapaxes(1, 2)
    assert np.abs(cells.reshape(64, SIZE, SIZE, 3).astype(int) - generator.images(np.arange(64))).max() <= 1
    before = (run / 'faces-step-0000100.png').stat().st_mtime_ns
    again = command(f'--model_dir={run}')
    assert (again.returncode, 'exists; add --overwrite' in again.stderr) == (1, True)
    assert (run / 'faces-step-0000100.png').stat().st_mtime_ns == before
    assert command(f'--model_dir={run}', '--overwrite').returncode == 0


def test_a_folder_receives_a_file_for_each_face(run, generator, tmp_path):
    out = tmp_path / 'some' / 'faces'
    done = command(f'--model_dir={run}', '--num_images=5', '--seed=3', '--batch_size=2', f'--out={out}/')
    assert done.returncode == 0, done.stderr
    for seed in range(3, 8):
        face = imageio.imread(out / f'seed-{seed:07d}.png')
        assert np.abs(face.astype(int) - generator.images(np.array([seed]))[0]).max() <= 1
    more = command(f'--model_dir={run}', '--seeds=7,100-102', f'--out={out}/')
    assert more.returncode == 1
    assert ('seed-0000007.png exists; add --overwrite, draw only the others with --seeds=100-102, or choose another '
            '--out') in more.stderr
    assert len(list(out.iterdir())) == 5


def test_faces_are_enlarged_each_by_itself(run, generator, tmp_path):
    faces = generator.images(np.array([3, 4]))
    large = [np.asarray(Image.fromarray(face).resize((4 * SIZE, 4 * SIZE), Image.Resampling.LANCZOS)) for face in faces]
    for flags in [f'--out={tmp_path / "faces"}/'], [f'--out={tmp_path / "grid.png"}', '--grid=1x2']:
        draw_by(f'--model_dir={run}', '--seeds=3,4', '--scale=4', *flags)
    for seed, expected in zip((3, 4), large, strict=True):
        found = imageio.imread(tmp_path / 'faces' / f'seed-{seed:07d}.png')
        np.testing.assert_allclose(found.astype(int), expected, atol=2)
    np.testing.assert_allclose(imageio.imread(tmp_path / 'grid.png').astype(int), np.hstack(large), atol=2)


def test_a_grid_is_full_where_it_can_be_and_else_white(run, tmp_path):
    assert [layout(count) for count in (64, 66, 67, 2)] == [(8, 8), (6, 11), (8, 9), (1, 2)]
    draw_by(f'--model_dir={run}', f'--out={tmp_path / "grid.png"}', '--num_images=3', '--grid=2x2')
    cells = imageio.imread(tmp_path / 'grid.png').reshape(2, SIZE, 2, SIZE, 3).swapaxes(1, 2)
    assert [bool((cell == 255).all()) for cell in cells.reshape(4, SIZE, SIZE, 3)] == [False, False, False, True]


def test_a_generator_that_was_hardly_trained_is_said_to_draw_noise(tmp_path, capsys):
    draw_by(f'--checkpoint={REFERENCE}/end.ckpt', '--batch_norm=batch', f'--out={tmp_path / "noise.png"}')
    assert 'end.ckpt has had 5 steps of training, and draws noise; faces form after some' in capsys.readouterr().out


def test_checkpoint_all_draws_a_grid_from_each_checkpoint(run, tmp_path):
    draw_by(f'--model_dir={run}', '--checkpoint=all', '--grid=2x3', f'--out={tmp_path / "all"}')
    pictures = [imageio.imread(tmp_path / 'all' / f'faces-step-{step:07d}.png') for step in (0, 50, 100)]
    assert {picture.shape for picture in pictures} == {(2 * SIZE, 3 * SIZE, 3)}


@pytest.mark.parametrize(('flags', 'name', 'frames'), [
    (['--interpolate=7,100,31', '--frames=4', '--out=walk.GIF'], 'walk.GIF', 7),
    (['--arithmetic=mean(7,9) - 3 + 20'], 'run/arithmetic-step-0000100.png', None),
    (['--film=grids', '--scale=2'], 'run/progress.gif', 3),  # the last one is shown for longer
    (['--film=checkpoints', '--grid=2x2', '--out=film.mp4'], 'film.mp4', 3 + 2),
    (['--checkpoint=run/model.ckpt-50', '--batch_norm=batch', '--scale=2'], 'run/faces-step-0000050.png', None),
])
def test_walks_sums_films_and_grids_are_drawn(run, monkeypatch, capsys, flags, name, frames):
    monkeypatch.chdir(run.parent)
    draw_by('--model_dir=run', *flags)
    assert f'wrote       {name}' in capsys.readouterr().out
    picture = imageio.imread(name, **({'plugin': 'pyav'} if name.endswith('.mp4') else {}))
    assert frames is None or len(picture) == frames
    if '--scale=2' in flags:
        assert picture.shape[-2] >= 2 * 8 * SIZE


def test_the_nearest_training_images_are_drawn(run, monkeypatch, capsys):
    monkeypatch.chdir(run.parent)
    draw_by('--model_dir=run', '--neighbours=2', '--seeds=7,9')
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith('seed ')]
    assert [line.split()[1] for line in lines] == ['7', '9']
    [pack] = (np.load(path) for path in Path('cache').glob('*.npy'))
    picture = imageio.imread('run/neighbours-step-0000100.png')
    for line in lines:
        name = line.split()[2]
        assert contains(picture, pack[int(Path(name).stem) - 1])
    settings = (run / 'config.json').read_text()
    for former, now, message in (('"images_crc32": ', '"images_crc32": 1', 'are not those that the run was trained on'),
                                 ('"dataset_dir": null', '"dataset_dir": "gone"', 'images are not where they were: ')):
        (run / 'config.json').write_text(settings.replace(former, now))
        with pytest.raises(UserError, match=f'{message}.*--dataset_dir'):
            draw_by('--model_dir=run', '--neighbours=2', '--out=other.png')


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_no_half_written_file(run, tmp_path, number, status):
    process = subprocess.Popen(arguments(f'--model_dir={run}', '--num_images=100000', f'--out={tmp_path / "faces"}'),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not list((tmp_path / 'faces').glob('seed-*.png')):
        assert process.poll() is None
        time.sleep(0.1)
    process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    assert (process.returncode, said.count('Traceback'), 'nothing is half-written' in said) == (status, 0, True)
    assert {imageio.imread(path).shape for path in (tmp_path / 'faces').iterdir()} == {(SIZE, SIZE, 3)}


@pytest.mark.parametrize(('flags', 'message'), [
    (['--model_dir=rum'], "the run directory 'rum' does not exist; there are run"),
    (['--model_dir=run', '--checkpoint=model.ckpt-7'], 'run holds model.ckpt-0, model.ckpt-100, model.ckpt-50'),
    (['--model_dir=run', '--seeds=7,x'], "invalid seed 'x'; expected e.g. 7,100-163"),
    (['--model_dir=run', '--grid=8'], 'invalid --grid=8; expected rows x columns, e.g. 8x8'),
    (['--model_dir=run', '--grid=2x2', '--seeds=1-5'], 'has 4 cells, too few for 5 faces'),
    (['--model_dir=run', '--num_images=2000000'], 'are too many for one picture'),
    (['--model_dir=run', '--out=x.jpg'], '--out=x.jpg ends in .jpg; expected .png, or / for a folder'),
    (['--model_dir=run', '--checkpoint=all', '--out=x.png'], 'or make a film with --film=checkpoints'),
    (['--model_dir=run', '--interpolate=7'], '--interpolate=7 names one face; expected two or more'),
    (['--film=grids'], '--film shows a run; name its directory with --model_dir'),
    (['--model_dir=run', '--film=grids', '--checkpoint=50'], 'shows a whole run; drop --checkpoint=50'),
    ([f'--checkpoint={REFERENCE}/end.ckpt', '--neighbours=2', '--batch_norm=batch'],
     'does not say which images it was trained on; name them with --dataset_dir'),
    (['--model_dir=run', '--neighbours=2', '--dataset_dir=nowhere'], 'nowhere does not exist; '),
    (['--model_dir=run', '--out=run/config.json/x.png'],
     'cannot write run/config.json/x.png: run/config.json is a file; choose another place with --out'),
    (['--model_dir=run', '--film=grids', '--grid=2x2'], '--grid has no effect on --film=grids, which uses --scale'),
    (['--model_dir=run', '--neighbours=2', '--scale=2'], '--scale has no effect on --neighbours'),
    (['--model_dir=run', '--interpolate=7,8', '--seeds=9'],
     '--seeds has no effect on --interpolate, which uses --frames, --scale'),
    (['--model_dir=run', '--seeds=9', '--seed=9'], '--seeds and --seed cannot be combined'),
    (['--model_dir=run', '--film=checkpoints', '--grid=1x2000', '--num_images=5'], 'are too large for a film'),
])
def test_mistakes_get_sentences(run, monkeypatch, flags, message):
    monkeypatch.chdir(run.parent)
    before = sorted(path for path in run.parent.rglob('*') if not path.name.endswith('.npz'))
    with pytest.raises(UserError) as refused:
        draw_by(*flags)
    assert message in str(refused.value)
    assert sorted(path for path in run.parent.rglob('*') if not path.name.endswith('.npz')) == before


@pytest.mark.parametrize(('flags', 'message'), [
    (['--model_dir=rum'], "sample.py: the run directory 'rum' does not exist"),
    (['--interpolate=7,8', '--film=grids'], 'must have a value other than None'),
    (['run'], "unexpected argument 'run'; use flags, e.g. --model_dir=DIR")])
def test_the_command_prints_the_sentence(flags, message):
    done = command(*flags)
    assert done.returncode == 1
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
