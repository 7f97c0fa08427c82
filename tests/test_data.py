"""Image files become a pack, to the pixel, and the pack a stream computed from (seed, step)."""

import shutil

import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

import ops  # noqa: F401 (puts TensorFlow into graph mode)
from data import DataError, batch_indices, crop_of, make_pack, open_source, steps_per_epoch, stream
from tests.pictures import random_image, write_images


def test_a_folder_is_searched_in_depth_and_in_order(tmp_path):
    write_images(tmp_path / 'b' / 'deep', 1)
    write_images(tmp_path / 'a', 2, suffix='.jpg')
    (tmp_path / 'a' / '000002.jpg').rename(tmp_path / 'a' / '000002.JPEG')
    (tmp_path / 'a' / 'notes.txt').touch()
    write_images(tmp_path / '__MACOSX', 1)
    write_images(tmp_path / '.hidden', 1)
    (tmp_path / 'a' / '._000001.jpg').touch()
    (tmp_path / 'a' / 'gone.png').symlink_to('nowhere')
    source = open_source(tmp_path)
    assert source.name == tmp_path.name
    assert source.names == ['a/000001.jpg', 'a/000002.JPEG', 'b/deep/000001.png']


def test_a_zip_is_its_folder(tmp_path):
    folder = write_images(tmp_path / 'faces', 3)
    write_images(folder / 'more', 2)
    archive = shutil.make_archive(folder, 'zip', tmp_path, 'faces')
    packs = [make_pack(open_source(path), 'auto', 16, tmp_path / 'cache') for path in (folder, archive)]
    assert open_source(archive).name == 'faces'
    assert packs[0].path != packs[1].path
    np.testing.assert_array_equal(packs[0].images, packs[1].images)


def test_the_embedded_faces():
    source = open_source()
    assert (source.name, len(source.names)) == ('demo_faces', 4000)
    assert imageio.imread(source.read('000001.jpg')).shape == (96, 96, 3)


@pytest.mark.parametrize(('make', 'message'), [
    (lambda path: None, 'does not exist'),
    (lambda path: path.mkdir(), 'holds no image'),
    (lambda path: path.write_text('<html>'), 'no folder and no whole .zip'),
])
def test_sources_that_are_none(tmp_path, make, message):
    make(tmp_path / 'faces.zip')
    with pytest.raises(DataError, match=message):
        open_source(tmp_path / 'faces.zip')


@pytest.mark.parametrize(('crop', 'rows', 'columns'), [
    ('auto', (55, 163), (35, 143)),
    ('center108', (55, 163), (35, 143)),
    ('center178', (20, 198), (0, 178)),
    ('progan128', (57, 185), (25, 153)),
    ('torch138', (40, 178), (30, 168)),
])
def test_crops_of_celeba(tmp_path, crop, rows, columns):
    image = random_image(0)
    assert crop_of(crop, (218, 178)) == (slice(*rows), slice(*columns))
    imageio.imwrite(tmp_path / 'a.png', image)
    size = rows[1] - rows[0]
    pack = make_pack(open_source(tmp_path), crop, size, tmp_path / 'cache')
    np.testing.assert_array_equal(pack.images[0], image[slice(*rows), slice(*columns)])
    assert (pack.source_shape, pack.rows, pack.columns) == ((218, 178), slice(*rows), slice(*columns))


@pytest.mark.parametrize(('shape', 'rows', 'columns'), [
    ((96, 96), (0, 96), (0, 96)), ((100, 61), (19, 80), (0, 61)), ((178, 218), (0, 178), (20, 198))])
def test_auto_crops_the_largest_centred_square(shape, rows, columns):
    assert crop_of('auto', shape) == (slice(*rows), slice(*columns))


def test_resizing_happens_after_the_crop_and_is_antialiased(tmp_path):
    """What lies outside the crop does not bleed in, and every pixel of a block counts."""
    image = np.zeros([218, 178, 3], np.uint8)
    image[55:163, 35:143] = 200
    image[55:163:2, 35:143] = 100
    imageio.imwrite(tmp_path / 'a.png', image)
    pack = make_pack(open_source(tmp_path), 'auto', 18, tmp_path / 'cache')
    np.testing.assert_allclose(pack.images[0].astype(int), 150, atol=6)


