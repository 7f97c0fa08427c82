"""What is an image and what is not, in folders, archives and .parquet files, however they are made."""

import errno
import io
import os
import stat
import tarfile
import tracemalloc
import zipfile

import imageio.v3 as imageio
import numpy as np
import pytest
from PIL import Image

from data.formats import format_of, prepare_pillow
from data.pack import make_pack
from data.source import open_source, require_outside
from dcgan.errors import UserError
from tests.pictures import content_of, random_image, write_images

METHODS = zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED


def encoded(format='PNG', seed=0):
    """Returns the bytes of a small image."""
    file = io.BytesIO()
    Image.fromarray(random_image(seed, 16, 16)).save(file, format)
    return file.getvalue()


def zip_of(path, members, compression=zipfile.ZIP_STORED):
    """Writes a .zip of {name: content}; returns its path."""
    path.parent.mkdir(exist_ok=True)
    with zipfile.ZipFile(path, 'w', compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def tar_of(path, members, mode='w'):
    """Writes a .tar of {name: content or the type of a special file}; returns its path."""
    with tarfile.open(path, mode) as file:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            if len(content) > 1:
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))
            else:
                member.type = content
                file.addfile(member)
    return path


def test_the_embedded_faces_are_the_default_source():
    source = open_source()
    assert (source.name, len(source.names)) == ('demo_faces', 4000)
    assert imageio.imread(next(source.images())[1]).shape == (96, 96, 3)


def test_images_are_found_at_any_depth_in_sorted_order(tmp_path):
    write_images(tmp_path / 'b' / 'deep', 1)
    write_images(tmp_path / 'a', 2, suffix='.jpg')
    (tmp_path / 'a' / '000002.jpg').rename(tmp_path / 'a' / '000002.JPEG')
    (tmp_path / 'a' / 'around').symlink_to(tmp_path)
    write_images(tmp_path / '.elsewhere', 1)
    (tmp_path / 'linked').symlink_to(tmp_path / '.elsewhere')
    (tmp_path / 'a' / 'a link').symlink_to(tmp_path / 'b')
    source = open_source(tmp_path)
    assert source.name == tmp_path.name
    assert source.names == ['a/000001.jpg', 'a/000002.JPEG', 'b/deep/000001.png', 'linked/000001.png']


@pytest.mark.parametrize('format', ['JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF', pytest.param('AVIF', marks=(
    pytest.mark.skipif('AVIF' not in prepare_pillow(), reason='this Pillow does not read AVIF')))])
def test_what_begins_like_an_image_is_one_by_any_name(tmp_path, format):
    names = ['face', 'face.dat', 'face.jpg', 'face.tiff', 'face.txt']
    (tmp_path / 'faces').mkdir()
    for name in names:
        (tmp_path / 'faces' / name).write_bytes(encoded(format))
    archive = zip_of(tmp_path / 'faces.zip', dict.fromkeys(names, encoded(format)))
    assert format_of(encoded(format)[:32]) == format
    assert open_source(tmp_path / 'faces').names == open_source(archive).names == names


def test_what_does_not_begin_like_an_image_is_skipped_and_counted(tmp_path):
    others = {'BMW.txt': b'BM is the code of a car', 'RIFF.wav': b'RIFF\x24\0\0\0WAVEfmt ', 'empty': b'',
              'film.mp4': b'\0\0\0\x20ftypisom\0\0\2\0isomiso2', 'photo.NEF': encoded('TIFF')}
    if 'HEIF' not in prepare_pillow():
        others['photo.HEIC'] = b'\0\0\0\x24ftypheic\0\0\0\0mif1MiPrmiafMiHEheic'
    write_images(tmp_path / 'faces', 1)
    for name, content in others.items():
        (tmp_path / 'faces' / name).write_bytes(content)
    archive = zip_of(tmp_path / 'faces.zip', {'000001.png': encoded(), **others})
    for path in tmp_path / 'faces', archive:
        source = open_source(path)
        assert source.names == ['000001.png']
        assert source.describe_skipped() == (
            '4 not an image (e.g. BMW.txt); '
            + ('' if 'HEIF' in prepare_pillow() else '1 HEIF, which needs pillow-heif (e.g. photo.HEIC); ')
            + '1 raw file of a camera (e.g. photo.NEF)')


