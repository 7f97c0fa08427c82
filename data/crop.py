"""How an encoded image becomes pixels: decoded to upright RGB, cropped, brought to size."""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from data.errors import DataError

CELEBA_SHAPE = (218, 178)  # height and width of an image of img_align_celeba

# Rows and columns kept of an aligned CelebA image.
CROPS = {
    'center108': (slice(55, 163), slice(35, 143)),  # carpedm20, LynnHo
    'center178': (slice(20, 198), slice(0, 178)),
    'progan128': (slice(57, 185), slice(25, 153)),  # ProGAN, mmgeneration
    'torch138': (slice(40, 178), slice(30, 168)),
}

RESIZER = 'Pillow bilinear'  # antialiased: when shrinking, its triangle grows with the scale

# What is tried on a file, whatever its name. Others that Pillow knows run programs (EPS) or are no photographs.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF')
MAX_PIXELS = 1 << 26  # 8192 x 8192; a file that claims more is taken for a decompression bomb
ORIENTATION = 0x0112  # the EXIF tag


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
    rows, columns = CROPS[crop]
    if (height, width) != CELEBA_SHAPE:
        raise DataError(f'it is {width}x{height} pixels, and the crop {crop} keeps rows {rows.start}:{rows.stop}, '
                        f'columns {columns.start}:{columns.stop} of aligned CelebA images, '
                        f'{CELEBA_SHAPE[1]}x{CELEBA_SHAPE[0]}; --crop=auto takes images of any size')
    return rows, columns


def decode(encoded):
    """Decodes an image of one of ``FORMATS`` to what a person sees in a viewer.

    EXIF rotation is applied; an animation gives its first frame; what is transparent lies on white; 16-bit grey is
    scaled to 8 bits.

    Args:
      encoded: the bytes of the file.

    Returns:
      A ``PIL.Image`` of mode RGB.

    Raises:
      DataError: the bytes are no such image, not all of one, or one of more than ``MAX_PIXELS``.
    """
    if not encoded:
        raise DataError('it is empty')
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise DataError(f'it claims {image.width}x{image.height} pixels and is not decoded: more than '
                                f'{MAX_PIXELS:,} are taken for a decompression bomb')
            image.load()
            if image.getexif().get(ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(image)
            return _to_rgb(image)
    except DataError:
        raise
    except UnidentifiedImageError as error:
        raise DataError('it is no JPEG, PNG, WebP, BMP or GIF image') from error
    except Image.DecompressionBombError as error:
        raise DataError(f'it is not decoded: {error}') from error
    except Exception as error:  # a decoder may raise anything at all over a damaged file
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise DataError(f'it cannot be decoded: {reason}') from error


def crop_and_resize(image, crop, size):
    """Returns the part of an RGB ``PIL.Image`` that the crop keeps, as one of size x size.

    Raises:
      DataError: as ``crop_of``.
    """
    rows, columns = crop_of(crop, (image.height, image.width))
    # Cropped first: resizing a box of the whole would mix in what lies around it.
    kept = image.crop((columns.start, rows.start, columns.stop, rows.stop))
    return kept.resize((size, size), Image.Resampling.BILINEAR)


def _to_rgb(image):
    if image.mode == 'RGB' and 'transparency' not in image.info:
        return image
    if image.mode.startswith('I'):  # 16-bit grey; Pillow's own conversion would cut it off at 255
        image = image.convert('I').point(lambda value: value * (1 / 257) + 0.5).convert('L')
    elif image.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa') or 'transparency' in image.info:
        image = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    return image.convert('RGB')
