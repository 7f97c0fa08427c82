"""A source becomes a pack: once, whatever is damaged, killed or stopped."""

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from data import decoding
from data.pack import make_pack
from data.source import open_source
from dcgan.errors import UserError
from tests.pictures import write_images

ROOT = Path(__file__).parents[2]


def pack_of(folder, size=16):
    return make_pack(open_source(folder), 'auto', size, folder.with_name('cache'))


def test_a_pack_is_cached_for_the_same_files_crop_and_size(tmp_path):
    folder, other = (write_images(tmp_path / name / 'faces', 3) for name in 'ab')
    make_pack(open_source(other), 'auto', 16, folder.with_name('cache'))
    first = pack_of(folder).path
    made = first.stat()
    assert pack_of(folder).path == first
    assert first.stat() == made
    os.utime(folder / '000001.png')
    packs = [pack_of(folder), pack_of(folder, size=8)]
    assert [pack.images.shape for pack in packs] == [(3, 16, 16, 3), (3, 8, 8, 3)]
    assert not first.exists()  # it is outdated
    assert len(list(first.parent.glob('*.npy'))) == 3
    assert not list(first.parent.glob('*.part'))


def test_broken_images_are_skipped_and_listed_and_the_names_of_what_is_no_image(tmp_path):
    folder = write_images(tmp_path / 'faces', 9)
    whole = np.array(pack_of(folder).images)
    for number in range(2, 5):
        (folder / f'00000{number}.png').write_bytes(b'')
    expected = {f'00000{number}.png': 'the file is empty' for number in range(2, 5)}
    for _ in range(2):  # made and found
        pack = pack_of(folder)
        np.testing.assert_array_equal(pack.images, whole[[0, 4, 5, 6, 7, 8]])
        assert pack.broken == json.loads(pack.facts_path.read_text())['broken'] == expected
    (folder / 'notes.txt').touch()
    assert json.loads(pack_of(folder).facts_path.read_text())['skipped'] == {
        'not an image': {'count': 1, 'names': ['notes.txt']}}


@pytest.mark.parametrize(('count', 'broken', 'message'), [
    (1, 1, '1 of the first 1 images'),
    (9, 4, r'4 of the first 4 images of faces are broken .* at most 3 of all 9 may be'),
    (400, 5, '5 of the first 5 images')])
def test_too_many_broken_images_are_an_error_and_listed(tmp_path, count, broken, message):
    folder = write_images(tmp_path / 'faces', 1)
    for number in range(2, count + 1):
        shutil.copy(folder / '000001.png', folder / f'{number:06d}.png')
    for number in range(1, broken + 1):
        (folder / f'{number:06d}.png').write_bytes(b'')
    with pytest.raises(UserError, match=message) as refusal:
        pack_of(folder)
    assert '000001.png: the file is empty' in str(refusal.value)
    listing, = (tmp_path / 'cache').glob('*.json')
    assert str(listing) in str(refusal.value)
    assert len(json.loads(listing.read_text())['broken']) == broken
    if count > 1:
        shutil.copy(folder / f'{count:06d}.png', folder / '000001.png')
        assert len(pack_of(folder).images) == count - broken + 1


def test_a_celeba_crop_of_other_images_is_refused(tmp_path):
    with pytest.raises(UserError, match=r'(?s)--crop=auto .*000001\.png: the image has 20x24 pixels; '):
        make_pack(open_source(write_images(tmp_path / 'faces', 1)), 'center108', 16, tmp_path)


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
    """A source, the path of its pack and its images."""
    folder = write_images(tmp_path_factory.mktemp('intact') / 'faces', 3)
    pack = pack_of(folder)
    return open_source(folder), pack.path, np.array(pack.images)


@pytest.mark.parametrize('spoil', [
    flip, lambda path: path.write_bytes(b''), lambda path: np.save(path, np.zeros([3, 16, 16, 3], np.uint8)),
    lambda path: path.with_suffix('.json').unlink(), lambda path: path.with_suffix('.json').write_text('[]'),
    lambda path: path.with_suffix('.json').write_bytes(b'\xff\xfe'), facts_with(source_shape=None)])
def test_a_corrupt_pack_is_rebuilt(tmp_path, capsys, spoil, intact):
    source, original, images = intact
    path = shutil.copytree(original.parent, tmp_path / 'cache') / original.name
    spoil(path)
    np.testing.assert_array_equal(make_pack(source, 'auto', 16, tmp_path / 'cache').images, images)
    assert capsys.readouterr().out == f'cache file {path} is corrupt; rebuilding it\n'
    make_pack(source, 'auto', 16, tmp_path / 'cache')
    assert not capsys.readouterr().out


def test_a_full_disk_is_reported_before_the_work_starts(tmp_path):
    source = open_source(write_images(tmp_path / 'faces', 1))
    with pytest.raises(UserError, match=r'only [0-9,]+ bytes are free; it takes 300,000,000,000,128 bytes; '):
        make_pack(source, 'auto', 10_000_000, tmp_path / 'cache')
    assert not [path for path in (tmp_path / 'cache').iterdir() if path.suffix != '.lock']


def test_a_cache_folder_that_cannot_be_written_is_refused(tmp_path):
    (tmp_path / 'cache').touch()
    with pytest.raises(UserError, match=r'cannot write .*: .*; it takes 896 bytes; .*--cache_dir'):
        pack_of(write_images(tmp_path / 'faces', 1))


