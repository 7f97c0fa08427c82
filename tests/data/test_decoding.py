"""An encoded image becomes pixels as a viewer shows it, or a sentence; cropped and resized, exact to the pixel."""

import io
import struct
import subprocess
import sys
import zlib
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from data.crop import crop_and_resize, crop_of, decode
from dcgan.errors import UserError
from tests.pictures import random_image

ROOT = Path(__file__).parents[2]

GRAY = random_image(1, 16, 16)[..., 0]
COLORS = random_image(2, 16, 16)


def saved(image, **options):
    """Returns the bytes of an image file, by default a PNG."""
    file = io.BytesIO()
    image.save(file, **{'format': 'png', **options})
    return file.getvalue()


def prepared(encoded, crop='auto', size=16):
    image, _ = decode(encoded)
    return np.array(crop_and_resize(image, crop, size))


@pytest.mark.parametrize(('crop', 'rows', 'columns'), [
    ('auto', (55, 163), (35, 143)),
    ('center108', (55, 163), (35, 143)),
    ('center178', (20, 198), (0, 178)),
    ('progan128', (57, 185), (25, 153)),
    ('torch138', (40, 178), (30, 168)),
])
def test_crops_of_celeba_keep_the_published_rows_and_columns(crop, rows, columns):
    image = random_image(0)
    assert crop_of(crop, (218, 178)) == (slice(*rows), slice(*columns))
    np.testing.assert_array_equal(prepared(saved(Image.fromarray(image)), crop, rows[1] - rows[0]),
                                  image[slice(*rows), slice(*columns)])


@pytest.mark.parametrize(('shape', 'rows', 'columns'), [
    ((96, 96), (0, 96), (0, 96)), ((100, 61), (19, 80), (0, 61)), ((178, 218), (0, 178), (20, 198))])
def test_auto_crops_the_largest_centered_square(shape, rows, columns):
    assert crop_of('auto', shape) == (slice(*rows), slice(*columns))


def test_resizing_happens_after_the_crop_and_is_antialiased():
    """Pixels outside the crop do not bleed in, and every pixel of a block counts."""
    image = np.zeros([218, 178, 3], np.uint8)
    image[55:163, 35:143] = 200
    image[55:163:2, 35:143] = 100
    np.testing.assert_allclose(prepared(saved(Image.fromarray(image)), size=18).astype(int), 150, atol=6)


def with_alpha(image):
    """Returns the image with an opaque upper half and a transparent lower half."""
    alpha = np.zeros_like(image[..., :1])
    alpha[:8] = 255
    return np.concatenate([image, alpha], axis=-1)


def on_white(image):
    return np.concatenate([image[:8], np.full_like(image[8:], 255)])


def in_colors(gray):
    return np.stack([gray] * 3, axis=-1)


@pytest.mark.parametrize(('image', 'options', 'expected'), [
    (GRAY, {}, in_colors(GRAY)),
    (Image.fromarray(GRAY).convert('P'), {}, in_colors(GRAY)),
    (GRAY > 99, {}, in_colors((GRAY > 99) * 255)),
    (GRAY.astype(np.uint16) * 257, {}, in_colors(GRAY)),
    (with_alpha(COLORS), {}, on_white(COLORS)),
    (np.stack([GRAY, with_alpha(COLORS)[..., 3]], -1), {}, on_white(in_colors(GRAY))),
    (COLORS, {'format': 'webp', 'lossless': True}, COLORS),
    (COLORS, {'format': 'bmp'}, COLORS),
    (COLORS, {'save_all': True, 'append_images': [Image.fromarray(GRAY)]}, COLORS),
    (COLORS, {'format': 'webp', 'lossless': True, 'save_all': True, 'append_images': [Image.fromarray(GRAY)]}, COLORS),
], ids=['gray', 'palette', 'bits', '16-bit', 'alpha', 'gray-alpha', 'webp', 'bmp', 'apng', 'animated-webp'])
def test_every_kind_of_image_is_decoded_as_a_viewer_shows_it(image, options, expected):
    image = image if isinstance(image, Image.Image) else Image.fromarray(image)
    np.testing.assert_array_equal(prepared(saved(image, **options)), expected)


