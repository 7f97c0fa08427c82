"""From an encoded image to pixels: decode to upright RGB, crop, resize."""

import io

from PIL import Image, ImageOps, UnidentifiedImageError

from dcgan.errors import UserError

CELEBA_SHAPE = (218, 178)  # height and width of the images of img_align_celeba

# The rows and columns that a crop keeps of an aligned CelebA image, and who uses it.
CROPS = {
    'center108': (slice(55, 163), slice(35, 143)),  # carpedm20, LynnHo
    'center178': (slice(20, 198), slice(0, 178)),
    'progan128': (slice(57, 185), slice(25, 153)),  # ProGAN, mmgeneration
    'torch138': (slice(40, 178), slice(30, 168)),
}

RESIZER = 'Pillow bilinear'  # antialiased: the filter widens when it shrinks an image

# The decoders to try, whatever a file's name. Some of Pillow's others run programs (EPS) or are not for photographs.
FORMATS = ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF')
MAX_PIXELS = 1 << 26  # 8192 x 8192; more may be a decompression bomb
ORIENTATION = 0x0112  # EXIF tag


def crop_of(crop, shape):
    """Returns the rows and columns that a crop keeps of an image, as two slices.

    Args:
      crop: a name in ``CROPS``, or 'auto': center108 for an image of CelebA's shape, else the largest centered square.
      shape: (height, width) of the image, in pixels.

    Raises:
      UserError: the crop is for CelebA, and the image has another shape.
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
        raise UserError(f'the image has {width}x{height} pixels; the crop {crop} expects '
                        f'{CELEBA_SHAPE[1]}x{CELEBA_SHAPE[0]}, as in the aligned CelebA; use --crop=auto')
    return rows, columns


def decode(encoded):
    """Decodes an image to what a viewer shows.

    Applies the EXIF rotation, takes the first frame of an animation, puts transparent images on white, and scales
    16-bit gray to 8 bits.

    Args:
      encoded: bytes, the content of a file in one of ``FORMATS``.

    Returns:
      A ``PIL.Image`` of mode RGB.

    Raises:
      UserError: the file is damaged, in another format, or has more than ``MAX_PIXELS`` pixels.
    """
    if not encoded:
        raise UserError('the file is empty')
    try:
        with Image.open(io.BytesIO(encoded), formats=FORMATS) as image:
            if image.width * image.height > MAX_PIXELS:
                raise UserError(f'the file claims {image.width}x{image.height} pixels, which may be a decompression '
                                f'bomb; the limit is {MAX_PIXELS:,} pixels')
            image.load()
            if image.getexif().get(ORIENTATION, 1) != 1:
                image = ImageOps.exif_transpose(image)
            return _to_rgb(image)
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError('the file is not a JPEG, PNG, WebP, BMP or GIF image') from error
    except Exception as error:  # a damaged file can raise anything
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise UserError(f'cannot decode the file: {reason}') from error


def crop_and_resize(image, crop, size):
    """Crops an RGB ``PIL.Image`` and resizes the result to size x size pixels.

    Raises:
      UserError: the crop is for CelebA, and the image has another shape.
    """
    rows, columns = crop_of(crop, (image.height, image.width))
    # Crop first: resize(box=...) would let pixels outside the crop bleed in.
    cropped = image.crop((columns.start, rows.start, columns.stop, rows.stop))
    return cropped.resize((size, size), Image.Resampling.BILINEAR)


def _to_rgb(image):
    if image.mode == 'RGB' and 'transparency' not in image.info:
        return image
    if image.mode.startswith('I'):  # 16-bit gray; Pillow's own conversion clips it at 255
        image = image.convert('I').point(lambda value: value * (1 / 257) + 0.5).convert('L')
    elif image.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa') or 'transparency' in image.info:
        image = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    return image.convert('RGB')
