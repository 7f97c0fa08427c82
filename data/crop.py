"""From an encoded image to pixels: decode, crop, turn upright, convert to RGB, resize."""

import contextlib
import io

from PIL import Image, UnidentifiedImageError

from data.formats import LFS_POINTER, MAX_PIXELS, prepare_pillow
from dcgan.errors import UserError

CELEBA_SHAPE = (218, 178)  # height and width of the images of img_align_celeba

# The rows and columns that a crop keeps of an aligned CelebA image, and who uses it.
CROPS = {
    'center108': (slice(55, 163), slice(35, 143)),  # carpedm20, LynnHo
    'center178': (slice(20, 198), slice(0, 178)),
    'progan128': (slice(57, 185), slice(25, 153)),  # ProGAN
    'torch138': (slice(40, 178), slice(30, 168)),
}

RESIZER = 'Pillow bilinear'  # antialiased: the filter widens when it shrinks an image

MAX_MEMORY = 1 << 31  # bytes, of decoding one image
FULL_JPEG = 1 << 26  # pixels; larger JPEGs are decoded at half their width and height

ORIENTATION = 0x0112  # EXIF tag
TRANSPOSES = {  # what turns a stored image upright
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


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
                        f'{CELEBA_SHAPE[1]}x{CELEBA_SHAPE[0]}, as in the aligned CelebA')
    return rows, columns


def decode(encoded, max_memory=MAX_MEMORY):
    """Decodes an image.

    Args:
      encoded: bytes, the content of a file in one of the formats of ``prepare_pillow``.
      max_memory: bytes that decoding may take.

    Returns:
      A loaded ``PIL.Image`` in the file's own mode, upright; of an animation, the first frame. And (height, width) of
      what a viewer shows, in pixels; those of the image may be smaller.

    Raises:
      UserError: the file is damaged, in another format, or has too many pixels.
    """
    if not encoded:
        raise UserError('the file is empty')
    if encoded.startswith(LFS_POINTER):
        raise UserError('the file is a pointer of Git LFS, not the image; git lfs pull downloads that')
    with _as_user_errors('decode'), Image.open(io.BytesIO(encoded), formats=prepare_pillow()) as image:
        size = image.size
        if image.width * image.height > MAX_PIXELS:
            raise UserError(f'the file claims {image.width}x{image.height} pixels, which may be a decompression bomb; '
                            f'the limit is {MAX_PIXELS:,} pixels')
        is_halved = image.format in ('JPEG', 'MPO') and image.width * image.height > FULL_JPEG
        if is_halved:
            image.draft(None, (image.width // 2, image.height // 2))
        needed = _memory(image, size[0] * size[1])
        if needed > max_memory:
            raise UserError(f'decoding {size[0]}x{size[1]} pixels of {image.format} takes {needed:,} bytes of memory; '
                            f'the limit is {max_memory:,}; save it with fewer pixels')
        image.load()
        width, height = size if is_halved else image.size
        orientation = image.getexif().get(ORIENTATION)
        if orientation not in TRANSPOSES:
            return image, (height, width)
        shape = (width, height) if orientation > 4 else (height, width)
        return image.transpose(TRANSPOSES[orientation]), shape


def crop_and_resize(image, crop, size):
    """Crops an image that ``decode`` returned and resizes the result to size x size pixels.

    Puts transparent images on white, and scales 16-bit gray to 8 bits.

    Returns:
      A ``PIL.Image`` of mode RGB.

    Raises:
      UserError: the crop is for CelebA, and the image has another shape; or its pixels cannot be converted.
    """
    rows, columns = crop_of(crop, image.size[::-1])
    with _as_user_errors('convert'):
        # Crop first: resize(box=...) would let pixels outside the crop bleed in.
        cropped = image.crop((columns.start, rows.start, columns.stop, rows.stop))
        return _to_rgb(cropped).resize((size, size), Image.Resampling.BILINEAR)


@contextlib.contextmanager
def _as_user_errors(verb):
    """Turns everything that Pillow raises into a UserError."""
    try:
        yield
    except UserError:
        raise
    except UnidentifiedImageError as error:
        raise UserError(f'the file is not an image that Pillow reads ({", ".join(prepare_pillow())})') from error
    except Exception as error:  # a damaged file can raise anything
        reason = str(error).partition('\n')[0] or type(error).__name__
        raise UserError(f'cannot {verb} the file: {reason}') from error


def _memory(image, file_pixels):
    """Returns the bytes of memory that decoding and converting take at most, as measured.

    Args:
      image: a ``PIL.Image`` that is not loaded yet.
      file_pixels: the pixels of the file; the image has fewer if it is halved.
    """
    is_plain = image.mode in ('RGB', 'L') and image.format in ('JPEG', 'MPO', 'PNG', 'BMP')
    memory = (8 if is_plain else 20) * image.width * image.height
    if image.info.get('progressive'):  # a JPEG that is kept as coefficients meanwhile
        memory += 2 * len(image.getbands()) * file_pixels
    return memory


def _to_rgb(image):
    if image.mode == 'RGB' and 'transparency' not in image.info:
        return image
    if image.mode == 'F':
        raise UserError('the pixels are floating-point numbers of unknown range; convert the file to 8 bits')
    if image.mode.startswith('I'):  # 16-bit gray; Pillow's own conversion clips it at 255
        image = image.convert('I').point(lambda value: value * (1 / 257) + 0.5).convert('L')
    elif image.mode in ('RGBA', 'LA', 'PA', 'La', 'RGBa') or 'transparency' in image.info:
        image = image.convert('RGBA')
        image = Image.alpha_composite(Image.new('RGBA', image.size, 'white'), image)
    return image.convert('RGB')
