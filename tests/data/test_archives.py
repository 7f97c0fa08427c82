"""Data sets in .tar and .parquet files: found, read in bounded memory, packed, and what damages them."""

import io
import resource
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from data.celeba import missing_images
from data.pack import make_pack
from data.source import open_source
from dcgan.errors import UserError
from tests.pictures import random_image

pa = pytest.importorskip('pyarrow')
import pyarrow.parquet as pq  # noqa: E402

COUNT = 30


def encoded(number, side=24):
    content = io.BytesIO()
    Image.fromarray(random_image(number, side, side)).save(content, 'png')
    return content.getvalue()


@pytest.fixture(scope='module')
def images():
    return [encoded(number) for number in range(COUNT)]


@pytest.fixture
def folder(images, tmp_path):
    """The same images as files, to compare with."""
    (tmp_path / 'files').mkdir()
    for number, content in enumerate(images):
        (tmp_path / 'files' / f'{number:03d}.png').write_bytes(content)
    return tmp_path / 'files'


def pixels(path, cache):
    return np.array(make_pack(open_source(path), 'auto', 16, cache).images)


def write_shard(path, values, kind, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({'label': list(range(len(values))), 'image': pa.array(values, kind)}), path, **options)


HUB = pa.struct([('bytes', pa.binary()), ('path', pa.string())])


@pytest.mark.parametrize(('kind', 'value'), [
    (HUB, lambda number, content: {'bytes': content, 'path': f'{number + 1:06d}.jpg'}),
    (HUB, lambda number, content: {'bytes': content, 'path': None}),
    (HUB, lambda number, content: {'bytes': content, 'path': ['../../etc/passwd', 'a\\b/..', ''][number % 3]}),
    (pa.struct([('bytes', pa.binary()), ('path', pa.int64())]),
     lambda number, content: {'bytes': content, 'path': number}),
    (pa.struct([('bytes', pa.large_binary())]), lambda number, content: {'bytes': content}),
    (pa.binary(), lambda number, content: content),
    (pa.large_binary(), lambda number, content: content)])
def test_shards_hold_what_the_files_hold(folder, images, tmp_path, kind, value):
    values = [value(number, content) for number, content in enumerate(images)]
    for name, part in ('train-00000-of-00002', values[:17]), ('train-00001-of-00002', values[17:]):
        write_shard(tmp_path / 'hub' / 'data' / f'{name}.parquet', part, kind, row_group_size=5)
    (tmp_path / 'hub' / 'README.md').write_text('a data set')
    source = open_source(tmp_path / 'hub')
    assert len(source.names) == COUNT
    assert source.skipped == {'not an image': ['README.md']}
    np.testing.assert_array_equal(pixels(tmp_path / 'hub', tmp_path / 'cache'), pixels(folder, tmp_path / 'cache'))
    assert list(source.images()) == list(zip(source.names, images, strict=True))


def test_one_shard_is_a_data_set_whatever_its_name(folder, images, tmp_path):
    write_shard(tmp_path / 'faces', images, pa.binary())
    np.testing.assert_array_equal(pixels(tmp_path / 'faces', tmp_path / 'cache'), pixels(folder, tmp_path / 'cache'))


def test_names_in_shards_tell_which_images_of_celeba_are_missing(images, tmp_path):
    write_shard(tmp_path / 'hub' / 'x.parquet', [{'bytes': content, 'path': f'{number + 2:06d}.jpg'}
                                                 for number, content in enumerate(images)], HUB)
    assert 'missing: 000001.jpg' in missing_images(open_source(tmp_path / 'hub').names, (218, 178))


def test_broken_rows_and_files_are_counted(images, tmp_path):
    values = [{'bytes': content, 'path': None} for content in images]
    values[3]['bytes'], values[8]['bytes'] = None, b'no image'
    hub = tmp_path / 'hub'
    write_shard(hub / 'a.parquet', values, HUB)
    (hub / 'b.parquet').write_bytes(b'PAR1' + bytes(100) + b'PAR1')
    pq.write_table(pa.table({'text': ['no', 'image']}), hub / 'c.parquet')
    source = open_source(hub)
    assert source.skipped == {'unreadable .parquet file': ['b.parquet'], 'without a column of images': ['c.parquet']}
    pack = make_pack(source, 'auto', 16, tmp_path / 'cache')
    assert len(pack.images) == COUNT - 2
    assert pack.broken['a.parquet/000000003'] == 'the row holds no bytes'


def test_a_shard_that_is_damaged_within_gives_broken_images(images, tmp_path):
    write_shard(tmp_path / 'x.parquet', images, pa.binary(), compression='none', row_group_size=10)
    content = bytearray((tmp_path / 'x.parquet').read_bytes())
    place = content.index(images[12])
    content[place - 40:place + 20] = b'\xff' * 60
    (tmp_path / 'x.parquet').write_bytes(content)
    contents = [content for _, content in open_source(tmp_path / 'x.parquet').images()]
    assert contents[:10] + contents[20:] == images[:10] + images[20:]
    assert isinstance(contents[12], UserError)


