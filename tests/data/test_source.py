"""What is an image and what is not, in folders and archives, however they are made."""

import io
import os
import socket
import stat
import struct
import tracemalloc
import zipfile
from pathlib import Path

import pytest
from PIL import Image

from data import folders
from data.formats import FORMATS, format_of
from data.source import open_source, require_outside
from dcgan.errors import UserError
from tests.pictures import content_of, random_image, write_images


def zip_of(path, members, compression=zipfile.ZIP_STORED):
    """Writes a .zip of {name: content}; returns its path."""
    with zipfile.ZipFile(path, 'w', compression) as file:
        for name, content in members.items():
            file.writestr(name, content)
    return path


def encoded(format='PNG', seed=0):
    """Returns the bytes of a small image."""
    file = io.BytesIO()
    Image.fromarray(random_image(seed, 16, 16)).save(file, format)
    return file.getvalue()


@pytest.mark.parametrize('format', ['JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF'])
@pytest.mark.parametrize('name', ['face', 'face.dat', 'face.jpg', 'face.txt', 'face.tiff'])
def test_what_begins_like_an_image_is_one_by_any_name(tmp_path, format, name):
    (tmp_path / 'faces').mkdir()
    (tmp_path / 'faces' / name).write_bytes(encoded(format))
    archive = zip_of(tmp_path / 'faces.zip', {name: encoded(format)})
    assert format_of(encoded(format)[:32]) == format
    assert open_source(tmp_path / 'faces').names == open_source(archive).names == [name]


def test_what_does_not_begin_like_an_image_is_skipped_and_counted(tmp_path):
    write_images(tmp_path, 1)
    for name, content in {'BMW.txt': b'BM is the code of a car', 'RIFF.wav': b'RIFF\x24\0\0\0WAVEfmt ',
                          'film.mp4': b'\0\0\0\x20ftypisom\0\0\2\0isomiso2', 'empty': b''}.items():
        (tmp_path / name).write_bytes(content)
    source = open_source(tmp_path)
    assert source.names == ['000001.png']
    assert list(source.skipped) == ['not an image']
    assert sorted(source.skipped['not an image']) == ['BMW.txt', 'RIFF.wav', 'empty', 'film.mp4']
    assert source.describe_skipped() == '4 not an image (e.g. BMW.txt)'


def test_raw_files_of_cameras_are_skipped(tmp_path):
    write_images(tmp_path, 1)
    (tmp_path / 'photo.NEF').write_bytes(encoded('TIFF'))
    assert open_source(tmp_path).describe_skipped() == '1 raw file of a camera (e.g. photo.NEF)'


@pytest.mark.skipif('HEIF' in FORMATS, reason='pillow-heif is installed')
def test_photos_in_a_format_that_is_not_read_are_skipped_with_the_package_to_install(tmp_path):
    write_images(tmp_path, 1)
    (tmp_path / 'photo.HEIC').write_bytes(b'\0\0\0\x24ftypheic\0\0\0\0mif1MiPrmiafMiHEheic')
    assert open_source(tmp_path).describe_skipped() == '1 HEIF, which needs pillow-heif (e.g. photo.HEIC)'


@pytest.mark.skipif('AVIF' not in FORMATS, reason='this Pillow does not read AVIF')
def test_avif_images_are_read(tmp_path):
    (tmp_path / 'photo').write_bytes(encoded('AVIF'))
    assert open_source(tmp_path).names == ['photo']


@pytest.mark.parametrize('folder', ['@eaDir', '$RECYCLE.BIN', '$Recycle.Bin', 'System Volume Information', 'lost+found',
                                    '__MACOSX', '.thumbnails', '.Trash-1000', '#recycle'])
def test_what_systems_keep_for_themselves_is_skipped(tmp_path, folder):
    write_images(tmp_path / 'faces', 1)
    write_images(tmp_path / 'faces' / 'deep' / folder / 'within', 1)
    archive = zip_of(tmp_path / 'faces.zip', {'a.png': encoded(), f'deep/{folder}/b.png': encoded()})
    for path, name in (tmp_path / 'faces', '000001.png'), (archive, 'a.png'):
        source = open_source(path)
        assert source.names == [name]
        assert source.describe_skipped().startswith(f'1 hidden or of the system (e.g. deep/{folder}')


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


