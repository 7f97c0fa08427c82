"""Drawing from a checkpoint: seeds, statistics, what is drawn, old checkpoints, and what is said of mistakes."""

import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

import train
from model import DCGAN
from runtime.errors import RunError
from sampling import draw
from sampling.checkpoint import find, open_run, read, read_all
from sampling.generator import TrainedGenerator
from sampling.latents import parse_sum, walk
from sampling.neighbours import nearest
from sampling.pictures import sheet
from sampling.population import population
from sampling.seeds import parse_seeds, write_seeds
from tests.article import FACTS, REFERENCE
from tests.runs import config

SIZE, Z_DIM, STEPS = 16, 20, 100
SEEDS = np.arange(512)
LATENT_OF_7 = [-0.42966747, -0.86518669, 0.02054286, -0.76747394]  # and on: a seed is a face for good


@pytest.fixture(scope='module')
def trained_run(tmp_path_factory):
    """A run of 100 steps of a small model on the embedded faces, with checkpoints and grids at 0, 50 and 100."""
    folder = tmp_path_factory.mktemp('trained')
    train.train(config('', batch_size=32, z_dim=Z_DIM, g_depths=[32, 16], d_depths=[16, 32], max_steps=STEPS,
                       save_steps=50, sample_steps=50)._replace(dataset_dir=None), folder / 'run', folder / 'cache')
    return folder / 'run'


@pytest.fixture
def run(trained_run, tmp_path):
    """A copy of it, to spoil; its training images are packed in ``cache`` beside."""
    shutil.copytree(trained_run.parent / 'cache', tmp_path / 'cache')
    return shutil.copytree(trained_run, tmp_path / 'run')


@pytest.fixture(scope='module')
def generator(trained_run):
    with TrainedGenerator(read(trained_run / 'model.ckpt-100')) as generator:
        yield generator


def arguments(*flags):
    return [sys.executable, Path(train.__file__).with_name('sample.py'), *flags]


def command(*flags):
    return subprocess.run(arguments(*flags), capture_output=True, text=True, timeout=120, check=False)


def contains(picture, image):
    """Whether an image is a part of a picture, but for rounding."""
    windows = np.lib.stride_tricks.sliding_window_view(picture, image.shape)[:, :, 0]
    return bool((np.abs(windows.astype(int) - image) <= 1).all(axis=(2, 3, 4)).any())


# Seeds


def test_a_seed_is_the_same_latent_for_good(generator):
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
def test_a_face_does_not_depend_on_its_company(generator, trained_run, batch_size):
    crowd = generator.images(SEEDS)
    with TrainedGenerator(read(trained_run / 'model.ckpt-100'), batch_size=batch_size) as other:
        for seeds in np.array([7]), np.array([400, 7]), np.arange(30):
            faces = other.images(seeds)
            assert np.abs(faces.astype(int) - crowd[seeds]).max() <= 1


def test_by_the_statistics_of_the_batch_it_does(trained_run):
    with TrainedGenerator(read(trained_run / 'model.ckpt-100'), 'batch') as generator:
        alone, among = generator.images(np.array([7])), generator.images(np.arange(8))
    assert np.abs(alone[0].astype(int) - among[7]).mean() > 5


@pytest.mark.parametrize(('text', 'seeds'), [
    ('7', [7]), ('7,100-103', [7, 100, 101, 102, 103]), (' 9 , 3-3 ', [9, 3]), ('9223372036854775807', [2**63 - 1])])
def test_seeds_are_read(text, seeds):
    assert parse_seeds(text).tolist() == seeds
    assert parse_seeds(write_seeds(seeds)).tolist() == seeds


@pytest.mark.parametrize(('text', 'message'), [
    ('7,x', r"'x' in the seeds '7,x' is no seed: .*, as 7,100-163"), ('', 'is no seed'), ('1,,2', 'is no seed'),
    ('-3', 'is no seed'), ('1.5', 'is no seed'), ('\u0663', 'is no seed'), ('9-3', '3-9 would do'),
    ('9223372036854775808', 'too large'), ('0-99999999999', '100,000,000,000 seeds, more than'),
    ('9' * 5000, 'too long')])
