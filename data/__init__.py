"""Image files -> a uint8 pack, made once -> a stream of float batches, computed from (seed, step).

``data.stream``, which needs TensorFlow, and ``data.celeba``, which is a script too, are imported by their own names.
"""

from data.crop import CROPS, crop_of
from data.errors import DataError
from data.pack import Pack, make_pack
from data.source import Source, open_source

__all__ = ['CROPS', 'DataError', 'Pack', 'Source', 'crop_of', 'make_pack', 'open_source']