def test_grey_and_palette_images_become_rgb(tmp_path):
    grey = random_image(1, 16, 16)[..., 0]
    Image.fromarray(grey).save(tmp_path / 'a.png')
    Image.fromarray(grey).convert('P').save(tmp_path / 'b.png')
    pack = make_pack(open_source(tmp_path), 'auto', 16, tmp_path / 'cache')
    for image in pack.images:
        np.testing.assert_array_equal(image, np.stack([grey] * 3, axis=-1))


def test_a_pack_is_found_again_and_made_anew_for_other_files(tmp_path):
    folder = write_images(tmp_path / 'faces', 3)
    first = make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache').path
    made = first.stat()
    assert make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache').path == first
    assert first.stat() == made
    write_images(folder, 4)
    others = [make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache'),
              make_pack(open_source(folder), 'auto', 8, tmp_path / 'cache')]
    assert [pack.images.shape for pack in others] == [(4, 16, 16, 3), (4, 8, 8, 3)]
    assert len({first, *(pack.path for pack in others)}) == 3
    assert len(list((tmp_path / 'cache').iterdir())) == 3


def test_a_broken_image_is_named_and_leaves_no_pack(tmp_path):
    folder = write_images(tmp_path / 'faces', 3)
    whole = (folder / '000002.png').read_bytes()
    (folder / '000002.png').write_bytes(whole[:len(whole) // 2])
    with pytest.raises(DataError, match=r'000002\.png cannot be used: it cannot be decoded'):
        make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache')
    assert not list((tmp_path / 'cache').iterdir())


def test_a_celeba_crop_of_other_images_is_refused(tmp_path):
    with pytest.raises(DataError, match=r'000001\.png cannot be used: it is 20x24 pixels.*--crop=auto'):
        make_pack(open_source(write_images(tmp_path / 'faces', 1)), 'center108', 16, tmp_path)


def test_a_cache_that_cannot_be_written(tmp_path):
    (tmp_path / 'cache').touch()
    with pytest.raises(DataError, match=r'cannot be written: .*; --cache_dir names another'):
        make_pack(open_source(write_images(tmp_path / 'faces', 1)), 'auto', 16, tmp_path / 'cache')


def test_every_epoch_is_a_permutation_without_the_remainder():
    epochs = [np.concatenate([batch_indices(step, 10, 3, seed=5) for step in range(3 * epoch, 3 * epoch + 3)])
              for epoch in range(4)]
    assert steps_per_epoch(10, 3) == 3
    assert all(len(set(epoch)) == 9 and set(epoch) <= set(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert not np.array_equal(batch_indices(0, 10, 3, seed=5), batch_indices(0, 10, 3, seed=6))


def test_the_order_never_changes():
    """A checkpoint of today goes on with the same images on the NumPy and TensorFlow of tomorrow."""
    assert batch_indices(7, 1000, 6, seed=1).tolist() == [339, 868, 681, 524, 293, 761]
    assert batch_indices(100_000, 1000, 6, seed=1).tolist() == [248, 863, 916, 441, 257, 37]


@pytest.mark.parametrize('first_step', [0, 5, 100_000])
def test_the_stream_is_the_pack_in_that_order(first_step):
    images = np.stack([random_image(seed, 4, 4) for seed in range(10)])
    with tf.Graph().as_default(), tf.Session() as session:
        start = tf.Variable(first_step, dtype=tf.int64)
        batches = tf.data.make_initializable_iterator(stream(images, 3, seed=2, first_step=start))
        batch = batches.get_next()
        session.run(start.initializer)
        session.run(batches.initializer)
        assert (batch.dtype, batch.shape.as_list()) == (tf.float32, [3, 4, 4, 3])
        for step in range(first_step, first_step + 7):
            expected = images[batch_indices(step, 10, 3, seed=2)] / np.float32(127.5) - 1
            np.testing.assert_allclose(session.run(batch), expected, rtol=0, atol=1e-6)
