"""sample.py: which checkpoints are found; grids, walks, sums, neighbours, films; mistakes."""

import os
import signal
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from dcgan.errors import UserError
from dcgan.sampling import draw
from dcgan.sampling.exported import pretrained
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import find, open_run, read, read_all
from dcgan.sampling.latents import parse_sum
from dcgan.sampling.pictures import film, layout, sheet
from dcgan.sampling.real_images import nearest
from tests.article import REFERENCE
from tests.commands import Running, run_script
from tests.sampling.drawing import SIZE, difference, draw_by


def contains(picture, image):
    """Returns whether an image is part of a picture, up to rounding."""
    height, width, _ = image.shape
    corners = np.abs(picture[:1 - height, :1 - width].astype(int) - image[0, 0]).max(axis=-1) <= 1
    return any(difference(picture[y:y + height, x:x + width], image) <= 1 for y, x in np.argwhere(corners))


# Checkpoints


def test_checkpoints_are_found_by_step_and_by_path(run, monkeypatch):
    steps = [run / f'model.ckpt-{step}' for step in (0, 50, 100)]
    assert find(run, 'latest') == steps[-1:]
    assert find(run, 'all') == steps
    assert find(run, '50') == find(run, 'model.ckpt-50') == find(Path(), str(steps[1])) == steps[1:2]
    for suffix in '.index', '.data-00000-of-00001', '.meta':
        assert find(Path(), f'{steps[1]}{suffix}') == steps[1:2]
    monkeypatch.chdir(run)
    assert find(open_run(None), 'model.ckpt-0') == [Path('model.ckpt-0')]
    assert find(open_run(None), 'latest') == find(open_run(None), 'all') == [pretrained()]


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
    ('run', '7', 'run holds no checkpoint of step 7, but model.ckpt-0, model.ckpt-100, model.ckpt-50; name one'),
    ('run', '9' * 5000, 'run holds no checkpoint of step 9{20}, but model'),
    ('.', 'latest', r'holds no checkpoint model\.ckpt-N; python train\.py makes them; there are run$'),
    ('cache', 'latest', r'holds no checkpoint model\.ckpt-N; python train\.py makes them$'),
    (REFERENCE, 'latest', r'holds no checkpoint model\.ckpt-N, but end\.ckpt, start\.ckpt; name one'),
    (None, '50', '--checkpoint=50 needs a run; name its directory with --model_dir'),
    ('run', '\u0663', r"holds no checkpoint '\S+', but model"), (None, '', "holds no checkpoint ''; "),
    (None, 'run', 'is a folder; use --model_dir=run to draw'),
    (None, 'run/model.ckpt-1', "run holds no checkpoint 'run/model.ckpt-1', but model.ckpt-0, model.ckpt-100"),
    (None, 'no/where', "no holds no checkpoint 'no/where'; python train.py makes them$"),
    ('rum', 'latest', "the run directory rum does not exist; there are run$"),
    ('run/config.json', 'latest', r"the run directory run/config\.json is a file$"),
])
def test_a_missing_run_or_checkpoint_gets_a_sentence(run, model_dir, wanted, message):
    with pytest.raises(UserError, match=message):
        find(open_run(model_dir and Path(model_dir)), wanted)


# Walks, sums, neighbours, films


def test_a_film_walks_from_seed_to_seed():
    seeds = np.array([7, 100, 31])
    # The faces of the pretrained generator differ more than compression changes them.
    with TrainedGenerator(read(pretrained(), 'auto')) as generator:
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


@pytest.mark.parametrize('name', ['a long caption', 'x' * 300, '\udcc8\udccb.jpg', '人脸.jpg', 'a\x1b[31m\x00b', ''])
def test_captions_are_below_their_images_whatever_a_file_is_called(name):
    image = np.full([8, 8, 3], 200, np.uint8)
    picture = sheet([[(image, 'a'), (image, f'{name}\n12.3')], [None, (image, 'b')]])
    assert contains(picture, image)
    dark = (picture < 100).any(axis=-1)
    assert (dark[12:].any(), dark[:12].any(), dark[:, 30:].any()) == (True, False, True)
    assert picture.shape[1] < 600


# The command


def test_the_command_draws_a_grid_from_the_newest_checkpoint(run, generator):
    done = run_script('sample.py', '--model_dir=run')
    assert done.returncode == 0, done.stderr
    assert 'wrote       run/faces-step-0000100.png' in done.stdout
    cells = imageio.imread('run/faces-step-0000100.png').reshape(8, SIZE, 8, SIZE, 3).swapaxes(1, 2)
    assert difference(cells.reshape(64, SIZE, SIZE, 3), generator.images(np.arange(64))) <= 1
    before = Path('run/faces-step-0000100.png').stat().st_mtime_ns
    with pytest.raises(UserError, match='exists; add --overwrite'):
        draw_by('--model_dir=run')
    assert Path('run/faces-step-0000100.png').stat().st_mtime_ns == before
    draw_by('--model_dir=run', '--overwrite=True')