def test_no_seeds(text, message):
    with pytest.raises(RunError, match=message):
        parse_seeds(text)


# Batch normalisation


def test_after_100_steps_population_draws_what_batch_draws_and_moving_draws_blanks(trained_run):
    images = {}
    for batch_norm in 'population', 'batch', 'moving':
        with TrainedGenerator(read(trained_run / 'model.ckpt-100'), batch_norm, len(SEEDS)) as generator:
            images[batch_norm] = generator.images(SEEDS).astype(float)
    spread = {name: np.sqrt(of.var(axis=0).mean()) for name, of in images.items()}
    assert np.sqrt(np.square(images['population'] - images['batch']).mean()) < 3
    assert spread['population'] == pytest.approx(spread['batch'], rel=0.05)
    assert spread['moving'] < spread['batch'] / 3


def test_population_statistics_of_the_first_layer_are_those_of_uniform_latents(trained_run):
    """Of a linear layer they are known: a latent's mean is 0, its variance 1/3."""
    trained = read(trained_run / 'model.ckpt-100')
    statistics = population(trained)
    kernel = trained.weights['g/reshape/dense/kernel'].reshape(Z_DIM, -1, trained.depths[0])
    bias = trained.weights['g/reshape/dense/bias'].reshape(-1, trained.depths[0])
    scope = 'g/reshape/batch_normalization'
    variance = np.square(kernel).sum(axis=0).mean(axis=0) / 3 + bias.var(axis=0)
    np.testing.assert_allclose(statistics[f'{scope}/moving_variance'], variance, rtol=0.15)
    np.testing.assert_allclose(statistics[f'{scope}/moving_mean'], bias.mean(axis=0), rtol=0,
                               atol=5 * np.sqrt(variance.max() / 512))
    assert len(statistics) == 2 * len(trained.depths)


def test_statistics_are_kept_for_the_weights_that_they_are_of(run, capsys):
    path = run / 'model.ckpt-100.population.npz'
    first = population(read(run / 'model.ckpt-100'))
    kept = path.stat().st_mtime_ns
    capsys.readouterr()
    again = population(read(run / 'model.ckpt-100'))
    assert path.stat().st_mtime_ns == kept
    assert capsys.readouterr().err == ''  # no bar
    for name in first:
        np.testing.assert_array_equal(first[name], again[name])
    for kind in 'index', 'data-00000-of-00001':  # the run went another way
        shutil.copy(run / f'model.ckpt-50.{kind}', run / f'model.ckpt-100.{kind}')
    changed, expected = population(read(run / 'model.ckpt-100')), population(read(run / 'model.ckpt-50'))
    for name in expected:
        np.testing.assert_array_equal(changed[name], expected[name])