@pytest.mark.parametrize('hidden', ['@eaDir', '$Recycle.Bin', 'System Volume Information', '__MACOSX', '.thumbnails'])
def test_what_is_hidden_or_of_the_system_is_skipped(tmp_path, hidden):
    write_images(tmp_path / 'faces', 1)
    (tmp_path / 'faces' / '._000001.png').touch()
    write_images(tmp_path / 'faces' / 'deep' / hidden / 'within', 1)
    names = [str(path.relative_to(tmp_path / 'faces')) for path in (tmp_path / 'faces').rglob('*') if path.is_file()]
    for path in (tmp_path / 'faces', zip_of(tmp_path / 'faces.zip', dict.fromkeys(names, encoded())),
                 tar_of(tmp_path / 'faces.tar', dict.fromkeys(names, encoded()))):
        source = open_source(path)
        assert source.names == ['000001.png']
        assert source.describe_skipped() == '2 hidden or of the system (e.g. ._000001.png)'


def test_links_that_lead_nowhere_and_special_files_are_skipped(tmp_path):
    write_images(tmp_path, 1)
    (tmp_path / 'gone.jpg').symlink_to('nowhere')
    (tmp_path / 'itself.jpg').symlink_to('itself.jpg')
    (tmp_path / 'here').symlink_to('.')
    (tmp_path / 'zero.jpg').symlink_to('/dev/zero')
    os.mkfifo(tmp_path / 'pipe.jpg')
    source = open_source(tmp_path)
    assert source.names == ['000001.png']
    assert {reason: sorted(names) for reason, names in source.skipped.items()} == {
        'broken link': ['gone.jpg', 'itself.jpg'], 'link to a folder that is read already': ['here/'],
        'neither file nor folder': ['pipe.jpg', 'zero.jpg']}


def test_links_and_special_files_in_archives_are_skipped(tmp_path):
    link = zipfile.ZipInfo('b.png')
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / 'faces.zip', 'w') as file:
        file.writestr('a.png', encoded())
        file.writestr(link, 'a.png')
    assert open_source(tmp_path / 'faces.zip').skipped == {'neither file nor folder': ['b.png']}
    members = {'a.png': encoded(), 'folder': tarfile.DIRTYPE, 'link.png': tarfile.SYMTYPE, 'pipe.png': tarfile.FIFOTYPE}
    source = open_source(tar_of(tmp_path / 'faces.tar', members))
    assert (source.names, source.skipped) == (['a.png'], {'neither file nor folder': ['link.png', 'pipe.png']})


def test_run_directories_among_the_images_are_left_out(tmp_path):
    write_images(tmp_path, 1)
    run = tmp_path / 'runs' / 'faces'
    write_images(run / 'samples', 1)
    (run / 'config.json').touch()
    (run / 'reals.png').write_bytes(encoded())
    source = open_source(tmp_path)
    assert (source.names, source.skipped) == (['000001.png'], {'run directory': ['runs/faces/']})
    with pytest.raises(UserError, match='is a run directory'):
        open_source(run)


def test_a_run_directory_must_not_be_a_folder_of_images(tmp_path):
    write_images(tmp_path / 'faces' / 'deep', 1)
    (tmp_path / 'link').symlink_to('faces')
    source = open_source(tmp_path / 'link')
    for path in 'faces', 'link', 'faces/deep', 'link/deep/':
        with pytest.raises(UserError, match='is a folder of training images; choose another with --model_dir'):
            require_outside(source, tmp_path / path)
    for path in 'faces/run', 'faces/deeper', 'faces2', '.', 'runs/x':
        require_outside(source, tmp_path / path)
    require_outside(open_source(), tmp_path)