def test_a_shard_without_pyarrow_gets_a_sentence(images, tmp_path, monkeypatch):
    write_shard(tmp_path / 'hub' / 'x.parquet', images, pa.binary())
    monkeypatch.setitem(sys.modules, 'pyarrow', None)
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    with pytest.raises(UserError, match=r"needs PyArrow, which is not installed; pip install '\.\[parquet\]'"):
        open_source(tmp_path / 'hub')


def test_a_large_row_group_is_read_in_bounded_memory(tmp_path):
    noise = np.random.default_rng(0).bytes(1 << 20)
    with pq.ParquetWriter(tmp_path / 'x.parquet', pa.schema([('image', pa.binary())]), compression='none') as writer:
        writer.write_table(pa.table({'image': pa.array([noise] * 400, pa.binary())}), row_group_size=400)
    source = open_source(tmp_path / 'x.parquet')
    assert source.stamps[0][0] < 1 << 21
    next(source.images())
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for _, content in source.images():
        assert len(content) == 1 << 20
    grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) * (1 if sys.platform == 'darwin' else 1024)
    assert grown < 200 << 20


def write_tar(path, entries, mode='w'):
    with tarfile.open(path, mode) as archive:
        for name, content in entries:
            member = tarfile.TarInfo(name)
            if isinstance(content, bytes):
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
            else:
                member.type, member.linkname = content
                archive.addfile(member)


def test_a_tar_holds_what_the_files_hold(folder, images, tmp_path):
    entries = [(f'./faces/{"x" * 150}/{number:03d}', content) for number, content in enumerate(images)]
    write_tar(tmp_path / 'faces.tar', [('faces', (tarfile.DIRTYPE, '')), *entries, ('faces/readme.txt', b'words'),
                                       ('faces/.hidden.png', images[0]), ('link.png', (tarfile.SYMTYPE, 'x')),
                                       ('pipe.png', (tarfile.FIFOTYPE, ''))])
    source = open_source(tmp_path / 'faces.tar')
    assert source.skipped == {'not an image': ['faces/readme.txt'], 'hidden or of the system': ['faces/.hidden.png'],
                              'neither file nor folder': ['link.png', 'pipe.png']}
    found, expected = (pixels(path, tmp_path / 'cache') for path in (tmp_path / 'faces.tar', folder))
    np.testing.assert_array_equal(found, expected)


def test_run_directories_in_a_tar_are_left_out(images, tmp_path):
    entries = [(f'faces/{number}.png', content) for number, content in enumerate(images)]
    run = [(f'faces/run/{name}', images[0]) for name in ('config.json', 'reals.png', 'samples/step-0000000.png')]
    write_tar(tmp_path / 'x.tar', [*entries, *run])
    source = open_source(tmp_path / 'x.tar')
    assert len(source.names) == COUNT
    assert source.skipped['run directory'] == ['faces/run/']


@pytest.mark.parametrize('damage', [
    lambda content: content[:len(content) // 2], lambda content: content[:len(content) // 2 // 512 * 512],
    lambda content: content.replace(b'5.png', b'?.png'), lambda content: content[:512] + bytes(600)])
def test_a_damaged_tar_loses_no_image_in_silence(images, tmp_path, damage):
    write_tar(tmp_path / 'x.tar', [(f'{number}.png', content) for number, content in enumerate(images)])
    (tmp_path / 'x.tar').write_bytes(damage((tmp_path / 'x.tar').read_bytes()))
    with pytest.raises(UserError, match=r'x\.tar is an incomplete or damaged \.tar archive|found no image'):
        open_source(tmp_path / 'x.tar')


def test_a_compressed_tar_gets_a_sentence(images, tmp_path):
    write_tar(tmp_path / 'x.tar.gz', [('1.png', images[0])], 'w:gz')
    with pytest.raises(UserError, match='is a gzip archive; unpack it'):
        open_source(tmp_path / 'x.tar.gz')


def test_a_file_that_claims_to_be_huge_is_broken(images, tmp_path):
    write_tar(tmp_path / 'x.tar', [(f'{number}.png', content) for number, content in enumerate(images)])
    huge = tarfile.TarInfo('huge.png')
    huge.size = 1 << 40
    content = (tmp_path / 'x.tar').read_bytes()
    (tmp_path / 'x.tar').write_bytes(huge.tobuf(tarfile.GNU_FORMAT) + content)
    with pytest.raises(UserError, match='incomplete or damaged'):
        open_source(tmp_path / 'x.tar')
