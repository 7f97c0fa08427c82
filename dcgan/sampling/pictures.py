"""Grids, sheets with captions and films, as the bytes of a picture file."""

import importlib.util
import math

import imageio.v3 as imageio
import numpy as np
from PIL import Image, ImageDraw, ImageFont

from dcgan.errors import UserError

MAX_VIDEO_SIDE = 16384  # pixels, the limit of H.264
MAX_PIXELS = 1 << 27  # of a picture; 32,768 faces of 64x64
MARGIN = 4  # pixels around an image with a caption
MAX_CAPTION = 40  # characters of a line
FONT_SIZE = 10
# Fonts with Chinese, Japanese and Korean, of Linux, Windows and macOS; Pillow's own has Latin letters only.
CJK_FONTS = ('NotoSansCJK-Regular.ttc', 'wqy-zenhei.ttc', 'wqy-microhei.ttc', 'DroidSansFallback.ttf', 'msyh.ttc',
             'simsun.ttc', 'PingFang.ttc', 'STHeiti Light.ttc')


def grid(images, rows, columns):
    """Returns a grid of images as the bytes of a PNG; cells without an image are white.

    Args:
      images: uint8 [n, height, width, 3], n at most rows * columns.
      rows, columns: size of the grid, in images.
    """
    return png(tile(images, rows, columns))


def layout(count):
    """Returns the rows and columns of a grid of so many images that is about square and, where it can be, full."""
    square = math.ceil(math.sqrt(count))
    columns = next((columns for columns in range(square, 2 * square) if count % columns == 0), square)
    return math.ceil(count / columns), columns


def tile(images, rows, columns):
    """Returns the same grid as an array, uint8 [rows * height, columns * width, 3]."""
    _, height, width, channels = images.shape
    canvas = np.full([rows * columns, height, width, channels], 255, np.uint8)
    canvas[:len(images)] = images
    canvas = canvas.reshape(rows, columns, height, width, channels).swapaxes(1, 2)
    return canvas.reshape(rows * height, columns * width, channels)


def enlarge(images, scale):
    """Returns images, uint8 [n, height, width, 3], enlarged ``scale`` times by Lanczos's filter, each by itself."""
    if scale == 1:
        return images
    size = scale * images.shape[2], scale * images.shape[1]
    return np.stack([Image.fromarray(image).resize(size, Image.Resampling.LANCZOS) for image in images])


def sheet(rows):
    """Returns a sheet of images on white, each above its caption, uint8 [height, width, 3]; both sides are even.

    Args:
      rows: lists of (image, caption), or None for an empty cell. The images, uint8 [height, width, 3], have one size; a
        caption may have several lines.
    """
    font, can_draw = _font(''.join(cell[1] for row in rows for cell in filter(None, row)))
    rows = [[cell and (cell[0], _caption(cell[1], can_draw)) for cell in row] for row in rows]
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


def _font(text):
    """Returns a font for a text, and a function that tells whether it can draw a character."""
    if all(map(_is_latin, text)):
        return ImageFont.load_default(FONT_SIZE), _is_latin
    for name in CJK_FONTS:
        try:
            return ImageFont.truetype(name, FONT_SIZE), str.isprintable
        except OSError:
            continue
    return ImageFont.load_default(FONT_SIZE), _is_latin


def _is_latin(character):
    return character == '\n' or (character.isprintable() and ord(character) < 0x180)


def _caption(text, can_draw):
    """Returns a caption with long lines cut, and escapes for what the font cannot draw."""
    lines = []
    for line in text.split('\n'):
        line = ''.join(character if can_draw(character) else character.encode('ascii', 'backslashreplace').decode()
                       for character in line)
        lines.append(line if len(line) <= MAX_CAPTION else f'{line[:MAX_CAPTION - 3]}...')
    return '\n'.join(lines)


def require_room(count, size):
    """Checks that a picture can hold ``count`` images of size x size, before minutes are spent on drawing them.

    Raises:
      UserError: it cannot.
    """
    if count * size * size > MAX_PIXELS:
        raise UserError(f'{count:,} images of {size}x{size} are too many for one picture; the limit is '
                        f'{MAX_PIXELS // size**2:,}')


def png(image):
    """Returns an image, uint8 [height, width, 3], as the bytes of a PNG."""
    return imageio.imwrite('<bytes>', image, extension='.png')


def film(frames, seconds, suffix):
    """Returns the bytes of a film; a GIF loops forever.

    Args:
      frames: uint8 [n, height, width, 3]; for MP4, height and width are even.
      seconds: duration of each frame.
      suffix: one of ``sampling.VIDEO_SUFFIXES``.

    Raises:
      UserError: the frames are too large.
    """
    height, width = frames[0].shape[:2]
    if max(height, width) > MAX_VIDEO_SIDE:
        raise UserError(f'frames of {width}x{height} pixels are too large for a film; the limit is '
                        f'{MAX_VIDEO_SIDE} pixels a side')
    if suffix == '.gif':
        return imageio.imwrite('<bytes>', frames, extension='.gif', duration=round(1000 * seconds), loop=0)
    return imageio.imwrite('<bytes>', frames, extension='.mp4', plugin='pyav', codec='libx264', fps=round(1 / seconds))


def require_library(suffix):
    """Checks that the library for a suffix is installed, before minutes are spent on drawing.

    Raises:
      UserError: it is not.
    """
    if suffix == '.mp4' and importlib.util.find_spec('av') is None:
        raise UserError("an .mp4 needs PyAV, which is not installed; pip install '.[video]', or write a .gif")


def _even(length):
    return length + length % 2  # MP4 requires it
