"""Packing stops at once, stays within its memory, and leaves no packs behind that nobody needs."""

import json
import os
import signal
import struct
import subprocess
import sys
import time
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.crop import crop_and_resize, decode
from data.pack import cached_packs, main, make_pack
from data.source import open_source
from dcgan.errors import UserError
from tests.pictures import random_image, write_images

ROOT = Path(__file__).parents[2]
LINUX = pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')

PACKING = """
import multiprocessing, os, signal, sys, threading, time
from data.pack import make_pack
from data.source import open_source
from dcgan.signals import handling_stop_signals

handler = handling_stop_signals(lambda number, frame: sys.exit(128 + number))
handler.__enter__()
source = open_source(sys.argv[1])
def report():
    while not (processes := multiprocessing.active_children()):
        time.sleep(0.01)
    if sys.argv[3] == 'stopped':
        for process in processes:
            os.kill(process.pid, signal.SIGSTOP)
    print(*(process.pid for process in processes), flush=True)
def images():
    yield from [next(source.images())] * 32  # a task
    time.sleep(60)
threading.Thread(target=report, daemon=True).start()
make_pack(source._replace(images=images), 'auto', 16, sys.argv[2])
"""


def exif_bomb():
    """Returns a JPEG with so many EXIF segments that Pillow needs most of a minute to open it."""
    segment = b'\xff\xe1\xff\xff' + b'Exif\0\0' + bytes(0xffff - 8)
    return b'\xff\xd8' + segment * 1500 + b'\xff\xd9'


def seconds_used(pid):
    with open(f'/proc/{pid}/stat') as file:
        user, system = file.read().rpartition(')')[2].split()[11:13]
    return (int(user) + int(system)) / os.sysconf('SC_CLK_TCK')


def is_running(pid):
    try:
        with open(f'/proc/{pid}/stat') as file:
            return file.read().rpartition(')')[2].split()[0] != 'Z'
    except OSError:
        return False


@LINUX
@pytest.mark.parametrize(('number', 'state'), [(signal.SIGINT, 'stopped'), (signal.SIGTERM, 'busy'),
                                               (signal.SIGKILL, 'busy'), (signal.SIGKILL, 'waiting')])