@pytest.fixture
def pipe(tmp_path):
    os.mkfifo(tmp_path / 'pipe.zip')
    return tmp_path / 'pipe.zip'


@pytest.fixture
def bound(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # the path of a socket must be short
    with socket.socket(socket.AF_UNIX) as server:
        server.bind('socket')
        yield tmp_path / 'socket'


def test_a_pipe_a_socket_or_a_device_is_refused_at_once(pipe, bound):
    for path, kind in ((pipe, 'a pipe'), (bound, 'a socket'), ('/dev/zero', 'a device'), ('/dev/null', 'a device')):
        with pytest.raises(UserError, match=f'is {kind}; expected a folder, .zip or .tar of images'):
            open_source(path)


def test_the_suggestion_for_an_empty_folder_opens_no_pipe(tmp_path, pipe):
    (tmp_path / 'empty').mkdir()
    with pytest.raises(UserError, match='it is empty'):
        open_source(tmp_path / 'empty')


def test_links_that_fan_out_are_followed_once(tmp_path):
    for level in range(40):
        folder = write_images(tmp_path / 'levels' / f'{level:02d}', 1)
        for name in 'left', 'right':
            (folder / name).symlink_to(f'../{level + 1:02d}')
    (tmp_path / 'faces').mkdir()
    (tmp_path / 'faces' / 'a').symlink_to('../levels/00')
    source = open_source(tmp_path / 'faces')
    assert len(source.names) == 40
    assert source.names[:3] == ['a/000001.png', 'a/left/000001.png', 'a/left/left/000001.png']


def test_links_do_not_change_the_names_of_images_in_real_folders(tmp_path):
    write_images(tmp_path / 'z', 1)
    (tmp_path / 'a').symlink_to('z')
    assert open_source(tmp_path).names == ['z/000001.png']


def test_thousands_of_nested_folders_are_read_as_far_as_the_system_allows(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write_images(tmp_path, 1)
    depth = 0
    while depth < 2100:  # a path has 4096 bytes on Linux
        os.mkdir('d')
        os.chdir('d')
        depth += 1
        if depth == 1500:
            Path('deep.png').write_bytes(encoded())
    monkeypatch.chdir(tmp_path)
    source = open_source(tmp_path)
    assert [os.path.basename(name) for name in source.names] == ['000001.png', 'deep.png']
    assert list(source.skipped) == ['unreadable']
    remove_nested(tmp_path)


def remove_nested(folder):
    """Removes folders that are nested too deep for shutil."""
    os.chdir(folder)
    depth = 0
    while os.path.isdir('d'):
        os.chdir('d')
        depth += 1
    for _ in range(depth):
        os.chdir('..')
        for name in os.listdir('d'):
            os.unlink(f'd/{name}')
        os.rmdir('d')


def test_an_unreadable_folder_does_not_refuse_the_others(tmp_path, monkeypatch):
    write_images(tmp_path / 'open', 1)
    write_images(tmp_path / 'closed', 1)
    scandir = os.scandir

    def refuse(path):
        if str(path).endswith('closed/'):
            raise PermissionError(13, 'Permission denied', path)
        return scandir(path)

    monkeypatch.setattr(folders.os, 'scandir', refuse)
    source = open_source(tmp_path)
    assert (source.names, source.skipped) == (['open/000001.png'], {'unreadable': ['closed/']})
    monkeypatch.setattr(folders.os, 'access', lambda path, mode: False)
    (tmp_path / 'open' / '000002.png').touch(mode=0)
    assert sorted(open_source(tmp_path).skipped['unreadable']) == ['closed/', 'open/000002.png']


def run_directory(path):
    """Makes what train.py leaves, with a picture."""
    write_images(path / 'samples', 1)
    (path / 'config.json').touch()
    (path / 'reals.png').write_bytes(encoded())
    return path


def test_run_directories_among_the_images_are_left_out(tmp_path):
    write_images(tmp_path, 1)
    run = run_directory(tmp_path / 'runs' / 'faces')
    source = open_source(tmp_path)
    assert (source.names, source.skipped) == (['000001.png'], {'run directory': ['runs/faces/']})
    with pytest.raises(UserError, match='is a run directory'):
        open_source(run)


def test_run_directories_in_a_zip_are_left_out(tmp_path):
    run = dict.fromkeys(['config.json', 'reals.png', 'samples/a.png', 'b.png'], encoded())
    within = {f'{folder}/{name}': content for folder in ('runs/x', './runs/x/y', r'runs\z')
              for name, content in run.items()}
    partly = {'faces/config.json': b'{}', 'faces/samples/c.png': encoded()}
    source = open_source(zip_of(tmp_path / 'faces.zip', {**within, **partly}))
    assert source.names == ['faces/samples/c.png']
    assert source.skipped == {'not an image': ['faces/config.json'], 'run directory': ['runs/x/', 'runs/z/']}
    with pytest.raises(UserError, match=r'found no image in .*run.zip: skipped 1 run directory'):
        open_source(zip_of(tmp_path / 'run.zip', run))


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
    source = open_source(zip_of(tmp_path / 'faces.zip', {name: encoded() for name in names}))
    assert source.names == expected
    assert list(source.images()) == [(name, encoded()) for name in expected]


def test_the_last_of_two_members_of_the_same_path_stays(tmp_path):
    source = open_source(zip_of(tmp_path / 'faces.zip', {'a.png': encoded(), './a.png': encoded(seed=1)}))
    assert content_of(source)['a.png'] == encoded(seed=1)
    assert source.skipped == {'same name as another': ['a.png']}


@pytest.mark.parametrize(('encoding', 'expected'), [
    ('gbk', '人脸/照片.jpg'), ('utf-8', '人脸/照片.jpg'), ('cp437', 'Ä/é.jpg')])
def test_names_in_a_zip_are_decoded_as_they_were_written(tmp_path, encoding, expected):
    raw = expected.encode(encoding)
    placeholder = 'x' * len(raw)
    path = zip_of(tmp_path / 'faces.zip', {placeholder: encoded()})
    path.write_bytes(path.read_bytes().replace(placeholder.encode(), raw))
    source = open_source(path)
    assert source.names == [expected]
    assert content_of(source)[expected] == encoded()


def claim_size(path, size):
    """Changes the size of the first member of a .zip, in its header and in the directory."""
    content = bytearray(path.read_bytes())
    for signature, offset in (b'PK\x03\x04', 22), (b'PK\x01\x02', 24):
        struct.pack_into('<I', content, content.index(signature) + offset, size)
    path.write_bytes(content)
    return path


def test_a_zip_that_understates_a_size_is_not_unpacked_further(tmp_path):
    path = claim_size(zip_of(tmp_path / 'faces.zip', {'a.png': bytes(1 << 26)}, zipfile.ZIP_DEFLATED), 1000)
    source = open_source(path)
    tracemalloc.start()
    assert str(content_of(source)['a.png']).startswith('cannot read the file: Bad CRC-32')
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1e7


def test_a_zip_that_overstates_a_size_is_read(tmp_path):
    source = open_source(claim_size(zip_of(tmp_path / 'faces.zip', {'a.png': encoded()}), 0xfffffff0))
    assert content_of(source)['a.png'] == encoded()


@pytest.mark.parametrize('compression', [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_a_zip_packed_by_another_method_gets_a_sentence(tmp_path, compression):
    path = zip_of(tmp_path / 'faces.zip', {'a.png': encoded()}, compression)
    with pytest.raises(UserError, match='bzip2, LZMA or another method than Deflate; unpack it and use the folder'):
        open_source(path)


@pytest.mark.parametrize('compression', [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED])
def test_damage_anywhere_in_a_zip_is_a_broken_image_or_a_sentence(tmp_path, compression):
    path = zip_of(tmp_path / 'faces.zip', {'a.png': encoded(), 'b': encoded()}, compression)
    whole = path.read_bytes()
    for position in range(0, len(whole), 3):
        path.write_bytes(whole[:position] + bytes([whole[position] ^ 0xff]) + whole[position + 1:])
        try:
            source = open_source(path)
        except UserError:
            continue
        for content in content_of(source).values():
            assert isinstance(content, bytes) or str(content).startswith('cannot read the file: ')


def test_links_in_a_zip_are_skipped(tmp_path):
    link = zipfile.ZipInfo('b.png')
    link.external_attr = (stat.S_IFLNK | 0o777) << 16
    with zipfile.ZipFile(tmp_path / 'faces.zip', 'w') as file:
        file.writestr('a.png', encoded())
        file.writestr(link, 'a.png')
    assert open_source(tmp_path / 'faces.zip').skipped == {'neither file nor folder': ['b.png']}