@pytest.mark.parametrize(('names', 'expected'), [
    (['./a.jpg', './f/b.jpg'], ['a.jpg', 'f/b.jpg']),
    (['../f/a.jpg', '../../b.jpg'], ['../../b.jpg', '../f/a.jpg']),
    (['f/../a.jpg', 'f/./b.jpg', 'f//c.jpg'], ['a.jpg', 'f/b.jpg', 'f/c.jpg']),
    (['/data/a.jpg', 'C:/x/b.jpg'], ['C:/x/b.jpg', 'data/a.jpg']),
    (['f\\a.jpg', '.\\b.jpg', 'C:\\x\\c.jpg'], ['C:/x/c.jpg', 'b.jpg', 'f/a.jpg']),
])
def test_names_in_a_zip_are_paths(tmp_path, names, expected):
    source = open_source(zip_of(tmp_path / 'faces.zip', dict.fromkeys(names, encoded())))
    assert source.names == expected
    assert list(source.images()) == [(name, encoded()) for name in expected]


@pytest.mark.parametrize(('encoding', 'expected'), [
    ('gbk', '人脸/照片.jpg'), ('utf-8', '人脸/照片.jpg'), ('cp437', 'Ä/é.jpg')])
def test_names_in_a_zip_are_decoded_as_they_were_written(tmp_path, encoding, expected):
    raw = expected.encode(encoding)
    placeholder = 'x' * len(raw)
    path = zip_of(tmp_path / 'faces.zip', {placeholder: encoded()})
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), raw))
    assert content_of(open_source(path)) == {expected: encoded()}


def test_the_last_of_two_members_of_the_same_path_stays(tmp_path):
    for path in (zip_of(tmp_path / 'faces.zip', {'a.png': encoded(), './a.png': encoded(seed=1)}),
                 tar_of(tmp_path / 'faces.tar', {'a.png': encoded(), './a.png': encoded(seed=1)})):
        source = open_source(path)
        assert content_of(source) == {'a.png': encoded(seed=1)}
        assert source.skipped == {'same name as another': ['a.png']}


def test_a_file_of_an_archive_is_not_unpacked_beyond_the_limit(tmp_path, monkeypatch):
    monkeypatch.setattr('data.listing.MAX_BYTES', 1000)
    members = {'a.png': encoded(), 'bomb.png': bytes(1 << 26)}
    archive = zip_of(tmp_path / 'faces.zip', members, zipfile.ZIP_DEFLATED)
    for path in archive, tar_of(tmp_path / 'faces.tar', members):
        source = open_source(path)
        tracemalloc.start()
        content = content_of(source)
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
        assert content['a.png'] == encoded()
        assert str(content['bomb.png']) == 'the file has more than 1,000 bytes, the limit'
        assert peak < 1e7


@pytest.mark.parametrize('compression', METHODS)
def test_damage_anywhere_in_a_zip_is_a_broken_image_or_a_sentence(tmp_path, compression):
    path = zip_of(tmp_path / 'faces.zip', {'a.png': encoded(), 'b': encoded()}, compression)
    whole = path.read_bytes()
    for position in range(0, len(whole), 7):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xff]) + whole[position + 1:])
        try:
            source = open_source(path)
        except UserError:
            continue
        for content in content_of(source).values():
            assert isinstance(content, bytes) or str(content).startswith('cannot read the file: ')


