"""The main command: what it prints and writes, its presets, and its answers to mistakes."""

import copy
import json
import re
import shutil

import imageio.v3 as imageio
import numpy as np
import pytest

import train
from dcgan.errors import UserError
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.sampling.pictures import grid
from dcgan.training import loop
from dcgan.training.schedule import Schedule
from tests.commands import run_script
from tests.pictures import write_images
from tests.small_runs import SMALL, config, events, log, run_command, saved_steps

IMAGES, EPOCH_STEPS = 14, 3


@pytest.fixture(scope='module')
def finished(faces, tmp_path_factory):
    """One run of the real command, of two epochs and one step."""
    folder = tmp_path_factory.mktemp('command')
    done = run_command('--deterministic', dataset_dir=faces, model_dir=folder / 'run', cache_dir=folder / 'cache',
                       epochs=3, max_steps=7, sample_steps=2, log_steps=2)
    assert done.returncode == 0, done.stderr
    return done, folder / 'run'


def test_the_command_prints_what_it_found_and_its_progress(finished):
    done, folder = finished
    for words in (f'{IMAGES} of faces', 'rows 2:22, columns 0:20 of images like the first, 20x24, resized to 16x16',
                  f'7, {EPOCH_STEPS} an epoch', 'generator 3,215, discriminator 3,190', 'device', str(folder)):
        assert words in done.stdout
    lines = [line for line in done.stderr.splitlines() if line.startswith('step ')]  # without a terminal
    assert [int(re.match(r'step (\d+)/7 epoch \d/3 g_loss \S+ d_loss \S+ \S+ images/s \S+ left$', line)[1])
            for line in lines] == [2, 4, 6, 7]
    assert '\r' not in done.stderr


def test_a_grid_is_drawn_at_the_start_every_sample_steps_and_at_the_end(finished):
    done, folder = finished
    assert sorted(path.name for path in (folder / 'samples').iterdir()) == [
        f'step-{step:07d}.png' for step in (0, 2, 4, 6, 7)]
    grids = [imageio.imread(path) for path in (folder / 'samples').iterdir()]
    assert {(grid.shape, grid.dtype.name) for grid in grids} == {((8 * 16, 8 * 16, 3), 'uint8')}
    assert len({grid.tobytes() for grid in grids}) == 5
    assert f'samples     {folder / "samples" / "step-0000007.png"}, step 7\n' in done.stdout


@pytest.mark.parametrize(('epoch_steps', 'sample_steps', 'expected'), [
    (1582, None, [0, 100, 200, 500, 1000, 1582, 3164, 4746]),  # CelebA
    (62, None, [0, 100, 200, 500, 1000, *range(372, 5001, 124)]),  # the demo
    (1, None, range(0, 5001, 100)),
    (100, None, range(0, 5001, 100)),
    (150, None, [0, 100, 200, 300, 450, 500, *(step for step in range(600, 5001, 150) if step != 1050), 1000]),
    (62, 30, sorted({*range(0, 5001, 30), 100, 200, 500, 1000})),
    (3000, 1500, [0, 100, 200, 500, 1000, 1500, 3000, 4500]),
])
def test_grids_come_early_and_those_of_epochs_at_least_100_steps_after_others(epoch_steps, sample_steps, expected):
    schedule = Schedule(config('x', sample_steps=sample_steps), epoch_steps, 5000, 4)
    assert [step for step in range(5001) if schedule.is_sampled(step)] == sorted(expected)


def test_the_first_real_images_are_shown(finished):
    _, folder = finished
    reals = imageio.imread(folder / 'reals.png').reshape(8, 16, 8, 16, 3).swapaxes(1, 2).reshape(64, 16, 16, 3)
    [pack] = (np.load(path) for path in (folder.parent / 'cache').glob('*.npy'))
    np.testing.assert_array_equal(reals[:IMAGES], pack)
    assert (reals[IMAGES:] == 255).all()


def test_the_log_and_the_events_hold_the_same_numbers(finished):
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
                               for step in (0, 2, 4, 6, 7)]


def test_the_config_and_the_checkpoints_are_written(finished, faces):
    _, folder = finished
    written = json.loads((folder / 'config.json').read_text())
    assert {name: written[name] for name in SMALL} == SMALL
    assert (written['dataset_dir'], written['images'], written['seed']) == (str(faces), IMAGES, 0)
    assert saved_steps(folder) == [0, 3, 6, 7]  # the start, the end of epochs 1 and 2, the end
    assert not list(folder.rglob('*.part'))


DEMO = {'g_depths': [256, 128, 64, 32], 'd_depths': [32, 64, 128, 256], 'batch_size': 64, 'ema_decay': 0.999}
ARTICLE = {'g_depths': [1024, 512, 256, 128], 'd_depths': [64, 128, 256, 512], 'batch_size': 128, 'ema_decay': None}


def settings_of(run):
    return json.loads((run / 'config.json').read_text())