def test_a_folder_receives_a_file_for_each_face(run, generator):
    draw_by('--model_dir=run', '--num_images=5', '--seed=3', '--batch_size=2', '--out=some/faces/')
    for seed in range(3, 8):
        face = imageio.imread(f'some/faces/seed-{seed:07d}.png')
        assert difference(face, generator.images(np.array([seed]))[0]) <= 1
    with pytest.raises(UserError, match=r'seed-0000007\.png exists; add --overwrite, or choose another --out'):
        draw_by('--model_dir=run', '--seeds=7,100-102', '--out=some/faces/')
    with pytest.raises(UserError, match=r'5 files exist, e\.g\. some/faces/seed-0000003\.png; add --overwrite'):
        draw_by('--model_dir=run', '--seeds=3-7', '--out=some/faces/')
    assert len(list(Path('some/faces').iterdir())) == 5


def test_faces_are_enlarged_each_by_itself(run, generator):
    faces = generator.images(np.array([3, 4]))
    large = [np.asarray(Image.fromarray(face).resize((4 * SIZE, 4 * SIZE), Image.Resampling.LANCZOS)) for face in faces]
    for flags in ['--out=faces/'], ['--out=grid.png', '--grid=1x2']:
        draw_by('--model_dir=run', '--seeds=3,4', '--scale=4', *flags)
    for seed, expected in zip((3, 4), large, strict=True):
        assert difference(imageio.imread(f'faces/seed-{seed:07d}.png'), expected) <= 2
    assert difference(imageio.imread('grid.png'), np.hstack(large)) <= 2


def test_a_grid_is_full_where_it_can_be_and_else_white(run):
    assert [layout(count) for count in (64, 66, 67, 2)] == [(8, 8), (6, 11), (8, 9), (1, 2)]
    draw_by('--model_dir=run', '--checkpoint=all', '--num_images=3', '--grid=2x2', '--out=all')
    for step in 0, 50, 100:
        cells = imageio.imread(f'all/faces-step-{step:07d}.png').reshape(2, SIZE, 2, SIZE, 3).swapaxes(1, 2)
        assert [bool((cell == 255).all()) for cell in cells.reshape(4, SIZE, SIZE, 3)] == [False, False, False, True]


@pytest.mark.parametrize(('flags', 'name', 'frames'), [
    (['--interpolate=7,100,31', '--frames=4', '--out=walk.GIF'], 'walk.GIF', 7),
    (['--arithmetic=mean(7,9) - 3 + 20'], 'run/arithmetic-step-0000100.png', None),
    (['--film=grids', '--scale=2'], 'run/progress.gif', 3),  # the last one is shown for longer
    (['--film=checkpoints', '--grid=2x2', '--out=film.mp4'], 'film.mp4', 3 + 2),
    (['--checkpoint=run/model.ckpt-50', '--batch_norm=batch', '--scale=2'], 'run/faces-step-0000050.png', None),
])
def test_walks_sums_films_and_grids_are_drawn(run, capsys, flags, name, frames):
    draw_by('--model_dir=run', *flags)
    assert f'wrote       {name}' in capsys.readouterr().out
    picture = imageio.imread(name, **({'plugin': 'pyav'} if name.endswith('.mp4') else {}))
    assert frames is None or len(picture) == frames
    if '--scale=2' in flags:
        assert picture.shape[-2] >= 2 * 8 * SIZE


def test_the_nearest_training_images_are_drawn(run, capsys):
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


def test_a_signal_leaves_no_half_written_file(run):
    process = Running('sample.py', '--model_dir=run', '--num_images=100000', '--out=faces/')
    process.wait_until(lambda: list(Path('faces').glob('seed-*.png')))
    process.send_signal(signal.SIGTERM)
    done = process.end()
    assert (done.returncode, done.stdout, done.stderr) == (143, '\nstopped; nothing is half-written\n', '')
    assert {imageio.imread(path).shape for path in Path('faces').iterdir()} == {(SIZE, SIZE, 3)}


@pytest.mark.parametrize(('flags', 'message'), [
    (['--model_dir=run', '--grid=8'], 'invalid --grid=8; expected rows x columns, e.g. 8x8'),
    (['--model_dir=run', '--grid=2x2', '--seeds=1-5'], 'has 4 cells, too few for 5 faces'),
    (['--model_dir=run', '--num_images=2000000'], 'are too many for one picture'),
    (['--model_dir=run', '--out=x.jpg'], '--out=x.jpg must end in .png; a folder has no suffix'),
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
    (['--model_dir=run', '--film=checkpoints', '--grid=1x2000', '--num_images=5'], 'are too large for a film'),
])
def test_mistakes_get_sentences(run, flags, message):
    before = sorted(path for path in run.parent.rglob('*') if not path.name.endswith('.npz'))
    with pytest.raises(UserError) as refused:
        draw_by(*flags)
    assert message in str(refused.value)
    assert sorted(path for path in run.parent.rglob('*') if not path.name.endswith('.npz')) == before


@pytest.mark.parametrize(('flags', 'message'), [
    (['--project=http://x/photo.jpg'], '--project=http://x/photo.jpg: it is not a local path'),
    (['--model_dir=rum'], 'sample.py: the run directory rum does not exist'),
    (['--interpolate=7,8', '--film=grids'], '--film and --neighbours exclude each other; give one of them'),
    (['--seeds=7', '--seed=8'], 'sample.py: --seeds and --seed exclude each other; give one of them; --help'),
    (['run'], "unexpected argument 'run'; use flags, e.g. --model_dir=DIR")])
def test_the_command_prints_the_sentence(flags, message):
    done = run_script('sample.py', *flags)
    assert done.returncode == 1
    assert message in done.stderr
    assert 'Traceback' not in done.stderr
