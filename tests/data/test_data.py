"""Image files become a pack, exact to the pixel; the pack becomes a stream that depends on (seed, step) only."""

import io
import json
import shutil
import signal
import struct
import subprocess
import sys
import zipfile
import zlib
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
import tensorflow.compat.v1 as tf
from PIL import Image

import ops  # noqa: F401 (puts TensorFlow into graph mode)
from data import decoding
from data.crop import crop_and_resize, crop_of, decode
from data.order import batch_indices, steps_per_epoch
from data.pack import make_pack
from data.source import open_source
from data.stream import stream
from dcgan.errors import UserError
from tests.pictures import content_of, random_image, write_images

ROOT = Path(__file__).parents[2]


def archive_of(folder):
    """Writes a folder of three images; returns the bytes of a .zip of it."""
    write_images(folder, 3)
    return Path(shutil.make_archive(folder.with_name('made'), 'zip', folder)).read_bytes()


def pack_of(folder, size=16):
    return make_pack(open_source(folder), 'auto', size, folder.with_name('cache'))


def test_images_are_found_at_any_depth_in_sorted_order(tmp_path):
    write_images(tmp_path / 'b' / 'deep', 1)
    write_images(tmp_path / 'a', 2, suffix='.jpg')
    (tmp_path / 'a' / '000002.jpg').rename(tmp_path / 'a' / '000002.JPEG')
    (tmp_path / 'a' / 'notes.txt').touch()
    write_images(tmp_path / '__MACOSX', 1)
    write_images(tmp_path / '.hidden', 1)
    (tmp_path / 'a' / '._000001.jpg').touch()
    (tmp_path / 'a' / 'gone.png').symlink_to('nowhere')
    (tmp_path / 'a' / 'around').symlink_to(tmp_path)
    write_images(tmp_path / '.elsewhere', 1)
    (tmp_path / 'linked').symlink_to(tmp_path / '.elsewhere')
    source = open_source(tmp_path)
    assert source.name == tmp_path.name
    assert source.names == ['a/000001.jpg', 'a/000002.JPEG', 'b/deep/000001.png', 'linked/000001.png']


def test_a_zip_gives_the_same_pack_as_its_folder(tmp_path):
    folder = write_images(tmp_path / 'faces', 3)
    write_images(folder / 'more', 2)
    archive = shutil.make_archive(folder, 'zip', tmp_path, 'faces')
    packs = [make_pack(open_source(path), 'auto', 16, tmp_path / 'cache') for path in (folder, archive)]
    assert open_source(archive).name == 'faces'
    assert packs[0].path != packs[1].path
    np.testing.assert_array_equal(packs[0].images, packs[1].images)


def test_the_embedded_faces_are_the_default_source():
    source = open_source()
    assert (source.name, len(source.names)) == ('demo_faces', 4000)
    assert imageio.imread(next(source.images())[1]).shape == (96, 96, 3)


@pytest.mark.parametrize(('make', 'message'), [
    (lambda path: None, 'does not exist'),
    (lambda path: path.mkdir(), 'found no image'),
    (lambda path: path.touch(), 'is empty'),
    (lambda path: path.write_text('\n<!DOCTYPE html><html>'), 'is a web page'),
    (lambda path: path.write_bytes(archive_of(path.with_name('faces'))[:-30]), 'is an incomplete or damaged .zip'),
    (lambda path: path.write_bytes(archive_of(path.with_name('faces')).replace(b'PK\x01\x02', bytes(4))),
     'is an incomplete or damaged .zip'),
    (lambda path: path.write_bytes(b'Rar!'), 'is a RAR archive; unpack it and use the folder'),
    (lambda path: path.write_bytes(b'\xff\xd8\xff\xe0'), 'is a single image'),
    (lambda path: path.write_bytes(b'neither'), "is not a folder, .zip, .tar or .parquet file .*b'neither'"),
])
def test_a_path_that_is_not_a_source_is_refused_with_the_reason(tmp_path, make, message):
    make(tmp_path / 'faces.zip')
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / 'faces.zip')


