"""Pictures as bytes of a file: grids, sheets with captions, films."""

import importlib.util

import imageio.v3 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from runtime.errors import RunError

FILMS = ('.gif', '.mp4')
LONGEST_SIDE = 16384  # pixels of a film: what H.264 takes
MOST_PIXELS = 1 << 27  # of a picture: 32,768 faces of 64x64
MARGIN = 4  # pixels, around what has a caption


def grid(images, rows, columns):
    """Returns one PNG, as bytes, of images side by side, black where there are too few.

    Args:
      images: uint8 [n, height, width, 3], n at most rows * columns.
      rows, columns: images down and across.
    """
    return png(tiled(images, rows, columns))


def tiled(images, rows, columns):
    """Returns what ``grid`` shows as an array, uint8 [rows * height, columns * width, 3]."""
    _, height, width, channels = images.shape
    canvas = np.zeros([rows * columns, height, width, channels], np.uint8)
    canvas[:len(images)] = images
    canvas = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return canvas.reshape(rows * height, columns * width, channels)


def sheet(rows):
    """Returns images with a caption below each, on white, as an array, uint8 [height, width, 3].

    Args:
      rows: lists of (image, caption), or None for a place left empty; the images, uint8 [height, width, 3], are all of
        one size, a caption may have several lines.
    """
    font = ImageFont.load_default()
    measure = ImageDraw.Draw(Image.new('RGB', (1, 1)))
    cells = [[cell and (*cell, measure.multiline_textbbox((0, 0), cell[1], font)) for cell in row] for row in rows]
    height, width, _ = next(image for row in cells for image, *_ in filter(None, row)).shape
    columns = max(map(len, cells))
    wide = [2 * MARGIN + max([width, *(round(row[column][2][2]) for row in cells if column < len(row) and row[column])])
            for column in range(columns)]
    high = 3 * MARGIN + height + max(round(box[3]) for row in cells for *_, box in filter(None, row))
    canvas = Image.new('RGB', (_even(sum(wide)), _even(high * len(cells))), 'white')
    draw = ImageDraw.Draw(canvas)
    for down, row in enumerate(cells):
        for across, cell in enumerate(row):
            if cell:
                left, top = sum(wide[:across]) + MARGIN, down * high + MARGIN
                canvas.paste(Image.fromarray(cell[0]), (left, top))
                draw.multiline_text((left, top + height + MARGIN), cell[1], 'black', font)
    return np.asarray(canvas)


def require_room(count, size):
    """Asks for room for so many images of size x size in one picture, before minutes are spent on it.

    Raises:
      RunError: they are too many.
    """
    if count * size * size > MOST_PIXELS:
        raise RunError(f'{count:,} images of {size}x{size} are too many for one picture, which holds '
                       f'{MOST_PIXELS // size**2:,}')


def png(image):
    """Returns an image, uint8 [height, width, 3], as the bytes of a PNG."""
    return imageio.imwrite('<bytes>', image, extension='.png')


def film(frames, suffix, seconds):
    """Returns a film, repeated for ever if it is a GIF, as the bytes of its file.

    Args:
      frames: uint8 [n, height, width, 3]; for MP4, height and width are even.
      suffix: of ``FILMS``.
      seconds: that each frame is shown.

    Raises:
      RunError: they are too large.
    """
    height, width = frames[0].shape[:2]
    if max(height, width) > LONGEST_SIDE:
        raise RunError(f'frames of {width}x{height} pixels are too large for a film, in which {LONGEST_SIDE} is the '
                       'longest side')
    if suffix == '.gif':
        return imageio.imwrite('<bytes>', frames, extension='.gif', duration=round(1000 * seconds), loop=0)
    return imageio.imwrite('<bytes>', frames, extension='.mp4', plugin='pyav', codec='libx264', fps=round(1 / seconds))


def require_library(suffix):
    """Asks for the library that pictures of a suffix take, before minutes are spent on one.

    Raises:
      RunError: it is not installed.
    """
    if suffix == '.mp4' and importlib.util.find_spec('av') is None:
        raise RunError("an MP4 is made by PyAV, which is not installed: pip install '.[video]' does that; a .gif needs "
                       'nothing more')


def _even(length):
    return length + length % 2  # as MP4 wants it
