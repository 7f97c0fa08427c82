"""Which part of an image is kept, and how it is brought to size."""

import io

import imageio.v3 as imageio
import numpy as np
from PIL import Image

from data.errors import DataError

CELEBA_SHAPE = (218, 178)  # height and width of an image of img_align_celeba

# Rows and columns kept of an aligned CelebA image.
CROPS = {
    'center108': (slice(55, 163), slice(35, 143)),  # carpedm20, LynnHo
    'center178': (slice(20, 198), slice(0, 178)),
    'progan128': (slice(57, 185), slice(25, 153)),  # ProGAN, mmgeneration
    'torch138': (slice(40, 178), slice(30, 168)),
}

BROKEN = OSError, SyntaxError, ValueError, Image.DecompressionBombError  # what Pillow raises for files that are

RESIZER = 'Pillow bilinear'  # antialiased: when shrinking, its triangle grows with the scale


def crop_of(crop, shape):
    """Returns the rows and the columns, as two slices, that a crop keeps of an image.

    Args:
      crop: a name of ``CROPS``, or 'auto': center108 of an image of CelebA's shape, the largest centred square of any
        other.
      shape: height and width of the image, in pixels.

    Raises:
      DataError: the crop is one of CelebA's, and the image not of that shape.
    """
    height, width = shape
    if crop == 'auto':
        if (height, width) == CELEBA_SHAPE:
            return CROPS['center108']
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        return slice(top, top + side), slice(left, left + side)
    if (height, width) != CELEBA_SHAPE:
        raise DataError(f'it is {width}x{height} pixels, and the crop {crop} is defined for aligned CelebA images, '
                        f'{CELEBA_SHAPE[1]}x{CELEBA_SHAPE[0]}; --crop=auto takes images of any size')
    return CROPS[crop]


def decode(encoded):
    """Returns the uint8 RGB pixels [height, width, 3] of an encoded image.

    Raises:
      DataError: the bytes are no image that can be decoded.
    """
    try:
        return imageio.imread(encoded, plugin='pillow', mode='RGB')
    except BROKEN as error:
        raise DataError(f'it cannot be decoded: {_first_line(error)}') from error


def crop_and_resize(image, crop, size):
    """Returns the part of an image (uint8 [height, width, 3]) that the crop keeps, as uint8 [size, size, 3].

    Raises:
      DataError: as ``crop_of``.
    """
    rows, columns = crop_of(crop, image.shape[:2])
    kept = Image.fromarray(np.ascontiguousarray(image[rows, columns]))
    return np.asarray(kept.resize((size, size), Image.Resampling.BILINEAR))


def shape_of(encoded):
    """Returns height and width of an encoded image, decoding nothing but its head.

    Raises:
      DataError: as ``decode``.
    """
    try:
        with Image.open(io.BytesIO(encoded)) as image:
            return image.height, image.width
    except BROKEN as error:
        raise DataError(f'it cannot be decoded: {_first_line(error)}') from error


def _first_line(error):
    return str(error).partition('\n')[0]
