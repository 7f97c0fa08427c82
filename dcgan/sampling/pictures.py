"""Grids, sheets with captions and films, as the bytes of a picture file."""

import math

import imageio.v3 as imageio
import numpy as np
from matplotlib import font_manager
from PIL import Image, ImageDraw, ImageFont

from dcgan.errors import UserError

MAX_VIDEO_SIDE = 16384  # pixels, the limit of H.264
MAX_PIXELS = 1 << 27  # of a picture; 32,768 faces of 64x64
MARGIN = 4  # pixels around an image with a caption
MAX_CAPTION = 40  # characters of a line
FONT_SIZE = 10
# The first that the system has; matplotlib brings the last. The others have Chinese, Japanese and Korean characters.
FONTS = ['Noto Sans CJK SC', 'WenQuanYi Micro Hei', 'Microsoft YaHei', 'PingFang SC', 'Arial Unicode MS', 'DejaVu Sans']


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
    size = scale * images.shape[2], scale * images.shape[1]
    return np.stack([Image.fromarray(image).resize(size, Image.Resampling.LANCZOS) for image in images])


def sheet(rows):
    """Returns a sheet of images on white, each above its caption, uint8 [height, width, 3]; both sides are even.

    Args:
      rows: lists of (image, caption), or None for an empty cell. The images, uint8 [height, width, 3], have one size; a
        caption may have several lines.
    """
    font = ImageFont.truetype(font_manager.findfont(font_manager.FontProperties(family=FONTS)), FONT_SIZE)
    measure = ImageDraw.Draw(Image.new('RGB', (1, 1)))
    cells = []  # (row, column, image, caption, the caption's box)
    for down, row in enumerate(rows):
        for across, (image, caption) in ((across, cell) for across, cell in enumerate(row) if cell):
            caption = '\n'.join(map(_caption, caption.split('\n')))
            cells.append((down, across, image, caption, measure.multiline_textbbox((0, 0), caption, font)))
    height, width, _ = cells[0][2].shape
    wide = [2 * MARGIN + max([width, *(round(box[2]) for _, across, *_, box in cells if across == column)])
            for column in range(max(map(len, rows)))]
    high = 3 * MARGIN + height + max(round(box[3]) for *_, box in cells)
    # MP4 requires even sides.
    canvas = Image.new('RGB', (sum(wide) + sum(wide) % 2, high * len(rows) + high * len(rows) % 2), 'white')
    draw = ImageDraw.Draw(canvas)
    for down, across, image, caption, _ in cells:
        left, top = sum(wide[:across]) + MARGIN, down * high + MARGIN
        canvas.paste(Image.fromarray(image), (left, top))
        draw.multiline_text((left, top + height + MARGIN), caption, 'black', font)
    return np.asarray(canvas)


def _caption(line):
    """Returns a line of a caption, cut if it is long, with escapes for what is not a character."""
    line = line.encode(errors='backslashreplace').decode()
    return line if len(line) <= MAX_CAPTION else f'{line[:MAX_CAPTION - 3]}...'


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
        raise UserError(f'{width}x{height} pixels are too large for a film; the limit is {MAX_VIDEO_SIDE}')
    if suffix == '.gif':
        return imageio.imwrite('<bytes>', frames, extension='.gif', duration=round(1000 * seconds), loop=0)
    return imageio.imwrite('<bytes>', frames, extension='.mp4', plugin='pyav', codec='libx264', fps=round(1 / seconds))
