"""From a photo to a latent: --project, and saved latents in the place of seeds."""

import io
import os
import pickle
import shutil
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.sampling import draw
from dcgan.sampling.exported import PRETRAINED
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.sampling.latents import parse_seeds, parse_sum, read_latent
from dcgan.sampling.neighbours import nearest
from dcgan.sampling.projection import Projector, read_photo
from dcgan.training.loop import train
from model import DCGAN
from tests.commands import run_script
from tests.pictures import random_image
from tests.sampling.test_sample import HOSTILE, draw_by
from tests.small_runs import config

SIZE, Z_DIM = 16, 5


@pytest.fixture(scope='module')
def trained_run(tmp_path_factory):
    """A run of 60 steps of a small model on the embedded faces."""
    folder = tmp_path_factory.mktemp('trained')
    train(config('', batch_size=32, g_depths=[16, 16, 8, 8], max_steps=60, save_steps=60)._replace(dataset_dir=None),
          folder / 'run', folder / 'cache')
    return folder / 'run'


@pytest.fixture(scope='module')
def generator(trained_run):
    with TrainedGenerator(read(trained_run / 'model.ckpt-60')) as generator:
        yield generator


@pytest.fixture
def folder(trained_run, tmp_path, monkeypatch):
    """The current folder: a run, a photo and a saved latent."""
    shutil.copytree(trained_run, tmp_path / 'run')
    imageio.imwrite(tmp_path / 'photo.jpg', random_image(0, 40, 30))
    np.save(tmp_path / 'my-face.npy', latent())
    monkeypatch.chdir(tmp_path)
    return tmp_path


def latent(length=Z_DIM):
    return np.linspace(-0.9, 0.8, length, dtype=np.float32)


def command(*flags):
    return run_script('sample.py', '--model_dir=run', *flags)


def png(image):
    return imageio.imwrite('<bytes>', image, extension='.png')


# Projection


@pytest.mark.parametrize('path', ['model.ckpt-60', PRETRAINED], ids=['with features', 'by pixels alone'])
def test_a_drawn_face_is_found_again(trained_run, path):
    with TrainedGenerator(read(trained_run / path, 'auto'), scale=2) as generator, Projector(generator) as projector:
        assert projector.has_features == (path != PRETRAINED)
        with TrainedGenerator(generator.checkpoint) as unscaled:
            [face] = unscaled.images(np.array([5000]))
            others = unscaled.images(np.arange(1000))
        found = projector.project(read_photo(png(face), generator.checkpoint))
        np.testing.assert_array_equal(found.photo, face)
        assert np.sqrt(np.square(found.face.astype(float) - face).mean()) == pytest.approx(found.distance)
        assert found.distance < min(5, nearest(face[np.newaxis], others, 1)[1][0, 0] / 2)


def test_the_latent_is_that_of_the_face_and_is_always_the_same(generator):
    photo = random_image(3, SIZE, SIZE)
    with Projector(generator) as first, Projector(generator) as second:
        found = [first.project(photo), first.project(photo), second.project(photo)]
    for projection in found:
        assert (projection.latent.dtype, projection.latent.shape) == (np.float32, (Z_DIM,))
        assert np.abs(projection.latent).max() <= 1
        np.testing.assert_array_equal(projection.latent, found[0].latent)
        np.testing.assert_array_equal(projection.face, found[0].face)
    difference = generator.images(found[0].latent[np.newaxis])[0].astype(int) - found[0].face
    assert np.abs(difference).max() <= 1


def test_the_command_shows_photo_and_face_and_saves_the_latent(folder):
    done = command('--project=photo.jpg', '--out=near.png', '--scale=2')
    assert done.returncode == 0, done.stderr
    assert 'photo.jpg: root mean square difference ' in done.stdout
    assert 'found by pixels and features' in done.stdout
    assert min(imageio.imread('near.png').shape[:2]) > 2 * SIZE
    saved = np.load('near.npy')
    assert (saved.dtype, saved.shape) == (np.float32, (Z_DIM,))
    Path('near.png').unlink()
    again = command('--project=photo.jpg', '--out=near.png')
    assert (again.returncode, 'near.npy exists; add --overwrite' in again.stderr) == (1, True)
    Path('photo.jpg').rename('a photo (1).jpg')
    assert command('--project=a photo (1).jpg').returncode == 0
    assert sorted(path.name for path in (folder / 'run').glob('projection-*')) == [
        'projection-a_photo_1_-step-0000060.npy', 'projection-a_photo_1_-step-0000060.png']