@pytest.mark.parametrize('harm', [
    lambda path: path.write_bytes(b''),
    lambda path: path.write_bytes(b'PK\x03\x04 nonsense'),
    lambda path: os.truncate(path, path.stat().st_size // 2),
    lambda path: np.savez(path, made_of=np.load(path)['made_of']),
    lambda path: (path.unlink(), path.mkdir()),
])
def test_statistics_that_cannot_be_read_or_kept(run, capsys, harm):
    expected = population(read(run / 'model.ckpt-50'))
    path = run / 'model.ckpt-50.population.npz'
    harm(path)
    again = population(read(run / 'model.ckpt-50'))
    for name in expected:
        np.testing.assert_array_equal(again[name], expected[name])
    assert ('cannot be written' in capsys.readouterr().out) == path.is_dir()


# Checkpoints


@pytest.mark.parametrize(('name', 'batch_norm', 'expected'), [
    ('start', 'batch', 'generated'), ('start', 'moving', 'generated_inference'), ('end', 'batch', 'generated_after')])
def test_checkpoints_of_tensorflow_1(name, batch_norm, expected):
    """They draw, from the latents that they were given, what TensorFlow 1.15 drew."""
    numbers = np.load(REFERENCE / 'numbers.npz')
    trained = read(REFERENCE / f'{name}.ckpt')
    assert trained.depths == FACTS['small']['config']['g_depths']
    with TrainedGenerator(trained, batch_norm) as generator:
        images = generator.images(numbers['z'][0])
    assert np.abs(images - (numbers[expected] + 1) * 127.5).max() < 1


@pytest.mark.parametrize(('depths', 's_size', 'z_dim'), [([6], 3, 7), ([16, 8, 4], 2, 20), ([4, 4, 4, 4, 4], 1, 100)])
@pytest.mark.parametrize('saved', [tf.global_variables, tf.trainable_variables])
def test_any_depths_are_read_off_the_variables(tmp_path, depths, s_size, z_dim, saved):
    write_checkpoint(tmp_path / 'x', lambda: saved(), depths, s_size, z_dim)
    with TrainedGenerator(read(tmp_path / 'x')) as generator:
        size = s_size * 2 ** len(depths)
        assert generator.images(np.arange(3)).shape == (3, size, size, 3)
    if saved is tf.trainable_variables:
        with pytest.raises(RunError, match='lacks g/reshape/batch_normalization/moving_mean'):
            TrainedGenerator(read(tmp_path / 'x'), 'moving')


def test_moving_averages_that_never_moved_are_told(tmp_path, capsys):
    write_checkpoint(tmp_path / 'x', tf.global_variables, [6], 3, 7)
    TrainedGenerator(read(tmp_path / 'x'), 'moving')
    assert 'are 0 and 1, as before the first step' in capsys.readouterr().out


def write_checkpoint(path, variables, depths, s_size, z_dim):
    """As TensorFlow 1 wrote them: by a Saver, with no config beside, no global_step needed."""
    with tf.Graph().as_default(), tf.Session() as session:
        dcgan = DCGAN(2, s_size, z_dim, depths, [4])
        size = s_size * 2 ** len(depths)
        dcgan.train(dcgan.loss(tf.zeros([2, size, size, 3])))
        session.run(tf.global_variables_initializer())
        tf.train.Saver([variable for variable in variables() if variable.op.name != 'global_step']).save(
            session, str(path))


def test_which_checkpoints_are_meant(run, monkeypatch):
    steps = [run / f'model.ckpt-{step}' for step in (0, 50, 100)]
    assert find(run, 'latest') == steps[-1:]
    assert find(run, 'all') == steps
    assert find(run, '50') == find(run, 'model.ckpt-50') == find(None, str(steps[1])) == steps[1:2]
    for suffix in '.index', '.data-00000-of-00001', '.meta':
        assert find(None, f'{steps[1]}{suffix}') == steps[1:2]
    monkeypatch.chdir(run)
    assert find(None, 'model.ckpt-0') == [Path('model.ckpt-0')]


def test_a_damaged_checkpoint(run, capsys):
    path = run / 'model.ckpt-100.data-00000-of-00001'
    os.truncate(path, path.stat().st_size // 2)
    assert find(run, 'latest') == [run / 'model.ckpt-50']
    assert 'model.ckpt-100 cannot be read: ' in capsys.readouterr().out
    assert [trained.path for trained in read_all(find(run, 'all'))] == [run / 'model.ckpt-0', run / 'model.ckpt-50']
    [named] = find(run, '100')
    with pytest.raises(RunError, match=r'model\.ckpt-100 cannot be read: '):
        read(named)
    for path in run.glob('*.data-*'):
        path.write_bytes(b'')
    with pytest.raises(RunError, match='there is no checkpoint that can be drawn from'):
        find(run, 'latest')


@pytest.mark.parametrize(('model_dir', 'wanted', 'message'), [
    ('run', '7', 'holds no checkpoint of step 7; there are those of 0, 50, 100'),
    ('.', 'latest', r'holds no checkpoint model\.ckpt-N; python train\.py .* makes them; there are \S*run$'),
    ('cache', 'latest', r'holds no checkpoint model\.ckpt-N; python train\.py .* makes them$'),
    (REFERENCE, 'latest', r'but end\.ckpt, start\.ckpt; --checkpoint=\S*end\.ckpt draws from that'),
    (None, '50', '--model_dir=DIR names its directory'),
    (None, 'run', r'is a folder; --model_dir=\S*run draws'),
    ('run', 'model.ckpt-1', 'there is no checkpoint .*; .* holds model.ckpt-0, model.ckpt-100, model.ckpt-50'),
    (None, '', r"there is no checkpoint ''"),
    (None, 'run/model.ckpt-1', 'there is no checkpoint .*; .* holds model.ckpt-0, model.ckpt-100, model.ckpt-50'),
    (None, 'no/where', r'holds none$'),
])
def test_no_such_checkpoint(run, model_dir, wanted, message):
    folder = run.parent
    if wanted.startswith(('run', 'no')):
        wanted = str(folder / wanted)
    with pytest.raises(RunError, match=message):
        find(model_dir and folder / model_dir, wanted)


def test_no_such_run(run):
    for name in 'rum', '':
        with pytest.raises(RunError, match=r"the run directory '\S*' does not exist"):
            open_run(name and str(run.parent / name))
    with pytest.raises(RunError, match=r'rum\S* does not exist; there are \S*run$'):
        open_run(str(run.parent / 'rum'))
    with pytest.raises(RunError, match=r'config\.json\S* is a file$'):
        open_run(str(run / 'config.json'))


@pytest.mark.parametrize(('values', 'message'), [
    ({'dense/kernel': np.zeros([3, 4], np.float32)}, "holds no generator of the article: there is no variable g/resh"),
    ({'g/reshape/dense/kernel': np.zeros([7, 64], np.float32),
      'g/reshape/batch_normalization/gamma': np.zeros([16], np.float32),
      'g/deconv1/conv2d_transpose/kernel': np.zeros([5, 5, 1, 16], np.float32)},
     r'conv2d_transpose/kernel is \[5, 5, 1, 16\], and where the depths are \[16\] it would be \[5, 5, 3, 16\]'),
    ({'g/reshape/dense/kernel': np.full([7, 64], np.nan, np.float32)}, 'no finite numbers'),
])
def test_a_checkpoint_of_something_else(tmp_path, values, message):
    with tf.Graph().as_default(), tf.Session() as session:
        for name, value in values.items():
            tf.get_variable(name, initializer=value)
        session.run(tf.global_variables_initializer())
        tf.train.Saver().save(session, str(tmp_path / 'x'))
    with pytest.raises(RunError, match=message):
        read(tmp_path / 'x')


# Walks, sums, neighbours, films


def test_a_walk():
    stations = np.array([[0, 0], [1, 2], [1, 0]], np.float32)
    np.testing.assert_allclose(walk(stations, 3), [[[0, 0], [0.5, 1], [1, 2]], [[1, 2], [1, 1], [1, 0]]])


def test_interpolation_from_seed_to_seed(generator):
    seeds = np.array([7, 100, 31])
    faces = generator.images(seeds)
    picture = imageio.imread(draw.interpolation(generator, seeds, 5, '.png'))
    cells = picture.reshape(2, SIZE, 5, SIZE, 3).swapaxes(1, 2)
    for (row, column), face in zip([(0, 0), (0, -1), (1, 0), (1, -1)], faces[[0, 1, 1, 2]], strict=True):
        assert np.abs(cells[row, column].astype(int) - face).max() <= 1
    for suffix, options in ('.gif', {}), ('.mp4', {'plugin': 'pyav'}):
        frames = imageio.imread(draw.interpolation(generator, seeds, 5, suffix), extension=suffix, **options)
        assert frames.shape == (9, SIZE, SIZE, 3)  # 100 is shown once
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
def test_sums_are_read(text, terms):
    assert [(term.sign, term.seeds.tolist()) for term in parse_sum(text)] == terms


@pytest.mark.parametrize('text', ['', '7 8', 'mean(7', 'mean()', '7 + ', '7 * 8', 'mean(x)', 'max(7,8)', '7 -- 8'])
def test_no_sums(text):
    with pytest.raises(RunError, match=r'is not understood from|is no seed'):
        parse_sum(text)


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


def test_captions_stand_below_their_images():
    image = np.full([8, 8, 3], 200, np.uint8)
    picture = sheet([[(image, 'a'), (image, 'a long caption\nof two lines')], [None, (image, 'b')]])
    assert contains(picture, image)
    dark = (picture < 100).any(axis=-1)
    assert dark[12:].any()
    assert not dark[:12].any()
    assert dark[:, 30:].any()


# The command


def test_a_grid_of_the_newest_checkpoint(run, generator):
    done = command(f'--model_dir={run}')
    assert done.returncode == 0, done.stderr
    assert f'drew        {run}/faces-step-0000100.png' in done.stdout
    cells = imageio.imread(run / 'faces-step-0000100.png').reshape(8, SIZE, 8, SIZE, 3).swapaxes(1, 2)
    assert np.abs(cells.reshape(64, SIZE, SIZE, 3).astype(int) - generator.images(np.arange(64))).max() <= 1
    before = (run / 'faces-step-0000100.png').stat().st_mtime_ns
    again = command(f'--model_dir={run}')
    assert (again.returncode, 'exists; --overwrite writes over it' in again.stderr) == (1, True)
    assert (run / 'faces-step-0000100.png').stat().st_mtime_ns == before
    assert command(f'--model_dir={run}', '--overwrite').returncode == 0


def test_a_file_for_each_face(run, generator, tmp_path):
    out = tmp_path / 'some' / 'faces'
    done = command(f'--model_dir={run}', '--num_images=5', '--seed=3', '--batch_size=2', f'--out={out}/')
    assert done.returncode == 0, done.stderr
    for seed in range(3, 8):
        face = imageio.imread(out / f'seed-{seed:07d}.png')
        assert np.abs(face.astype(int) - generator.images(np.array([seed]))[0]).max() <= 1
    more = command(f'--model_dir={run}', '--seeds=7,100-102', f'--out={out}/')
    assert more.returncode == 1
    assert '1 of the 4 files exist' in more.stderr
    assert '--seeds=100-102 draws the others' in more.stderr
    assert len(list(out.iterdir())) == 5


def test_a_grid_of_every_checkpoint(run, tmp_path):
    done = command(f'--model_dir={run}', '--checkpoint=all', '--grid=2x3', f'--out={tmp_path / "all"}')
    assert done.returncode == 0, done.stderr
    pictures = [imageio.imread(tmp_path / 'all' / f'faces-step-{step:07d}.png') for step in (0, 50, 100)]
    assert {picture.shape for picture in pictures} == {(2 * SIZE, 3 * SIZE, 3)}


@pytest.mark.parametrize(('flags', 'name', 'frames'), [
    (['--interpolate=7,100,31', '--frames=4', '--out=walk.GIF'], 'walk.GIF', 7),
    (['--arithmetic=mean(7,9) - 3 + 20'], 'run/arithmetic-step-0000100.png', None),
    (['--film=grids'], 'run/progress.gif', 3),  # the last one for longer
    (['--film=checkpoints', '--grid=2x2', '--out=film.mp4'], 'film.mp4', 3 + 2),
    (['--checkpoint=run/model.ckpt-50', '--batch_norm=batch'], 'run/faces-step-0000050.png', None),
])
def test_what_can_be_drawn(run, monkeypatch, flags, name, frames):
    monkeypatch.chdir(run.parent)
    done = command('--model_dir=run', *flags)
    assert done.returncode == 0, done.stderr
    assert name in done.stdout
    picture = imageio.imread(name, **({'plugin': 'pyav'} if name.endswith('.mp4') else {}))
    assert frames is None or len(picture) == frames


def test_the_nearest_training_images(run, monkeypatch):
    monkeypatch.chdir(run.parent)
    done = command('--model_dir=run', '--neighbours=2', '--seeds=7,9', '--cache_dir=cache')
    assert done.returncode == 0, done.stderr
    lines = [line for line in done.stdout.splitlines() if line.startswith('seed ')]
    assert [line.split()[1] for line in lines] == ['7', '9']
    [pack] = (np.load(path) for path in Path('cache').glob('*.npy'))
    picture = imageio.imread('run/neighbours-step-0000100.png')
    for line in lines:
        name = line.split()[2]
        assert contains(picture, pack[int(Path(name).stem) - 1])
    settings = (run / 'config.json').read_text()
    for former, now, message in (('"images_crc32": ', '"images_crc32": 1', 'are not those that the run was trained on'),
                                 ('"dataset_dir": null', '"dataset_dir": "gone"', 'are not where they were: gone')):
        (run / 'config.json').write_text(settings.replace(former, now))
        other = command('--model_dir=run', '--neighbours=2', '--cache_dir=cache', '--overwrite')
        assert message in other.stderr
        assert '--dataset_dir' in other.stderr


@pytest.mark.parametrize(('number', 'status'), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_leaves_whole_files(run, tmp_path, number, status):
    process = subprocess.Popen(arguments(f'--model_dir={run}', '--num_images=1000000', f'--out={tmp_path / "faces"}'),
                               stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    while not list((tmp_path / 'faces').glob('seed-*.png')):
        assert process.poll() is None
    process.send_signal(number)
    said = process.communicate(timeout=60)[0]
    assert (process.returncode, said.count('Traceback'), 'what was written is whole' in said) == (status, 0, True)
    assert {imageio.imread(path).shape for path in (tmp_path / 'faces').iterdir()} == {(SIZE, SIZE, 3)}


@pytest.mark.parametrize(('flags', 'message'), [
    (['--model_dir=rum'], "sample.py: the run directory 'rum' does not exist; there are run"),
    (['--model_dir=run', '--checkpoint=model.ckpt-7'], 'run holds model.ckpt-0, model.ckpt-100, model.ckpt-50'),
    (['--model_dir=run', '--seeds=7,x'], "'x' in the seeds '7,x' is no seed"),
    (['--model_dir=run', '--grid=8'], '--grid=8 is no grid; rows x columns are, as 8x8'),
    (['--model_dir=run', '--grid=2x2', '--seeds=1-5'], 'has 4 places, too few for 5 faces'),
    (['--model_dir=run', '--num_images=2000000'], 'are too many for one picture'),
    (['--model_dir=run', '--out=x.jpg'], '--out=x.jpg ends in .jpg; here it can end in .png'),
    (['--model_dir=run', '--checkpoint=all', '--out=x.png'], '--film=checkpoints makes a film'),
    (['--model_dir=run', '--interpolate=7'], 'names one seed'),
    (['--model_dir=run', '--interpolate=7,8', '--film=grids'], 'must have a value other than None'),
    (['--film=grids'], '--film is of a run'),
    (['--model_dir=run', '--film=grids', '--checkpoint=50'], 'goes through all of a run'),
    ([f'--checkpoint={REFERENCE}/end.ckpt', '--neighbours=2', '--batch_norm=batch'],
     'says on which images this was trained; --dataset_dir=PATH does'),
    (['--model_dir=run', '--neighbours=2', '--dataset_dir=nowhere'], 'sample.py: nowhere does not exist'),
    (['--model_dir=run', '--out=run/config.json/x.png'], 'cannot be written: run/config.json is a file'),
    (['--model_dir=run', '--film=grids', '--grid=2x2'], '--grid says nothing of --film=grids'),
    (['--model_dir=run', '--interpolate=7,8', '--seeds=9'],
     '--seeds says nothing of --interpolate, which takes --frames'),
    (['--model_dir=run', '--seeds=9', '--seed=9'], '--seeds and --seed both say which faces'),
    (['--model_dir=run', '--film=checkpoints', '--grid=1x2000', '--num_images=5'], 'are too large for a film'),
    (['run'], 'run is not expected'),
])
def test_mistakes_get_sentences(run, monkeypatch, flags, message):
    monkeypatch.chdir(run.parent)
    before = sorted(path for path in run.parent.rglob('*') if not path.name.endswith('.npz'))
    done = command(*flags)
    assert done.returncode not in (0, None)
    assert message in done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    assert sorted(path for path in run.parent.rglob('*') if not path.name.endswith('.npz')) == before