def test_without_flags_the_demo_trains_and_its_grids_are_of_averaged_weights(tmp_path):
    done = run_script('train.py', f'--cache_dir={tmp_path / "cache"}', '--max_steps=2', '--sample_steps=1',
                      cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    run = tmp_path / 'runs' / 'demo_faces'
    assert settings_of(run).items() >= {**DEMO, 'epochs': 60, 'sample_steps': 1}.items()
    assert "preset      demo, a quarter of the article's width" in done.stdout
    assert '(--preset=article' in done.stdout
    with TrainedGenerator(read(run / 'model.ckpt-2', 'ema'), 'batch') as generator:
        expected = grid(generator.images(np.arange(64)), 8, 8)  # the faces that sample.py draws
    np.testing.assert_allclose(imageio.imread(run / 'samples' / 'step-0000002.png').astype(int),
                               imageio.imread(expected).astype(int), atol=1)


@pytest.mark.parametrize(('flags', 'expected'), [
    ([], {**DEMO, 'epochs': 60}),
    (['--dataset_dir=images'], {**ARTICLE, 'epochs': 5}),
    (['--preset=article'], {**ARTICLE, 'epochs': 5}),
    (['--dataset_dir=images', '--preset=demo'], {**DEMO, 'epochs': 60}),
    (['--epochs=7', '--ema_decay=0'], {**DEMO, 'epochs': 7, 'ema_decay': None}),
    (['--dataset_dir=images', '--g_depths=64,32,16,8', '--ema_decay=0.9'],
     {**ARTICLE, 'epochs': 5, 'g_depths': [64, 32, 16, 8], 'ema_decay': 0.9}),
])
def test_the_preset_gives_what_no_flag_does(tmp_path, monkeypatch, flags, expected):
    monkeypatch.chdir(tmp_path)
    assert parsed(*flags)._asdict().items() >= expected.items()


def test_a_resumed_run_keeps_its_settings_unless_a_flag_changes_them(finished):
    _, run = finished
    settings = json.loads(json.dumps(parsed(f'--model_dir={run}')._asdict(), default=str))
    assert {name: value for name, value in settings_of(run).items() if name in settings} == {**settings, 'max_steps': 7}
    assert parsed(f'--model_dir={run}', '--epochs=9').epochs == 9
    assert parsed(f'--model_dir={run}', '--preset=demo').batch_size == 64  # to be refused


def test_a_run_from_before_the_presets_resumes_with_the_same_command(finished, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    run = shutil.copytree(finished[1], tmp_path / 'runs' / 'demo_faces')
    settings = {**settings_of(run), 'dataset_dir': None}
    expected = {name: value for name, value in settings.items() if name in train.settings.Config._fields}
    del settings['ema_decay'], settings['d_learning_rate'], settings['xla']
    (run / 'config.json').write_text(json.dumps(settings))
    assert parsed()._asdict() == {**expected, 'max_steps': None}


def parsed(*flags):
    values = copy.deepcopy(train.FLAGS)
    values.unparse_flags()
    values(['train.py', *flags])
    return train.config_from(values)


def test_a_run_directory_that_tensorflow_takes_for_a_pattern_is_refused(fit, faces):
    with pytest.raises(UserError, match='takes for a pattern'):
        fit('run[1]', config(faces))


def test_too_few_images_for_a_batch_are_refused(fit, faces):
    with pytest.raises(UserError, match=f'holds {IMAGES} images, fewer than a batch of 15; use --batch_size={IMAGES} '):
        fit('run', config(faces, batch_size=15))


def test_a_run_directory_that_cannot_be_made_is_refused(fit, faces, tmp_path):
    (tmp_path / 'file').touch()
    with pytest.raises(UserError, match=r'cannot use the run directory .*; choose another with --model_dir'):
        fit('file/run', config(faces))


def test_missing_and_broken_images_are_reported(tmp_path):
    faces = write_images(tmp_path / 'img', 100, 218, 178, suffix='.jpg')
    (faces / '000002.jpg').write_bytes(b'')
    done = run_command(dataset_dir=faces, model_dir=tmp_path / 'run', cache_dir=tmp_path, image_size=128, max_steps=1)
    assert done.returncode == 0, done.stderr
    for words in ('99 of img', '1 more, skipped; ',
                  "warning     found 100 of CelebA's 202,599 images; 202,499 missing: ",
                  'rows 55:163, columns 35:143 of images like the first, 178x218, enlarged to 128x128'):
        assert words in done.stdout
    assert json.loads((tmp_path / 'run' / 'config.json').read_text())['images'] == 99


@pytest.mark.parametrize(('flags', 'message'), [
    (['--dataset_dir=/no/such/folder'], '/no/such/folder does not exist'),
    (['--dataset_dir='], '--dataset_dir=: it is not a path; expected e.g. faces/2026'),
    (['--image_size=30'], 'expected a multiple of 16'),
    (['--epochs=1.5'], 'train.py: --epochs=1.5: expected a whole number; --help lists the flags'),
    (['--learning_rate=x'], 'train.py: --learning_rate=x: expected a number; --help lists the flags'),
    (['--g_depths=64,32,16,x'], 'expected four whole numbers above 0'),
    (['--d_depths=8,16'], 'expected four whole numbers above 0'),
    (['--crop=center107'], 'center107'),
    (['--learning_rate=nan'], 'expected a finite number'),
    (['--dataset_dir=~nobody.here/x'], '--dataset_dir=~nobody.here/x: the home folder does not exist or is unknown'),
    (['--dataset_dir=s3://bucket/images'], '--dataset_dir=s3://bucket/images: it is not a local path; '),
    (['--model_dir=gs://bucket/run'], '--model_dir=gs://bucket/run: it is not a local path; '),
])
def test_mistakes_get_sentences(tmp_path, flags, message):
    done = run_command(*flags, model_dir=tmp_path / 'run', cache_dir=tmp_path)
    assert done.returncode not in (0, None)
    assert message in done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
    assert not (tmp_path / 'run').exists()


def test_a_run_directory_that_is_the_folder_of_the_images_is_refused(fit, faces):
    with pytest.raises(UserError, match='is the folder of the images'):
        loop.train(config(faces), faces, faces.parent / 'cache')
