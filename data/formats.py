"""Which files are images: by their suffix if it is a usual one, else by their first bytes."""

import contextlib
import functools
import re

from PIL import Image, features

# Files with these suffixes are taken for images without a look at them, so that large data sets open quickly.
SUFFIXES = ('.jpg', '.jpeg', '.jfif', '.png', '.webp', '.bmp', '.gif', '.tif', '.tiff')
# Raw files of cameras begin like a TIFF image, but what Pillow finds in them is a thumbnail.
RAW_SUFFIXES = ('.nef', '.nrw', '.cr2', '.dng', '.arw', '.srf', '.sr2', '.pef', '.3fr', '.iiq', '.erf', '.mef', '.kdc',
                '.dcr')
# What systems and programs keep beside a user's files: metadata, thumbnails, deleted files. In lower case.
SYSTEM_NAMES = frozenset(('__macosx', '@eadir', '@tmp', '@recycle', '#recycle', '#snapshot', '$recycle.bin', 'recycler',
                          'recycled', 'system volume information', 'lost+found', 'found.000', 'thumbs.db',
                          'desktop.ini'))
HEAD_BYTES = 32  # tell the format
LFS_POINTER = b'version https://git-lfs'  # what stands in a file's place until git lfs pull downloads it
MAX_PIXELS = 1 << 28  # 16384 x 16384; more may be a decompression bomb
SIGNATURES = {  # how the files of a format begin
    'JPEG': rb'\xff\xd8\xff',
    'PNG': rb'\x89PNG\r\n\x1a\n',
    'WEBP': rb'RIFF.{4}WEBP',
    'GIF': rb'GIF8[79]a',
    'TIFF': rb'II[*+]\0|MM\0[*+]',
    'BMP': rb'BM.{12}[\x0c\x10\x28\x34\x38\x40\x6c\x7c]\0\0\0',  # a text may begin with BM, too
    'AVIF': rb'.{4}ftyp(.{4})*avi[fs]',
    'HEIF': rb'.{4}ftyp(.{4})*(hei[cxms]|hevc|mif1)',
}

# What may hold images, but is not read: a pattern of its name, what it is, what to do.
CONTAINERS = (
    (r'\.(zip|tar|7z|rar)\.\d+$|\.[zr]\d\d$', 'part of a split archive', 'join all parts, unpack them, use the folder'),
    (r'\.(tar\.\w+|t[gbx]z2?|7z|rar|gz|bz2|xz|zst)$', 'compressed archive', 'unpack it and use the folder'),
    (r'\.(tfrecords?|lmdb|mdb|arrow|feather|npy|npz|h5|hdf5|rec|beton|pkl)\b', 'data set of another program',
     'export its images as files, or as .parquet'))

NOT_IMAGE = 'not an image'
HIDDEN = 'hidden or of the system'
RAW = 'raw file of a camera'


@functools.cache
def prepare_pillow():
    """Prepares Pillow; returns the decoders to try. Some others run programs (EPS) or are not for photographs."""
    Image.MAX_IMAGE_PIXELS = MAX_PIXELS  # its own limit is lower than the pixels of some cameras
    with contextlib.suppress(Exception):  # a plug-in that is not installed, or does not fit this Pillow
        from pillow_heif import register_heif_opener
        register_heif_opener()
    return ('JPEG', 'PNG', 'WEBP', 'BMP', 'GIF', 'TIFF',
            *(['AVIF'] if 'avif' in features.get_supported_modules() else []),
            *(['HEIF'] if 'HEIF' in Image.OPEN else []))


def format_of(head):
    """Returns the name of a file's format, from its first ``HEAD_BYTES`` bytes; None if it is not an image."""
    return next((format for format, begin in SIGNATURES.items() if re.match(begin, head, re.DOTALL)), None)


def is_hidden(name):
    """Returns whether a file or folder of that name (not path) is hidden, or is the system's own."""
    return (name.startswith('.') and name not in ('.', '..')) or name.lower() in SYSTEM_NAMES


def reason_to_skip(name, read_head):
    """Returns why a file is not among the images, as text; None if it is.

    Args:
      name: the path of the file within its folder or archive, with forward slashes.
      read_head: function that returns its first ``HEAD_BYTES`` bytes; called only where the suffix does not tell.
    """
    if any(map(is_hidden, name.split('/'))):
        return HIDDEN
    suffixed = name.lower()
    if suffixed.endswith(SUFFIXES):
        return None
    if suffixed.endswith(RAW_SUFFIXES):
        return RAW
    format = format_of(read_head())
    if format is None:
        return next((kind for pattern, kind, _ in CONTAINERS if re.search(pattern, suffixed)), NOT_IMAGE)
    if format not in prepare_pillow():
        return f'{format}, which needs {"pillow-heif" if format == "HEIF" else "a newer Pillow"}'
    return None