@pytest.mark.parametrize(('crop', 'rows', 'columns'), [
    ('auto', (55, 163), (35, 143)),
    ('center108', (55, 163), (35, 143)),
    ('center178', (20, 198), (0, 178)),
    ('progan128', (57, 185), (25, 153)),
    ('torch138', (40, 178), (30, 168)),
])
def test_crops_of_celeba_keep_the_published_rows_and_columns(tmp_path, crop, rows, columns):
    image = random_image(0)
    assert crop_of(crop, (218, 178)) == (slice(*rows), slice(*columns))
    imageio.imwrite(tmp_path / 'a.png', image)
    size = rows[1] - rows[0]
    pack = make_pack(open_source(tmp_path), crop, size, tmp_path / 'cache')
    np.testing.assert_array_equal(pack.images[0], image[slice(*rows), slice(*columns)])
    assert (pack.source_shape, pack.rows, pack.columns) == ((218, 178), slice(*rows), slice(*columns))


@pytest.mark.parametrize(('shape', 'rows', 'columns'), [
    ((96, 96), (0, 96), (0, 96)), ((100, 61), (19, 80), (0, 61)), ((178, 218), (0, 178), (20, 198))])
def test_auto_crops_the_largest_centered_square(shape, rows, columns):
    assert crop_of('auto', shape) == (slice(*rows), slice(*columns))


def test_resizing_happens_after_the_crop_and_is_antialiased(tmp_path):
    """Pixels outside the crop do not bleed in, and every pixel of a block counts."""
    image = np.zeros([218, 178, 3], np.uint8)
    image[55:163, 35:143] = 200
    image[55:163:2, 35:143] = 100
    imageio.imwrite(tmp_path / 'a.png', image)
    pack = make_pack(open_source(tmp_path), 'auto', 18, tmp_path / 'cache')
    np.testing.assert_allclose(pack.images[0].astype(int), 150, atol=6)


GRAY = random_image(1, 16, 16)[..., 0]
COLORS = random_image(2, 16, 16)


def with_alpha(image):
    """Returns the image with an opaque upper half and a transparent lower half."""
    alpha = np.zeros_like(image[..., :1])
    alpha[:8] = 255
    return np.concatenate([image, alpha], axis=-1)


def on_white(image):
    return np.concatenate([image[:8], np.full_like(image[8:], 255)])


def with_orientation(image, orientation):
    """Returns an image with its EXIF orientation, and the options to save it with."""
    exif = Image.Exif()
    exif[0x0112] = orientation
    return Image.fromarray(image), {'format': 'png', 'exif': exif}


@pytest.mark.parametrize(('image', 'options', 'expected'), [
    (Image.fromarray(GRAY), {'format': 'png'}, np.stack([GRAY] * 3, axis=-1)),
    (Image.fromarray(GRAY).convert('P'), {'format': 'png'}, np.stack([GRAY] * 3, axis=-1)),
    (Image.fromarray(GRAY > 99), {'format': 'png'}, np.stack([(GRAY > 99) * 255] * 3, axis=-1)),
    (Image.fromarray(GRAY.astype(np.uint16) * 257), {'format': 'png'}, np.stack([GRAY] * 3, axis=-1)),
    (Image.fromarray(with_alpha(COLORS)), {'format': 'png'}, on_white(COLORS)),
    (Image.fromarray(np.stack([GRAY, with_alpha(COLORS)[..., 3]], -1)), {'format': 'png'},
     on_white(np.stack([GRAY] * 3, axis=-1))),
    (Image.fromarray(COLORS), {'format': 'webp', 'lossless': True}, COLORS),
    (Image.fromarray(COLORS), {'format': 'bmp'}, COLORS),
    (Image.fromarray(COLORS), {'format': 'png', 'save_all': True, 'append_images': [Image.fromarray(GRAY)]}, COLORS),
    (Image.fromarray(COLORS),
     {'format': 'webp', 'lossless': True, 'save_all': True, 'append_images': [Image.fromarray(GRAY)]}, COLORS),
    (*with_orientation(np.rot90(COLORS), 6), COLORS),
    (*with_orientation(COLORS[:, ::-1], 2), COLORS),
], ids=['gray', 'palette', 'bits', '16-bit', 'alpha', 'gray-alpha', 'webp', 'bmp', 'apng', 'animated-webp', 'rotated',
        'mirrored'])