@pytest.mark.parametrize('damage', [
    lambda content: content[:len(content) // 2], lambda content: content[:len(content) // 2 // 512 * 512],
    lambda content: content.replace(b'5.png', b'?.png'), lambda content: content[:512] + bytes(600),
    lambda content: content[:1536] + bytes(512) + content[2048:], lambda content: content + content])
def test_a_damaged_tar_loses_no_image_in_silence(tmp_path, damage):
    path = tar_of(tmp_path / 'x.tar', {f'{number}.png': encoded() for number in range(9)})
    assert len(encoded()) in range(513, 1025)  # so that the header of the second file is at 1536
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(UserError, match=r'x\.tar is an incomplete or damaged \.tar archive'):
        open_source(path)


def folder_with(path, name):
    path.mkdir()
    (path / name).write_bytes(b'?')


def no_zip(path):
    path.write_bytes(zip_of(path, {'a.png': encoded()}).read_bytes()[:-30])


@pytest.mark.parametrize(('make', 'message'), [
    (lambda path: path.mkdir(), 'found no image in .*: it is empty'),
    (lambda path: zip_of(path, {'notes.txt': b'', 'README': b''}), r'found no image .*: skipped 2 .* README'),
    (lambda path: path.touch(), 'is empty; download it again'),
    (lambda path: path.write_text('\n<!DOCTYPE html><html>'), 'is a web page'),
    (no_zip, 'is an incomplete or damaged .zip archive; download it again'),
    (lambda path: zip_of(path, {'a.png': encoded()}, zipfile.ZIP_BZIP2), 'bzip2, LZMA or another method than Deflate'),
    (lambda path: path.write_bytes(b'Rar!'), 'is a compressed archive; unpack it and use the folder'),
    (lambda path: tar_of(path, {'a.png': encoded()}, 'w:gz'), 'is a compressed archive; unpack it'),
    (lambda path: path.write_bytes(b'\xff\xd8\xff\xe0'), 'is a single image'),
    (lambda path: folder_with(path, 'a.zip.001'), 'found no image .*part of a split archive: join all parts'),
    (lambda path: folder_with(path, 'a.tar.xz'), 'found no image .*compressed archive: unpack it'),
    (lambda path: folder_with(path, 'a.tfrecord-0-of-2'), 'found no image .*data set of another program: export its'),
    (lambda path: path.write_bytes(b'BZh91'), 'is a compressed archive'),
    (lambda path: path.write_bytes(b'version https://git-lfs.github.com'), 'is a pointer of Git LFS, not the file'),
    (lambda path: path.write_bytes(b'PAR1'), 'is an incomplete or damaged .parquet file'),
    (lambda path: [part.write_bytes(b'?') for part in (path, path.with_suffix('.z01'))], 'is a part of a split'),
    (lambda path: path.write_bytes(b'neither'), "is not a folder, .zip, .tar or .parquet file; .*b'neither'"),
    (os.mkfifo, 'is neither a folder nor a file; expected a folder, .zip or .tar of images'),
    (lambda path: path.symlink_to('/dev/zero'), 'is neither a folder nor a file'),
    (lambda path: path.symlink_to(path.name), 'cannot read .*faces.zip: '),
])
def test_what_is_not_a_source_is_refused_with_the_reason(tmp_path, make, message):
    make(tmp_path / 'faces.zip')
    with pytest.raises(UserError, match=message):
        open_source(tmp_path / 'faces.zip')


def test_a_folder_of_archives_is_one_data_set(tmp_path):
    (tmp_path / 'faces').mkdir()
    zip_of(tmp_path / 'faces' / 'b.zip', {'2.png': encoded(seed=2), 'x.txt': b''})
    zip_of(tmp_path / 'faces' / 'a-1.zip', {'1.png': encoded(seed=1)})
    zip_of(tmp_path / 'faces' / 'a.zip', {'0.png': encoded(seed=0)})
    zip_of(tmp_path / 'faces' / 'labels.zip', {'x.txt': b''})
    source = open_source(tmp_path / 'faces')
    assert list(source.images()) == [('a-1.zip/1.png', encoded(seed=1)), ('a.zip/0.png', encoded(seed=0)),
                                     ('b.zip/2.png', encoded(seed=2))]
    assert sorted(source.skipped['not an image']) == ['b.zip/x.txt', 'labels.zip/x.txt']


def test_of_several_kinds_in_a_folder_the_one_with_far_more_images_is_taken(tmp_path):
    write_images(tmp_path / 'faces', 1)
    zip_of(tmp_path / 'faces' / 'data' / 'a.zip', {f'{number}.png': encoded() for number in range(10)})
    source = open_source(tmp_path / 'faces')
    assert (len(source.names), source.skipped) == (10, {'left out, as there are far more images': ['000001.png']})
    write_images(tmp_path / 'faces', 2)
    with pytest.raises(UserError, match=r'holds 2 images in image files, 10 images in \.zip files; give those'):
        open_source(tmp_path / 'faces')
    (tmp_path / 'faces' / 'data' / 'a.zip').write_bytes(b'version https://git-lfs.github.com')
    with pytest.raises(UserError, match=r'data/a\.zip, which cannot be opened; .*is a pointer of Git LFS'):
        open_source(tmp_path / 'faces')


@pytest.mark.parametrize('failures', [3, 9])
def test_a_disk_that_fails_in_passing_is_read_again_and_one_that_keeps_failing_ends_the_run(
        tmp_path, monkeypatch, failures):
    monkeypatch.setattr('data.listing.PAUSES', (0, 0, 0))
    source, left = open_source(write_images(tmp_path, 1)), [OSError(errno.EIO, 'Input/output error')] * failures

    def fail(path, *arguments, **options):
        if left:
            raise left.pop()
        return open(path, *arguments, **options)

    monkeypatch.setattr('data.folders.open', fail, raising=False)
    if failures == 3:
        assert isinstance(content_of(source)['000001.png'], bytes)
    else:
        with pytest.raises(UserError, match=r'cannot read 000001\.png: Input/output error, 4 times; is the drive'):
            content_of(source)


@pytest.mark.parametrize('path', ['face', 'some/where', 'faces/archive.zip/b'])
def test_a_path_that_does_not_exist_gets_a_sentence(tmp_path, path):
    zip_of(tmp_path / 'faces' / 'archive.zip', {'a.png': encoded()})
    with pytest.raises(UserError, match=f'{path} does not exist; correct --dataset_dir'):
        open_source(tmp_path / path)


COUNT = 30


@pytest.fixture(scope='module')
def images():
    return [encoded(seed=number) for number in range(COUNT)]


def pixels(path, cache):
    return np.array(make_pack(open_source(path), 'auto', 16, cache).images)


@pytest.fixture(scope='module')
def expected(images, tmp_path_factory):
    """The pixels of these images as files, to compare with."""
    folder = tmp_path_factory.mktemp('files')
    for number, content in enumerate(images):
        (folder / f'{number:03d}.png').write_bytes(content)
    return pixels(folder, folder / '.cache')


def test_archives_hold_what_the_files_hold(images, expected, tmp_path):
    members = {f'./faces/{"x" * 150}/{number:03d}': content for number, content in enumerate(images)}
    zips = [zip_of(tmp_path / f'{method}' / 'faces.zip', members, method) for method in METHODS]
    for path in *zips, tar_of(tmp_path / 'faces.tar', members):
        assert open_source(path).name == 'faces'
        np.testing.assert_array_equal(pixels(path, tmp_path / 'cache'), expected)


def write_shard(path, values, kind, **options):
    pa, pq = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')
    kinds = {'hub': pa.struct([('bytes', pa.binary()), ('path', pa.string())]),
             'numbered': pa.struct([('bytes', pa.binary()), ('path', pa.int64())]),
             'bytes only': pa.struct([('bytes', pa.large_binary())]), 'plain': pa.binary(), 'large': pa.large_binary(),
             'text': pa.string()}
    path.parent.mkdir(parents=True, exist_ok=True)
    table = pa.table({'label': list(range(len(values))), 'image': pa.array(values, kinds[kind])})
    pq.write_table(table, path, **options)
    return path


@pytest.mark.parametrize(('kind', 'value'), [
    ('hub', lambda number, content: {'bytes': content, 'path': f'{number + 1:06d}.jpg'}),
    ('hub', lambda number, content: {'bytes': content, 'path': ['../../etc/passwd', 'a\\b/..', '', None][number % 4]}),
    ('numbered', lambda number, content: {'bytes': content, 'path': number}),
    ('bytes only', lambda number, content: {'bytes': content}),
    ('plain', lambda number, content: content), ('large', lambda number, content: content)])
def test_shards_hold_what_the_files_hold(images, expected, tmp_path, kind, value):
    values = [value(number, content) for number, content in enumerate(images)]
    for name, part in ('train-00000-of-00002', values[:17]), ('train-00001-of-00002', values[17:]):
        write_shard(tmp_path / 'hub' / 'data' / f'{name}.parquet', part, kind, row_group_size=5)
    (tmp_path / 'hub' / 'README.md').write_text('a data set')
    source = open_source(tmp_path / 'hub')
    assert len(source.names) == COUNT
    assert source.skipped == {'not an image': ['README.md']}
    assert list(source.images()) == list(zip(source.names, images, strict=True))
    np.testing.assert_array_equal(pixels(tmp_path / 'hub', tmp_path / 'cache'), expected)


def test_other_columns_that_may_hold_images_are_named(images, tmp_path):
    pa, pq = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')
    pq.write_table(pa.table({'mask': images[:2], 'image': images[2:4], 'text': ['a', 'b']}), tmp_path / 'x.parquet')
    source = open_source(tmp_path)
    assert list(content_of(source).values()) == images[2:4]
    assert source.describe_skipped() == '1 another column that may hold images (e.g. x.parquet/mask)'


def test_a_column_that_is_not_the_only_one_is_named_by_the_user(images, tmp_path):
    pa, pq = pytest.importorskip('pyarrow'), pytest.importorskip('pyarrow.parquet')
    pq.write_table(pa.table({'thumb': images[:2], 'photo': images[2:4]}), tmp_path / 'x')
    with pytest.raises(UserError, match='several columns that may hold images, thumb, photo; name one with train'):
        open_source(tmp_path / 'x')
    assert list(content_of(open_source(tmp_path / 'x', 'photo')).values()) == images[2:4]
    packed = [make_pack(open_source(tmp_path / 'x', name), 'auto', 16, tmp_path).images for name in ('photo', 'thumb')]
    assert not np.array_equal(*packed)
    with pytest.raises(UserError, match="has no column 'face' of images, but thumb, photo"):
        open_source(tmp_path / 'x', 'face')


def test_a_shard_that_claims_too_many_rows_is_refused(tmp_path):
    write_shard(tmp_path / 'x', [None] * 1_000_001, 'plain')
    with pytest.raises(UserError, match=r'x has more than 1,000,000 rows; split it'):
        open_source(tmp_path / 'x')


def test_broken_rows_and_files_are_counted(images, tmp_path):
    values = [{'bytes': content, 'path': None} for content in images]
    values[3]['bytes'] = values[4] = None
    write_shard(tmp_path / 'a.parquet', values, 'hub')
    (tmp_path / 'b.parquet').write_bytes(b'PAR1' + bytes(100) + b'PAR1')
    write_shard(tmp_path / 'c.parquet', ['no', 'image'], 'text')
    source = open_source(tmp_path)
    assert source.skipped == {
        'file that is an incomplete or damaged .parquet file; download it again': ['b.parquet'],
        'without a column of images': ['c.parquet']}
    assert [str(content) for content in content_of(source).values() if isinstance(content, UserError)] == [
        'the row holds no bytes'] * 2


def test_a_shard_without_pyarrow_gets_a_sentence(images, tmp_path, monkeypatch):
    path = write_shard(tmp_path / 'x.parquet', images, 'plain')
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserError, match=r"needs PyArrow, which is not installed; pip install '\.\[parquet\]'"):
        open_source(path)
