"""The main job: what the command prints and leaves, and what it says of mistakes."""

import json

import imageio.v3 as imageio
import numpy as np
import pytest

from data.errors import DataError
from runtime.errors import RunError
from tests.pictures import write_images
from tests.runs import SMALL, config, events, log, run_command, saved_steps, variables

IMAGES, EPOCH_STEPS = 14, 3


@pytest.fixture(scope='module')
def finished(faces, tmp_path_factory):
    """One run of the real command, of two epochs and one step."""
    folder = tmp_path_factory.mktemp('command')
    done = run_command(dataset_dir=faces, model_dir=folder / 'run', cache_dir=folder / 'cache', epochs=3, max_steps=7,
                       sample_steps=2, log_steps=2)
    assert done.returncode == 0, done.stderr
    return done, folder / 'run'


def test_the_command_says_what_it_found_and_how_it_goes_on(finished):
    done, folder = finished
    for words in (f'{IMAGES} of faces', 'rows 2:22, columns 0:20 of images like the first, 20x24, resized to 16x16',
                  f'7, {EPOCH_STEPS} an epoch', 'generator 1,899, discriminator 1,394', 'device', str(folder)):
        assert words in done.stdout
    for words in 'step 7/7', 'epoch 3/3', 'g_loss', 'd_loss', 'images/s':
        assert words in done.stderr


def test_the_grids(finished):
    _, folder = finished
    assert sorted(path.name for path in (folder / 'samples').iterdir()) == [
        f'step-{step:07d}.png' for step in (0, 2, 3, 4, 6)]
    grids = [imageio.imread(path) for path in (folder / 'samples').iterdir()]
    assert {(grid.shape, grid.dtype.name) for grid in grids} == {((8 * 16, 8 * 16, 3), 'uint8')}
    assert len({grid.tobytes() for grid in grids}) == 5


def test_the_real_images(finished):
    _, folder = finished
    reals = imageio.imread(folder / 'reals.png').reshape(8, 16, 8, 16, 3).swapaxes(1, 2).reshape(64, 16, 16, 3)
    [pack] = (np.load(path) for path in (folder.parent / 'cache').glob('*.npy'))
    np.testing.assert_array_equal(reals[:IMAGES], pack)
    assert not reals[IMAGES:].any()


def test_the_log_and_the_events(finished):
    _, folder = finished
    lines = log(folder)
    assert [(line['step'], line['epoch']) for line in lines] == [(2, 1), (4, 2), (6, 2)]
    assert {tuple(line) for line in lines} == {
        ('step', 'epoch', 'g_loss', 'd_loss', 'spread', 'collapse', 'images_per_second')}
    assert {line['collapse'] for line in lines} == {0}
    told, graphs = events(folder)
    assert graphs == 1
    for name in 'g_loss', 'd_loss', 'spread', 'collapse', 'images_per_second':
        assert told[name] == [(line['step'], pytest.approx(line[name])) for line in lines]
    assert told['samples'] == [(step, (folder / 'samples' / f'step-{step:07d}.png').read_bytes())
                               for step in (0, 2, 3, 4, 6)]


def test_the_config_and_the_checkpoints(finished, faces):
    _, folder = finished
    written = json.loads((folder / 'config.json').read_text())
    assert {name: written[name] for name in SMALL} == SMALL
    assert (written['dataset_dir'], written['images'], written['seed']) == (str(faces), IMAGES, 0)
    assert saved_steps(folder) == [0, 3, 6, 7]  # the start, the end of epochs 1 and 2, the end
    assert not list(folder.rglob('*.part'))


def test_a_run_directory_that_tensorflow_would_take_for_a_pattern(fit, faces):
    with pytest.raises(RunError, match='takes for a pattern'):
        fit('run[1]', config(faces))


def test_another_seed_is_another_run(fit, faces):
    ours, theirs = (variables(fit(str(seed), config(faces, max_steps=1, seed=seed))) for seed in (0, 1))
    assert not np.array_equal(ours['g/reshape/dense/kernel'], theirs['g/reshape/dense/kernel'])


def test_too_few_images_for_a_batch(fit, faces):
    with pytest.raises(DataError, match=f'holds {IMAGES} images, fewer than a batch of 15; --batch_size={IMAGES}'):
        fit('run', config(faces, batch_size=15))


def test_a_run_directory_that_cannot_be_made(fit, faces, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(RunError, match=r'cannot be made: .*; --model_dir names another'):
        fit('file/run', config(faces))


def test_what_is_missing_or_broken_is_said(tmp_path):
    faces = write_images(tmp_path / 'img', 100, 218, 178, suffix='.jpg')
    (faces / '000002.jpg').write_bytes(b'')
    done = run_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, image_size=128, max_steps=1,
                       g_depths=[4, 4, 4, 4, 4])
    assert done.returncode == 0, done.stderr
    for words in ('99 of img', '1 more, skipped; ',
                  "warning     100 of CelebA's 202,599 images are there; missing 202,499: ",
                  'rows 55:163, columns 35:143 of images like the first, 178x218, enlarged to 128x128'):
        assert words in done.stdout
    assert json.loads((tmp_path / 'run' / 'config.json').read_text())['images'] == 99


@pytest.mark.parametrize(('flags', 'message'), [
    (['--dataset_dir=/no/such/folder'], '/no/such/folder does not exist'),
    (['--dataset_dir='], '--dataset_dir is empty'),
    (['--image_size=30'], 'must be a multiple of 2 to the number of --g_depths'),
    (['--g_depths=64,x'], 'must be whole numbers above 0'),
    (['--crop=center107'], 'center107'),
    (['--learning_rate=nan'], 'must be a number'),
    (['--dataset_dir=~nobody.here/x'], 'does not exist'),
    (['img_align_celeba'], 'img_align_celeba is not expected'),
])
def test_mistakes_get_sentences(tmp_path, flags, message):
    done = run_command(*flags, model_dir=tmp_path / 'run', cache_dir=tmp_path)
    assert done.returncode not in (0, None)
    assert message in done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'run').exists()