def test_every_kind_of_image_is_decoded_as_a_viewer_shows_it(image, options, expected):
    file = io.BytesIO()
    image.save(file, **options)
    np.testing.assert_array_equal(crop_and_resize(decode(file.getvalue()), 'auto', 16), expected)


def test_cmyk_images_become_rgb():
    file = io.BytesIO()
    Image.new('CMYK', (16, 16), (0, 255, 255, 0)).save(file, 'jpeg')
    np.testing.assert_allclose(np.array(crop_and_resize(decode(file.getvalue()), 'auto', 16), int),
                               np.broadcast_to([255, 0, 0], (16, 16, 3)), atol=3)


def test_a_pack_is_cached_for_the_same_files_crop_and_size(tmp_path):
    folder = write_images(tmp_path / 'faces', 3)
    first = make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache').path
    made = first.stat()
    assert make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache').path == first
    assert first.stat() == made
    write_images(folder, 4)
    others = [make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache'),
              make_pack(open_source(folder), 'auto', 8, tmp_path / 'cache')]
    assert [pack.images.shape for pack in others] == [(4, 16, 16, 3), (4, 8, 8, 3)]
    assert sorted((tmp_path / 'cache').glob('*.npy')) == sorted(pack.path for pack in others)  # the first is outdated
    assert not list((tmp_path / 'cache').glob('*.part'))


def claim_pixels(png, width, height):
    """Returns a PNG whose header claims another size."""
    head = b'IHDR' + struct.pack('>II', width, height) + png[24:29]
    return png[:12] + head + struct.pack('>I', zlib.crc32(head)) + png[33:]