def test_cmyk_images_become_rgb():
    encoded = saved(Image.new('CMYK', (16, 16), (0, 255, 255, 0)), format='jpeg')
    np.testing.assert_allclose(prepared(encoded).astype(int), np.broadcast_to([255, 0, 0], (16, 16, 3)), atol=3)


@pytest.mark.parametrize(('orientation', 'stored'), [
    (1, COLORS), (2, COLORS[:, ::-1]), (3, np.rot90(COLORS, 2)), (4, COLORS[::-1]), (5, COLORS.swapaxes(0, 1)),
    (6, np.rot90(COLORS)), (7, np.rot90(COLORS, 2).swapaxes(0, 1)), (8, np.rot90(COLORS, -1))])
def test_images_are_turned_upright(orientation, stored):
    exif = Image.Exif()
    exif[0x0112] = orientation
    np.testing.assert_array_equal(prepared(saved(Image.fromarray(stored), exif=exif)), COLORS)
    _, shape = decode(saved(Image.new('RGB', (70, 90)), exif=exif))
    assert shape == ((90, 70) if orientation < 5 else (70, 90))


PNG = saved(Image.fromarray(COLORS))


def claim_pixels(width, height):
    """Returns a PNG whose header claims another size."""
    head = b'IHDR' + struct.pack('>II', width, height) + PNG[24:29]
    return PNG[:12] + head + struct.pack('>I', zlib.crc32(head)) + PNG[33:]


@pytest.mark.parametrize(('encoded', 'message'), [
    (b'', 'the file is empty'),
    (b'version https://git-lfs.github.com/spec/v1', 'the file is a pointer of Git LFS, not the image'),
    (b'<html>', r'the file is not an image that Pillow reads \(JPEG, PNG, WEBP, BMP, GIF, TIFF'),
    (b'%!PS-Adobe-3.0 EPSF-3.0', 'the file is not an image'),
    (PNG[:len(PNG) // 2], 'cannot decode the file'),
    (PNG[:60] + bytes([PNG[60] ^ 255]) + PNG[61:], 'cannot decode the file'),
    (claim_pixels(20_000, 20_000), 'the file claims 20000x20000 pixels'),
    (claim_pixels(100_000, 100_000), 'cannot decode the file: Image size'),
    (b'RIFF\x1a\0\0\0WEBPVP8L\x0d\0\0\0\x2f' + struct.pack('<I', 16382 | 16382 << 14) + bytes(8),
     r'decoding 16383x16383 pixels of WEBP takes [0-9,]+ bytes|cannot decode'),
    (saved(Image.fromarray(np.zeros([8, 8], np.float32)), format='tiff'), 'the pixels are floating-point'),
])
def test_a_hostile_or_damaged_file_gets_a_sentence(encoded, message):
    with pytest.raises(UserError, match=message):
        prepared(encoded)


PREPARING = r"""
import re, sys
from data.worker import prepare
(height, width), pixels = prepare(open(sys.argv[1], 'rb').read(), 'auto', 64)
with open('/proc/self/status') as file:
    print(height, width, pixels[0], 1024 * int(re.search(r'VmHWM:\s+(\d+)', file.read())[1]))
"""


@pytest.mark.skipif(sys.platform != 'linux', reason='reads /proc')
@pytest.mark.parametrize(('options', 'limit'), [({}, 3e8), ({'progressive': True}, 7e8)])
def test_a_photo_of_108_megapixels_is_read_in_bounded_memory(tmp_path, options, limit):
    Image.new('RGB', (12_000, 9_000), (200, 100, 50)).save(tmp_path / 'a.jpg', **options)
    done = subprocess.run([sys.executable, '-c', PREPARING, tmp_path / 'a.jpg'], cwd=ROOT, capture_output=True,
                          text=True, check=True)
    *facts, memory = map(int, done.stdout.split())
    assert facts == [9000, 12_000, 200]
    assert memory < limit
