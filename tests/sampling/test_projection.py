"""From a photo to a latent: --project."""

from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf

from dcgan.errors import UserError
from dcgan.sampling.export import export
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.sampling.pictures import png
from dcgan.sampling.projection import project, read_photo
from dcgan.sampling.real_images import nearest
from model import DCGAN
from tests.commands import run_script
from tests.pictures import random_image
from tests.sampling.drawing import SIZE, Z_DIM, difference, draw_by


@pytest.fixture
def photo(run):
    imageio.imwrite('photo.jpg', random_image(0, 40, 30))


@pytest.mark.parametrize('by_features', [True, False])
def test_a_drawn_face_is_found_again_and_always_by_the_same_latent(generator, tmp_path, by_features):
    """By pixels alone where there is no discriminator, as in an exported generator."""
    export(generator, 'npz', tmp_path / 'exported.npz')
    checkpoint = generator.checkpoint if by_features else read(tmp_path / 'exported.npz', 'auto')
    with TrainedGenerator(checkpoint) as generator, TrainedGenerator(checkpoint, scale=2) as enlarging:
        [face] = generator.images(np.array([5000]))
        found = project(enlarging, read_photo(png(face), checkpoint))
        np.testing.assert_array_equal(found.photo, face)
        assert found.by_features == by_features
        assert np.sqrt(np.square(found.face.astype(float) - face).mean()) == pytest.approx(found.distance)
        assert found.distance < min(5, nearest(face[np.newaxis], generator.images(np.arange(1000)), 1)[1][0, 0] / 2)
        assert (found.latent.dtype, found.latent.shape) == (np.float32, (checkpoint.z_dim,))
        assert np.abs(found.latent).max() <= 1
        assert difference(generator.images(found.latent[np.newaxis])[0], found.face) <= 1
        np.testing.assert_array_equal(project(generator, face).latent, found.latent)


def test_the_command_shows_photo_and_face_and_saves_the_latent(photo):
    done = run_script('sample.py', '--model_dir=run', '--project=photo.jpg', '--out=near.png', '--scale=2')
    assert done.returncode == 0, done.stderr
    assert 'photo.jpg: root mean square difference ' in done.stdout
    assert 'found by pixels and features' in done.stdout
    assert min(imageio.imread('near.png').shape[:2]) > 2 * SIZE
    saved = np.load('near.npy')
    assert (saved.dtype, saved.shape) == (np.float32, (Z_DIM,))
    Path('near.png').unlink()
    with pytest.raises(UserError, match=r'near\.npy exists; add --overwrite'):
        draw_by('--model_dir=run', '--project=photo.jpg', '--out=near.png')
    Path('photo.jpg').rename('a photo (1).jpg')
    draw_by('--model_dir=run', '--project=a photo (1).jpg')
    assert sorted(path.name for path in Path('run').glob('projection-*')) == [
        'projection-a_photo_1_-step-0000100.npy', 'projection-a_photo_1_-step-0000100.png']


def test_a_foreign_discriminator_gets_a_sentence(tmp_path):
    with tf.Graph().as_default(), tf.Session() as session:
        DCGAN(2, 1, Z_DIM, [8, 8, 4, 4], [4, 4, 8, 8]).loss(tf.zeros([2, 16, 16, 3]))
        saved = {variable.op.name: variable for variable in tf.global_variables()}
        saved['d/conv2/conv2d/kernel'] = tf.get_variable('other', [5, 5, 3, 4])
        session.run(tf.global_variables_initializer())
        tf.train.Saver(saved).save(session, str(tmp_path / 'x'))
    with (TrainedGenerator(read(tmp_path / 'x')) as generator,
          pytest.raises(UserError, match="the article's discriminator: d/conv2/conv2d/kernel has shape")):
        project(generator, np.zeros([16, 16, 3], np.uint8))


@pytest.mark.parametrize(('flags', 'message'), [
    (['--project=none.jpg'], 'cannot read the photo none.jpg: No such file or directory; name an image file'),
    (['--project=run'], 'cannot read the photo run: it is not a file; name an image file with --project'),
    (['--project=run/config.json'], 'the file is not an image that Pillow reads'),
    (['--project=photo.jpg', '--batch_norm=batch'], '--batch_norm has no effect on --project, which uses --weights'),
    (['--project=photo.jpg', '--out=walk.gif'], '--out=walk.gif must end in .png'),
    (['--project=photo.jpg'], 'the image has 30x40 pixels; the crop progan128 expects 178x218'),
])
def test_mistakes_get_sentences(photo, flags, message):
    settings = Path('run/config.json')
    settings.write_text(settings.read_text().replace('"crop": "auto"', '"crop": "progan128"'))
    with pytest.raises(UserError) as refused:
        draw_by('--model_dir=run', *flags)
    assert message in str(refused.value)
    assert not list(Path().glob('*.png'))


@pytest.mark.parametrize(('side', 'limits', 'message'), [
    (3000, {'max_memory': 10 ** 7}, 'takes 72,000,000 bytes of memory; the limit is 10,000,000; save it with fewer'),
    (40, {'max_seconds': 0}, 'decoding it takes more than 0 seconds')])
def test_a_photo_that_would_take_too_much_memory_or_time_is_refused(generator, side, limits, message):
    with pytest.raises(UserError, match=message):
        read_photo(png(np.zeros([side, side, 3], np.uint8)), generator.checkpoint, **limits)