def test_a_pack_is_read_where_files_cannot_be_mapped(tmp_path, monkeypatch, intact):
    def refuse(*arguments, **options):
        raise OSError(errno.ENODEV, 'No such device')

    source, _, images = intact
    monkeypatch.setattr('numpy.lib.format.open_memmap', refuse)
    np.testing.assert_array_equal(make_pack(source, 'auto', 16, tmp_path).images, images)


@pytest.mark.parametrize('name', ['x' * 255, '脸' * 85, os.fsdecode(b'\xc1\xb3\xff' * 80), ' .'])
def test_a_folder_of_any_name_is_packed(tmp_path, name):
    folder = write_images(tmp_path / name, 1)
    assert pack_of(folder).path == pack_of(folder).path


def test_processes_wait_for_each_other_and_remove_what_a_killed_one_left(tmp_path):
    cache = tmp_path / 'cache'
    folder = write_images(tmp_path / 'faces [1]', 3)
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
    assert len(pack_of(folder).images) == 3


PACKING = """
import multiprocessing, os, signal, sys
from pathlib import Path
from data.pack import make_pack
from data.source import open_source
from dcgan.signals import handling_stop_signals

state = sys.argv[3]
source = open_source(Path(sys.argv[1]))
def images():
    yield from [next(source.images())] * 32  # a task
    if state == 'stopped':
        for process in multiprocessing.active_children():
            os.kill(process.pid, signal.SIGSTOP)
    if state != 'starting':
        print('ready', flush=True)
    signal.pause()
with handling_stop_signals(lambda number, frame: sys.exit(128 + number)):
    if state == 'starting':
        print('ready', flush=True)
    make_pack(source._replace(images=images), 'auto', 16, Path(sys.argv[2]))
"""


@pytest.mark.skipif(sys.platform == 'win32', reason='Windows has no such signals')
@pytest.mark.parametrize(('number', 'state'), [
    (signal.SIGINT, 'starting'), (signal.SIGTERM, 'starting'), (signal.SIGTERM, 'stopped'),
    (signal.SIGKILL, 'waiting')])
def test_a_signal_ends_packing_whatever_the_decoders_do(tmp_path, number, state):
    folder = write_images(tmp_path / 'faces', 1)
    with subprocess.Popen([sys.executable, '-c', PACKING, folder, tmp_path / 'cache', state], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        assert process.stdout.readline() == b'ready\n'
        process.send_signal(number)
        _, errors = process.communicate(timeout=120)  # returns after all processes that can write have ended
    assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), errors
    assert number == signal.SIGKILL or not errors
    assert number == signal.SIGKILL or {path.suffix for path in (tmp_path / 'cache').glob('*')} <= {'.lock'}


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


def dying_images(tmp_path, monkeypatch, count, ends):
    """Writes images, of which some end the process that decodes them; returns their folder."""
    (tmp_path / 'sitecustomize.py').write_text(DYING)
    monkeypatch.setenv('PYTHONPATH', str(tmp_path))
    folder = write_images(tmp_path / 'faces', count)
    for number, end in ends.items():
        with (folder / f'{number:06d}.png').open('ab') as file:
            file.write(end)
    return folder


def test_images_that_crash_their_decoder_are_broken_and_the_others_are_packed(tmp_path, monkeypatch):
    pack = pack_of(dying_images(tmp_path, monkeypatch, 6, {2: b'kill', 6: b'exit'}))
    assert pack.broken.keys() == {'000002.png', '000006.png'}
    assert set(pack.broken.values()) == {'the process that decodes it ended; it may have run out of memory'}
    whole = np.array(pack_of(write_images(tmp_path / 'faces', 6)).images)
    np.testing.assert_array_equal(pack.images, whole[[0, 2, 3, 4]])


def test_an_image_that_keeps_its_decoder_busy_is_broken(tmp_path, monkeypatch):
    monkeypatch.setattr(decoding, 'MAX_TASK_SECONDS', 1)
    monkeypatch.setattr(decoding, 'MAX_SECONDS', 1)
    with pytest.raises(UserError, match=r'000001\.png: decoding it takes more than 1 second'):
        pack_of(dying_images(tmp_path, monkeypatch, 1, {1: b'hang'}))


def test_decoders_do_not_import_the_program(tmp_path):
    folder = write_images(tmp_path / 'faces', 3)
    (tmp_path / 'program.py').write_text(
        f'import sys; sys.path.insert(0, {str(ROOT)!r}); print("imported")\n'
        f'from data.pack import make_pack; from data.source import open_source\n'
        f'make_pack(open_source({str(folder)!r}), "auto", 16, {str(tmp_path / "cache")!r})')
    done = subprocess.run([sys.executable, tmp_path / 'program.py'], capture_output=True, text=True, timeout=120,
                          check=False, cwd=tmp_path)
    assert (done.returncode, done.stdout) == (0, 'imported\n'), done.stderr


def test_where_no_pool_can_be_started_a_sentence_says_what_it_needs(tmp_path, monkeypatch):
    def refuse(*arguments):
        raise PermissionError(13, 'Permission denied')

    monkeypatch.setattr(decoding, 'ProcessPoolExecutor', refuse)
    with pytest.raises(UserError, match=r'cannot start .*: Permission denied; on Linux, they need a writable /dev/shm'):
        pack_of(write_images(tmp_path / 'faces', 1))
