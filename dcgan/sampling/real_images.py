"""The real images of a run: those that it was trained on, or others to compare its faces with."""

from typing import NamedTuple

from data.crop import CROPS
from data.order import steps_per_epoch
from data.pack import Pack, make_pack
from data.source import open_source
from dcgan.errors import UserError
from dcgan.runs.run_directory import RunDirectory
from dcgan.sampling.exported import read_exported


class RealImages(NamedTuple):
    """Real images, cropped and resized as those of a run.

    Attributes:
      name: of the data set.
      pack: a Pack.
      names: of its images.
      crop: in words: its name, and what it keeps of the first image.
      are_trained_on: whether the run was trained on these images; None if that is not known.
    """

    name: str
    pack: Pack
    names: list[str]
    crop: str
    are_trained_on: bool | None


def settings_of(run):
    """Returns the settings of a run, as config.json has them; {} for a checkpoint of TensorFlow 1, which has none.

    Args:
      run: the run directory, or an exported generator (.npz), a Path.

    Raises:
      UserError: they are damaged.
    """
    if run.suffix == '.npz' and not run.is_dir():
        return read_exported(run)[0]['config']
    return RunDirectory(run).read_config() if (run / 'config.json').exists() else {}


def crop_setting(run):
    """Returns how the images of a run were cropped, 'auto' or a name in ``CROPS``; same argument as ``settings_of``.

    Raises:
      UserError: the settings are damaged.
    """
    return settings_of(run).get('crop', 'auto')


def epoch_steps_of(run):
    """Returns the steps of an epoch of a run, as ``settings_of`` takes it; None if that is not known."""
    config = settings_of(run)
    if not {'images', 'batch_size'} <= config.keys():
        return None
    return steps_per_epoch(config['images'], config['batch_size'] * config.get('workers', 1)) or None


def open_real_images(run, size, dataset_dir, cache_dir):
    """Finds the real images for a run, and packs them if necessary.

    Args:
      run: as ``settings_of`` takes it.
      size: height and width of the generator's images, in pixels.
      dataset_dir: where they are; None is where the run had its images.
      cache_dir: folder of the packs.

    Raises:
      UserError: the images cannot be used, or it is not known where they are.
    """
    config = settings_of(run)
    if 'dataset_dir' not in config and dataset_dir is None:
        raise UserError(f'{run} does not say which images it was trained on; name them with --dataset_dir')
    crop = crop_setting(run)
    try:
        source = open_source(config['dataset_dir'] if dataset_dir is None else dataset_dir)
    except UserError as error:
        if dataset_dir is not None:
            raise
        raise UserError(f'the training images are not where they were: {error}; say where they are with --dataset_dir'
                        ) from error
    pack = make_pack(source, crop, size, cache_dir)
    are_trained_on = pack.crc32 == config['images_crc32'] if 'images_crc32' in config else None
    return real_images_of(source, pack, crop, are_trained_on)


def real_images_of(source, pack, crop, are_trained_on):
    """Returns the RealImages of a Source that were packed with a crop."""
    # A name need not be valid Unicode, and will be printed.
    names = [name.encode(errors='backslashreplace').decode() for name in source.names if name not in pack.broken]
    return RealImages(source.name, pack, names, _describe_crop(crop, pack), are_trained_on)


def open_training_images(run, size, dataset_dir, cache_dir):
    """Finds the images that a run was trained on; same arguments, result and errors as ``open_real_images``.

    Raises:
      UserError: also if the images found are not the training images.
    """
    images = open_real_images(run, size, dataset_dir, cache_dir)
    if images.are_trained_on is False:
        raise UserError(f'the {len(images.names):,} images of {images.name} are not those that the run was trained on; '
                        'say where those are with --dataset_dir')
    return images


def _describe_crop(crop, pack):
    height, width = pack.source_shape
    box = pack.rows, pack.columns
    name = next((name for name, kept in CROPS.items() if kept == box and crop == 'auto'), crop)
    return (f'{name}: rows {box[0].start}:{box[0].stop}, columns {box[1].start}:{box[1].stop} of '
            f'{width}x{height}')