HOSTILE = {
    'empty.jpg': (lambda png: b'', 'the file is empty'),
    'page.jpg': (lambda png: b'<html>', 'the file is not an image that Pillow reads (JPEG, PNG, WEBP, BMP, GIF, TIFF'),
    'postscript.jpg': (lambda png: b'%!PS-Adobe-3.0 EPSF-3.0', 'the file is not an image'),
    'half.png': (lambda png: png[:len(png) // 2], 'cannot decode the file'),
    'flipped.png': (lambda png: png[:60] + bytes([png[60] ^ 255]) + png[61:], 'cannot decode the file'),
    'large.png': (lambda png: claim_pixels(png, 20_000, 20_000), 'the file claims 20000x20000 pixels'),
    'bomb.png': (lambda png: claim_pixels(png, 100_000, 100_000), 'cannot decode the file: Image size'),
}


def test_broken_images_are_skipped_and_listed_with_the_reason(tmp_path):
    folder = write_images(tmp_path / 'faces', 99 * len(HOSTILE))
    whole = pack_of(folder)
    png = (folder / '000001.png').read_bytes()
    for name, (spoil, _) in HOSTILE.items():
        (folder / name).write_bytes(spoil(png))
    pack = pack_of(folder)
    np.testing.assert_array_equal(pack.images, whole.images)
    assert pack.broken.keys() == HOSTILE.keys()
    for name, (_, reason) in HOSTILE.items():
        assert reason in pack.broken[name]
    assert json.loads(pack.facts_path.read_text())['broken'] == pack.broken
    assert pack_of(folder).broken == pack.broken


def test_three_images_of_a_small_set_may_be_broken_and_more_are_an_error(tmp_path):
    folder = write_images(tmp_path / 'faces', 9)
    for number in range(2, 5):
        (folder / f'00000{number}.png').write_bytes(b'')
    assert len(pack_of(folder).images) == 6
    (folder / '000007.png').write_bytes(b'')
    with pytest.raises(UserError, match=r'4 of the first 7 images of faces are broken .* at most 3 of all 9 may be'
                       ) as refusal:
        pack_of(folder)
    assert '000002.png: the file is empty' in str(refusal.value)
    listings = [json.loads(path.read_text()) for path in (tmp_path / 'cache').glob('*.json')]
    assert {'broken': {f'00000{number}.png': 'the file is empty' for number in (2, 3, 4, 7)}} in listings


def test_more_than_one_percent_of_broken_images_is_an_error(tmp_path):
    folder = write_images(tmp_path / 'faces', 400)
    for number in range(101, 105):
        (folder / f'000{number}.png').write_bytes(b'')
    assert len(pack_of(folder).images) == 396
    (folder / '000105.png').write_bytes(b'')
    with pytest.raises(UserError, match='5 of the first 105 images'):
        pack_of(folder)


def test_a_set_of_broken_images_only_is_an_error(tmp_path):
    folder = write_images(tmp_path / 'faces', 1)
    (folder / '000001.png').write_bytes(b'')
    with pytest.raises(UserError, match='1 of the first 1 images'):
        pack_of(folder)


def test_a_zip_bomb_is_not_unpacked(tmp_path):
    folder = write_images(tmp_path / 'faces', 100)
    archive = Path(shutil.make_archive(folder, 'zip', folder))
    with zipfile.ZipFile(archive, 'a', zipfile.ZIP_DEFLATED) as file, file.open('bomb.png', 'w') as bomb:
        for _ in range(257):
            bomb.write(bytes(1 << 20))
    assert pack_of(archive).broken == {
        'bomb.png': 'the file has more than 268,435,456 bytes, the limit'}


def test_a_damaged_file_of_a_zip_cannot_be_read(tmp_path):
    with zipfile.ZipFile(tmp_path / 'faces.zip', 'w', zipfile.ZIP_DEFLATED) as file:
        file.writestr('a.png', random_image(0, 16, 16).tobytes())
    content = bytearray((tmp_path / 'faces.zip').read_bytes())
    content[100:200] = bytes(100)
    (tmp_path / 'faces.zip').write_bytes(content)
    assert str(content_of(open_source(tmp_path / 'faces.zip'))['a.png']).startswith('cannot read the file: ')


def cut(path):
    path.write_bytes(path.read_bytes()[:-1])


def flip(path):
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)


def facts_with(**changes):
    def spoil(path):
        facts = path.with_suffix('.json')
        facts.write_text(json.dumps(json.loads(facts.read_text()) | changes))
    return spoil


@pytest.fixture(scope='module')
def intact(tmp_path_factory):
    """A source, the cache folder of its pack, the name of the pack there and its images."""
    folder = write_images(tmp_path_factory.mktemp('intact') / 'faces', 3)
    pack = pack_of(folder)
    return open_source(folder), pack.path.parent, pack.path.name, np.array(pack.images)


@pytest.mark.parametrize('spoil', [
    cut, flip, lambda path: path.write_bytes(b''), lambda path: np.save(path, np.zeros([3, 16, 16, 3], np.uint8)),
    lambda path: path.with_suffix('.json').unlink(), lambda path: path.with_suffix('.json').write_text('[]'),
    lambda path: path.with_suffix('.json').write_bytes(b'\xff\xfe'), facts_with(crc32='1'),
    facts_with(source_shape=None), facts_with(broken={'000001.png': 'x'})])
def test_a_corrupt_pack_is_rebuilt(tmp_path, capsys, spoil, intact):
    source, folder, name, images = intact
    path = Path(shutil.copytree(folder, tmp_path / 'cache')) / name
    spoil(path)
    np.testing.assert_array_equal(make_pack(source, 'auto', 16, tmp_path / 'cache').images, images)
    assert f'cache file {path} is corrupt; rebuilding it' in capsys.readouterr().out
    make_pack(source, 'auto', 16, tmp_path / 'cache')
    assert not capsys.readouterr().out


def test_processes_wait_for_each_other_and_remove_what_a_killed_one_left(tmp_path):
    cache = tmp_path / 'cache'
    folder = write_images(tmp_path / 'faces [1]', 3)
    images = np.array(make_pack(open_source(folder), 'auto', 16, tmp_path / 'undisturbed').images)
    code = ('import sys, os, signal; from data.pack import make_pack; from data.source import open_source\n'
            'source = open_source(sys.argv[1])\n'
            'if sys.argv[3:]: source = source._replace(images=lambda: os.kill(os.getpid(), signal.SIGKILL))\n'
            'make_pack(source, "auto", 16, sys.argv[2])')
    arguments = [sys.executable, '-c', code, folder, cache]
    killed = subprocess.run([*arguments, 'killed'], capture_output=True, check=False, cwd=ROOT)
    assert killed.returncode == -signal.SIGKILL
    assert len(list(cache.glob('*.part'))) == 1
    processes = [subprocess.Popen(arguments, stderr=subprocess.PIPE, cwd=ROOT) for _ in range(3)]
    errors = [process.communicate()[1] for process in processes]
    assert [process.returncode for process in processes] == [0, 0, 0], errors
    assert sorted(path.suffix for path in cache.iterdir() if path.suffix != '.lock') == ['.json', '.npy']
    np.testing.assert_array_equal(pack_of(folder).images, images)


def test_a_full_disk_is_reported_before_the_work_starts(tmp_path):
    source = open_source(write_images(tmp_path / 'faces', 1))
    with pytest.raises(UserError, match=r'it takes 300,000,000,000,128 bytes and only [0-9,]+ are free; .*--cache_dir'):
        make_pack(source, 'auto', 10_000_000, tmp_path / 'cache')
    assert not [path for path in (tmp_path / 'cache').iterdir() if path.suffix != '.lock']


DYING = """
import os, signal
from PIL import Image

def open_or_die(file, **options):
    if file.getvalue().endswith(b'kill'):
        os.kill(os.getpid(), signal.SIGKILL)
    if file.getvalue().endswith(b'exit'):
        os._exit(3)
    if file.getvalue().endswith(b'hang'):
        signal.pause()
    return open_(file, **options)

open_, Image.open = Image.open, open_or_die
"""


def test_images_that_crash_their_decoder_are_broken_and_the_others_are_packed(tmp_path, monkeypatch):
    folder = write_images(tmp_path / 'faces', 40)
    whole = np.array(pack_of(folder).images)
    (tmp_path / 'sitecustomize.py').write_text(DYING)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    monkeypatch.setattr(decoding, 'MAX_TASK_SECONDS', 5)
    monkeypatch.setattr(decoding, 'MAX_SECONDS', 2)
    crashing = {4: (b'kill', 'ended with status -9'), 5: (b'exit', 'ended with status 3'),
                40: (b'hang', 'takes more than 2 seconds')}
    for number, (end, _) in crashing.items():
        with (folder / f'{number:06d}.png').open('ab') as file:
            file.write(end)
    pack = pack_of(folder)
    assert list(pack.broken) == [f'{number:06d}.png' for number in crashing]
    for reason, (_, expected) in zip(pack.broken.values(), crashing.values(), strict=True):
        assert expected in reason
    np.testing.assert_array_equal(pack.images, np.delete(whole, [number - 1 for number in crashing], axis=0))


def test_decoders_that_keep_dying_end_the_run(tmp_path, monkeypatch):
    folder = write_images(tmp_path / 'faces', 20)
    (tmp_path / 'sitecustomize.py').write_text(DYING)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    for path in folder.iterdir():
        with path.open('ab') as file:
            file.write(b'kill')
    with pytest.raises(UserError, match=r'(?s)4 of the first 4 images .* ended with status -9; it may have run out of'):
        pack_of(folder)


@pytest.mark.parametrize('guard', ['', 'if __name__ == "__main__": '])
def test_decoders_do_not_import_the_program(tmp_path, guard):
    folder = write_images(tmp_path / 'faces', 3)
    (tmp_path / 'program.py').write_text(
        f'import sys; sys.path.insert(0, {str(ROOT)!r}); print("imported")\n'
        f'from data.pack import make_pack; from data.source import open_source\n'
        f'{guard}make_pack(open_source({str(folder)!r}), "auto", 16, {str(tmp_path / "cache")!r})')
    done = subprocess.run([sys.executable, tmp_path / 'program.py'], capture_output=True, text=True, timeout=60,
                          check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, 'imported\n'), done.stderr


def test_where_no_pool_can_be_started_a_sentence_says_what_it_needs(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(decoding, 'ProcessPoolExecutor', refuse)
    with pytest.raises(UserError, match=r'cannot start .*: Permission denied; on Linux, they need a writable /dev/shm'):
        pack_of(write_images(tmp_path / 'faces', 1))


@pytest.mark.parametrize(('path', 'message'), [
    ('face', r'face does not exist; did you mean .*/faces\?'),
    ('some/where', 'where does not exist; the nearest existing folder is '),
    ('faces/notes.txt/b', 'b does not exist; .*notes.txt is a file'),
    ('empty', 'found no image .*: it is empty; .*aligned.zip contains 3: --dataset_dir='),
    ('faces', r'skipped 3 not an image \(e\.g\. README\); .*hidden folder.*--dataset_dir=.*/\.hidden'),
    ('zips', 'inner.zip contains 3: --dataset_dir='),
    ('outer.zip', 'unpack it and use inner.zip'),
])
def test_a_path_without_images_gets_a_suggestion(tmp_path, path, message):
    (tmp_path / 'aligned.zip').write_bytes(archive_of(tmp_path / '.made'))
    for folder in 'empty', 'faces', 'zips':
        (tmp_path / folder).mkdir()
    write_images(tmp_path / 'faces' / '.hidden', 1)
    for name in 'notes.txt', 'more.TXT', 'README':
        (tmp_path / 'faces' / name).touch()
    (tmp_path / 'zips' / 'inner.zip').write_bytes((tmp_path / 'aligned.zip').read_bytes())
    shutil.make_archive(tmp_path / 'outer', 'zip', tmp_path / 'zips')
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / path)


def test_a_celeba_crop_of_other_images_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'(?s)--crop=auto .*000001\.png: the image has 20x24 pixels; '):
        make_pack(open_source(write_images(tmp_path / 'faces', 1)), 'center108', 16, tmp_path)


