"""The real images of a run: those that it was trained on, or others to hold its faces against."""

import os
from typing import NamedTuple

from data.crop import CROPS
from data.errors import DataError
from data.pack import Pack, make_pack
from data.source import open_source
from data.stream import steps_per_epoch
from runtime.errors import RunError
from runtime.run_directory import RunDirectory
from sampling.checkpoint import read_about


class Reals(NamedTuple):
    """Real images, cropped and resized as those of a run.

    Attributes:
      name: of the data set.
      pack: a Pack.
      names: of its images.
      crop: in words: its name, and what it keeps of the first image.
      are_trained_on: whether the run was trained on these very images; None where nothing says on which it was.
    """

    name: str
    pack: Pack
    names: list[str]
    crop: str
    are_trained_on: bool | None


def config_of(run):
    """Returns the settings of a run, {} where there are none, as beside checkpoints of TensorFlow 1.

    Args:
      run: the run directory, or the .npz of an exported generator, a Path.
    """
    if run.suffix == '.npz' and not run.is_dir():
        return read_about(run)['config']
    return RunDirectory(run).read_config() if os.path.exists(run / 'config.json') else {}


def epoch_steps_of(run):
    """Returns the steps of an epoch of a run, as of ``config_of``; None where nothing says how many they are."""
    config = config_of(run)
    counts = config.get('images'), config.get('batch_size'), config.get('workers', 1)
    is_known = all(isinstance(count, int) and count > 0 for count in counts)
    return steps_per_epoch(counts[0], counts[1] * counts[2]) if is_known else None


def open_reals(run, size, dataset_dir, cache_dir):
    """Finds the real images for a run, and packs them where they are not.

    Args:
      run: as of ``config_of``.
      size: height and width of the generator's images, in pixels.
      dataset_dir: where they are; None is where those of the run were.
      cache_dir: where packs are kept.

    Raises:
      DataError: they cannot be used.
      RunError: nothing says where they are, or config.json is damaged.
    """
    config = config_of(run)
    if 'dataset_dir' not in config and dataset_dir is None:
        raise RunError(f'nothing in {run} says on which images this was trained; --dataset_dir=PATH does')
    crop = config.get('crop', 'auto')
    if crop not in ('auto', *CROPS):
        raise RunError(f'{run / "config.json"} is damaged: there is no crop {crop!r}; restore it')
    try:
        source = open_source(config['dataset_dir'] if dataset_dir is None else dataset_dir)
    except DataError as error:
        if dataset_dir is not None:
            raise
        raise DataError(f'the training images are not where they were: {error}; --dataset_dir=PATH says where they '
                        'are now') from error
    pack = make_pack(source, crop, size, cache_dir)
    # A name need be no Unicode, and is to be printed.
    names = [name.encode(errors='backslashreplace').decode() for name in source.names if name not in pack.broken]
    are_trained_on = pack.crc32 == config['images_crc32'] if 'images_crc32' in config else None
    return Reals(source.name, pack, names, _in_words(crop, pack), are_trained_on)


def open_training_images(run, size, dataset_dir, cache_dir):
    """Finds the images that a run was trained on; arguments and errors as of ``open_reals``.

    Raises:
      DataError: those that were found are others, too.
    """
    reals = open_reals(run, size, dataset_dir, cache_dir)
    if reals.are_trained_on is False:
        raise DataError(f'the {len(reals.names):,} images of {reals.name} are not those that the run was trained on; '
                        '--dataset_dir says where those are')
    return reals


def _in_words(crop, pack):
    height, width = pack.source_shape
    kept = pack.rows, pack.columns
    name = next((name for name, box in CROPS.items() if box == kept and crop == 'auto'), crop)
    return (f'{name}: rows {kept[0].start}:{kept[0].stop}, columns {kept[1].start}:{kept[1].stop} of '
            f'{width}x{height}')