def test_a_foreign_discriminator_gets_a_sentence(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        DCGAN(2, 1, Z_DIM, [8, 8, 4, 4], [4, 4, 8, 8]).loss(tf.zeros([2, SIZE, SIZE, 3]))
        saved = {variable.op.name: variable for variable in tf.global_variables()}
        saved['d/conv2/conv2d/kernel'] = tf.get_variable('other', [5, 5, 3, 4])
        session.run(tf.global_variables_initializer())
        tf.train.Saver(saved).save(session, str(tmp_path / 'x'))
    with (TrainedGenerator(read(tmp_path / 'x')) as generator,
          pytest.raises(UserError, match="the article's discriminator: d/conv2/conv2d/kernel has shape")):
        Projector(generator)


# Saved latents


def test_a_saved_latent_stands_for_a_seed(folder, generator):
    [saved] = generator.images(latent()[np.newaxis])
    faces = generator.images(np.array([7, 8]))
    draw_by('--model_dir=run', '--interpolate=my-face.npy,7', '--frames=3', '--out=walk.png')
    walk = imageio.imread('walk.png').astype(int)
    for cell, face in (walk[:, :SIZE], saved), (walk[:, -SIZE:], faces[0]):
        assert np.abs(cell - face).max() <= 1
    draw_by('--model_dir=run', '--seeds=7-8,./my-face.npy', '--grid=1x3', '--batch_size=2', '--out=grid.png')
    assert np.abs(imageio.imread('grid.png').astype(int) - np.hstack([*faces, saved])).max() <= 1
    draw_by('--model_dir=run', '--seeds=my-face.npy,7,my-face.npy', '--out=faces/')
    assert sorted(path.name for path in Path('faces').iterdir()) == ['my-face.png', 'seed-0000007.png']
    assert np.abs(imageio.imread('faces/my-face.png').astype(int) - saved).max() <= 1
    done = command('--seeds=my-face.npy,7', '--neighbours=1', '--cache_dir=cache', '--out=near.png')
    assert [line.split()[0] for line in done.stdout.splitlines()[-3:-1]] == ['my-face', 'seed']


def test_a_sum_takes_saved_latents(folder, generator):
    terms = parse_sum('my-face.npy - 3 + mean(7, my-face.npy)', read_files=True)
    assert [(term.sign, term.text) for term in terms] == [
        (1, 'my-face'), (-1, '3'), (1, 'mean(7, my-face.npy)')]
    three, seven = generator.latents(np.array([3, 7]))
    expected = generator.images((latent() - three + (seven + latent()) / 2)[np.newaxis])[0]
    assert np.abs(draw.result(generator, terms).astype(int) - expected).max() <= 1
    draw_by('--model_dir=run', '--arithmetic=my-face.npy - 3', '--out=sum.png')


@pytest.mark.parametrize('text', ['my-face.npy', 'my-face.npy - 3', 'mean(my-face.npy)', '7,my-face.npy'])
def test_without_being_asked_to_no_parser_reads_a_file(folder, text):
    for parse in parse_seeds, parse_sum:
        with pytest.raises(UserError, match=r'^invalid (seed|sum)'):
            parse(text)


@pytest.mark.parametrize('parse', [parse_seeds, parse_sum])
@pytest.mark.parametrize('text', [*HOSTILE, 'a.npy' * 100_000, '1-' * 100_000 + 'a.npy', 'a.npy-' * 100_000,
                                  '7,' * 1_000_000 + 'a.npy', ' a.npy +' * 100_000 + '('], ids=range(len(HOSTILE) + 5))
def test_a_long_invalid_text_with_files_is_refused_in_linear_time(parse, text):
    with pytest.raises(UserError):
        parse(text, read_files=True)


def test_too_many_faces_get_a_sentence(folder):
    assert len(parse_seeds('0-8,my-face.npy', 10, read_files=True)) == 10
    with pytest.raises(UserError, match='names more than 9 seeds'):
        parse_seeds('0-8,my-face.npy', 9, read_files=True)


def saved_as(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(('content', 'message'), [
    (saved_as(np.full(Z_DIM, np.nan, np.float32)), 'x.npy holds no latent: it holds NaN or infinite values; expected'),
    (saved_as(np.zeros([1, Z_DIM], np.float32)), 'it is not a float32 array of one dimension'),
    (saved_as(np.zeros(Z_DIM, int)), 'it is not a float32 array of one dimension'),
    (saved_as(np.zeros(1 << 19, np.float32)), 'x.npy: it has more than 1,048,576 bytes; sample.py --project saves'),
    (saved_as(np.array([print], object)), 'allow_pickle=False'),
    (pickle.dumps([print]), 'the magic string is not correct'),
    (saved_as(latent())[:-1], 'holds no latent: '), (b'', 'holds no latent: '), (b'\x93NUMPY', 'holds no latent: '),
    (saved_as(latent()).replace(b'(5,)', b'(5, '), 'holds no latent: '),
    (saved_as(latent()).replace(b'(5,), }' + 30 * b' ', b'(1%s,), }' % (30 * b'0')), 'holds no latent: ')])
def test_a_file_without_a_latent_gets_a_sentence(tmp_path, content, message):
    (tmp_path / 'x.npy').write_bytes(content)
    with pytest.raises(UserError, match=message):
        read_latent(str(tmp_path / 'x.npy'))


@pytest.mark.skipif(not hasattr(os, 'mkfifo'), reason='this system has no named pipes')
@pytest.mark.parametrize(('flag', 'message'), [('project', 'cannot read the photo x.npy: it is not a file'),
                                               ('seeds', 'cannot read x.npy: it is not a file')])
def test_a_pipe_is_refused_not_waited_for(folder, flag, message):
    os.mkfifo('x.npy')
    with pytest.raises(UserError, match=message):
        draw_by('--model_dir=run', f'--{flag}=x.npy')


@pytest.mark.parametrize(('flags', 'message'), [
    (['--project=none.jpg'], 'cannot read the photo none.jpg: No such file or directory; name an image file'),
    (['--project=run'], 'cannot read the photo run: it is not a file; name an image file with --project'),
    (['--project=my-face.npy'], 'cannot project my-face.npy: the file is not an image that Pillow reads'),
    (['--project=http://x/photo.jpg'], '--project=http://x/photo.jpg: it is not a local path'),
    (['--project=photo.jpg', '--seeds=7'], '--seeds has no effect on --project, which uses --weights'),
    (['--project=photo.jpg', '--batch_norm=batch'], '--batch_norm has no effect on --project'),
    (['--project=photo.jpg', '--out=walk.gif'], '--out=walk.gif ends in .gif; expected .png'),
    (['--seeds=none.npy'], 'cannot read none.npy: No such file or directory; sample.py --project saves a latent'),
    (['--seeds=photo.jpg'], "invalid seed 'photo.jpg'"),
    (['--interpolate=long.npy,7'], 'long.npy holds 6 numbers; this generator takes 5'),
    (['--interpolate=my-face.npy'], 'names one face; expected two or more'),
    (['--arithmetic=my-face.npy-3'], "invalid sum at 'my-face.npy-3'; expected e.g. \"mean(7,9,12) - mean(3,4) + 20\", "
     'with spaces around a file'),
    (['--seeds=my-face.npy,run/my-face.npy', '--out=faces/'], '2 faces would be written to faces/my-face.png; rename'),
])
def test_mistakes_get_sentences(folder, flags, message):
    np.save(folder / 'long.npy', latent(6))
    np.save(folder / 'run' / 'my-face.npy', latent())
    with pytest.raises(UserError) as refused:
        draw_by('--model_dir=run', *flags)
    assert message in str(refused.value)
    assert not list(folder.glob('*.png')) + list(folder.glob('faces/*'))


def test_a_photo_of_another_shape_than_the_crop_of_the_run_gets_a_sentence(folder):
    settings = Path('run/config.json')
    settings.write_text(settings.read_text().replace('"crop": "auto"', '"crop": "progan128"'))
    with pytest.raises(UserError, match=r'cannot project photo\.jpg: the image has 30x40 pixels; the crop progan128 '
                                        'expects 178x218, as in the aligned CelebA'):
        draw_by('--model_dir=run', '--project=photo.jpg')


@pytest.mark.parametrize(('side', 'limits', 'message'), [
    (3000, {'max_memory': 10 ** 7}, 'takes 72,000,000 bytes of memory; the limit is 10,000,000; save it with fewer'),
    (40, {'max_seconds': 0}, 'decoding it takes more than 0 seconds')])
def test_a_photo_that_would_take_too_much_memory_or_time_is_refused(generator, side, limits, message):
    with pytest.raises(UserError, match=message):
        read_photo(png(np.zeros([side, side, 3], np.uint8)), generator.checkpoint, **limits)