def test_a_cache_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / 'cache').touch()
    with pytest.raises(UserError, match=r'cannot write .*: .*; it takes 896 bytes; .*--cache_dir'):
        make_pack(open_source(write_images(tmp_path / 'faces', 1)), 'auto', 16, tmp_path / 'cache')


def test_every_epoch_is_a_new_permutation_without_the_remainder():
    epochs = [np.concatenate([batch_indices(step, 10, 3, seed=5) for step in range(3 * epoch, 3 * epoch + 3)])
              for epoch in range(4)]
    assert steps_per_epoch(10, 3) == 3
    assert all(len(set(epoch)) == 9 and set(epoch) <= set(range(10)) for epoch in epochs)
    assert len({tuple(epoch) for epoch in epochs}) == 4
    assert not np.array_equal(batch_indices(0, 10, 3, seed=5), batch_indices(0, 10, 3, seed=6))


def test_the_order_of_the_images_is_the_same_on_every_version():
    """An old checkpoint resumes with the same images on newer versions of NumPy and TensorFlow."""
    assert batch_indices(7, 1000, 6, seed=1).tolist() == [339, 868, 681, 524, 293, 761]
    assert batch_indices(100_000, 1000, 6, seed=1).tolist() == [248, 863, 916, 441, 257, 37]


@pytest.mark.parametrize('first_step', [0, 5, 100_000])
def test_the_stream_delivers_the_pack_in_that_order(first_step):
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
