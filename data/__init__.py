"""Image files -> a uint8 pack, made once -> a stream of float batches, computed from (seed, step)."""

from data.crop import CROPS, crop_of
from data.errors import DataError
from data.pack import Pack, make_pack
from data.source import Source, open_source
from data.stream import batch_indices, steps_per_epoch, stream

__all__ = ['CROPS', 'DataError', 'Pack', 'Source', 'batch_indices', 'crop_of', 'make_pack', 'open_source',
           'steps_per_epoch', 'stream']