def test_a_signal_ends_packing_at_once_whatever_the_decoders_do(tmp_path, number, state):
    folder = write_images(tmp_path / 'faces', 1)
    if state == 'busy':
        (folder / '000001.jpg').write_bytes(exif_bomb())
    with subprocess.Popen([sys.executable, '-c', PACKING, folder, tmp_path / 'cache', state], cwd=ROOT,
                          stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        decoders = [int(pid) for pid in process.stdout.readline().split()]
        assert decoders
        while state == 'busy' and max(map(seconds_used, decoders)) < 1:
            time.sleep(0.05)
        start = time.monotonic()
        process.send_signal(number)
        _, errors = process.communicate(timeout=20)
        assert process.returncode == (-number if number == signal.SIGKILL else 128 + number), errors
        while any(map(is_running, decoders)):
            time.sleep(0.01)
        assert time.monotonic() - start < (10 if number == signal.SIGKILL else 2)
    if number != signal.SIGKILL:
        assert [path.suffix for path in (tmp_path / 'cache').iterdir()] == ['.lock']


def png_of_zeros(width, height):
    """Returns a PNG of 16-bit RGBA."""
    def chunk(kind, content):
        return struct.pack('>I', len(content)) + kind + content + struct.pack('>I', zlib.crc32(kind + content))

    compressor = zlib.compressobj(1)
    pixels = b''.join(compressor.compress(bytes(1 + 8 * width)) for _ in range(height)) + compressor.flush()
    return b'\x89PNG\r\n\x1a\n' + chunk(b'IHDR', struct.pack('>IIBBBBB', width, height, 16, 6, 0, 0, 0)) + chunk(
        b'IDAT', pixels) + chunk(b'IEND', b'')


PREPARING = r"""
import re, sys
from data.worker import prepare
(height, width), pixels = prepare(open(sys.argv[1], 'rb').read(), 'auto', 64)
with open('/proc/self/status') as file:
    print(height, width, pixels[0], 1024 * int(re.search(r'VmHWM:\s+(\d+)', file.read())[1]))
"""


def prepared_in_a_process(path):
    """Returns the height, the width, the first value, and the bytes of memory that it took."""
    done = subprocess.run([sys.executable, '-c', PREPARING, path], cwd=ROOT, capture_output=True, text=True, check=True)
    return [int(value) for value in done.stdout.split()]


@LINUX
def test_a_large_image_with_transparency_takes_little_more_than_its_pixels(tmp_path):
    (tmp_path / 'a.png').write_bytes(png_of_zeros(8192, 8192))
    *facts, memory = prepared_in_a_process(tmp_path / 'a.png')
    assert facts == [8192, 8192, 255]
    assert memory < 4 * 8192**2 + 1.5e8


@LINUX
@pytest.mark.parametrize(('options', 'limit'), [({}, 3e8), ({'progressive': True}, 7e8)])
def test_a_photo_of_108_megapixels_is_read_in_bounded_memory(tmp_path, options, limit):
    Image.new('RGB', (12_000, 9_000), (200, 100, 50)).save(tmp_path / 'a.jpg', **options)
    *facts, memory = prepared_in_a_process(tmp_path / 'a.jpg')
    assert facts == [9000, 12_000, 200]
    assert memory < limit


@pytest.mark.parametrize('orientation', range(1, 9))
def test_strips_of_a_large_image_give_the_same_bits_as_the_whole(tmp_path, orientation, monkeypatch):
    exif = Image.Exif()
    exif[0x0112] = orientation
    alpha = np.arange(90 * 70, dtype=np.uint8).reshape(90, 70, 1)
    Image.fromarray(np.concatenate([random_image(0, 90, 70), alpha], axis=-1)).save(tmp_path / 'a.png', exif=exif)
    decoded = decode((tmp_path / 'a.png').read_bytes())
    whole = crop_and_resize(decoded, 'auto', 24)
    monkeypatch.setattr('data.crop.STRIP', 1000)
    assert decoded.shape == ((90, 70) if orientation < 5 else (70, 90))
    assert crop_and_resize(decoded, 'auto', 24).tobytes() == whole.tobytes()


def test_floating_point_pixels_are_refused(tmp_path):
    Image.fromarray(np.zeros([8, 8], np.float32)).save(tmp_path / 'a.tif')
    with pytest.raises(UserError, match='floating-point'):
        crop_and_resize(decode((tmp_path / 'a.tif').read_bytes()), 'auto', 8)


def test_decoding_that_takes_too_much_memory_is_refused():
    webp = bytearray(b'RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f' + struct.pack('<I', 16382 | 16382 << 14) + bytes(8))
    with pytest.raises(UserError, match=r'decoding 16383x16383 pixels of WEBP takes [0-9,]+ bytes|cannot decode'):
        decode(bytes(webp))


def test_a_pack_of_files_that_changed_replaces_the_one_before(tmp_path):
    folders = [write_images(tmp_path / name / 'faces', count) for name, count in (('a', 3), ('b', 4))]
    cache = tmp_path / 'cache'
    packs = [make_pack(open_source(folder), 'auto', 16, cache).path for folder in folders]
    os.utime(folders[0] / '000001.png')
    again = make_pack(open_source(folders[0]), 'auto', 16, cache).path
    assert again != packs[0]
    assert cached_packs(cache) == sorted([again, packs[1]])


def test_packs_are_listed_and_cleared(tmp_path, capsys):
    folder = write_images(tmp_path / 'faces', 3)
    cache = tmp_path / 'cache'
    pack = make_pack(open_source(folder), 'auto', 16, cache).path
    (cache / 'other-auto-16-0123456789abcdef.json').write_text('[[')
    (cache / 'other-auto-16-0123456789abcdef.npy.12.part').touch()
    (cache / 'fid-reals.npz').touch()
    main(['--list', f'--cache_dir={cache}'])
    assert f'0.0 MB  {pack.stem}, images of {folder}' in capsys.readouterr().out
    assert pack.exists()
    main(['--clear', f'--cache_dir={cache}'])
    assert 'removed from' in capsys.readouterr().out
    assert [path.name for path in cache.iterdir()] == ['fid-reals.npz']
    main(['--list', f'--cache_dir={tmp_path / "none"}'])
    (tmp_path / 'file').touch()
    with pytest.raises(SystemExit, match=r'data\.pack: cannot read'):
        main(['--list', f'--cache_dir={tmp_path / "file"}'])


def test_what_was_skipped_is_listed_beside_the_pack_and_kept_up_to_date(tmp_path):
    folder = write_images(tmp_path / 'faces', 1)
    pack = make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache')
    assert json.loads(pack.facts_path.read_text())['skipped'] == {}
    (folder / 'notes.txt').touch()
    pack = make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache')
    assert json.loads(pack.facts_path.read_text())['skipped'] == {'not an image': {'count': 1, 'names': ['notes.txt']}}


@pytest.mark.parametrize('name', ['x' * 255, 'x' * 222, '脸' * 85, os.fsdecode(b'\xc1\xb3\xff' * 80), ' .'])
def test_a_folder_of_any_name_is_packed(tmp_path, name):
    folder = write_images(tmp_path / name, 1)
    pack = make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache')
    assert make_pack(open_source(folder), 'auto', 16, tmp_path / 'cache').path == pack.path
    assert len(cached_packs(tmp_path / 'cache')) == 1
