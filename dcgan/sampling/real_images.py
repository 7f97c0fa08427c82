"""The real images of a run, those that it was trained on or others, and those that are nearest to a face."""

from typing import NamedTuple

import numpy as np

from data.crop import CROPS
from data.order import steps_per_epoch
from data.pack import Pack, make_pack
from data.source import open_source
from dcgan.errors import UserError
from dcgan.progress import Progress
from dcgan.runs.run_directory import RunDirectory
from dcgan.sampling.exported import read_exported

BLOCK = 16  # images at once, which the processor's cache holds


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
    crop = config.get('crop', 'auto')
    try:
        source = open_source(config['dataset_dir'] if dataset_dir is None else dataset_dir, config.get('image_column'))
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


def nearest(faces, images, count):
    """Finds the images nearest to each face by Euclidean distance between pixels.

    Args:
      faces: uint8 [m, size, size, 3].
      images: uint8 [n, size, size, 3], e.g. those of a pack.
      count: images to find for each face; all, if there are fewer.

    Returns:
      Their indices, int64 [m, k], the nearest first, and their distances, float32 [m, k]: the root mean square
      difference, in gray levels (0 to 255).
    """
    faces = faces.reshape(len(faces), -1).astype(np.float32)
    squares = np.empty([len(faces), len(images)], np.float32)
    with Progress('comparing', len(images), 'images', delay=1) as bar:
        for start in range(0, len(images), BLOCK):
            block = images[start:start + BLOCK].reshape(-1, faces.shape[1]).astype(np.float32)
            for face, of_face in zip(faces, squares, strict=True):  # on processors, faster than by a matrix product
                difference = block - face
                of_face[start:start + BLOCK] = np.einsum('ij,ij->i', difference, difference)
            bar.update(len(block))
    found = np.stack([np.argsort(of_face, kind='stable')[:count] for of_face in squares])
    return found, np.sqrt(np.take_along_axis(squares, found, axis=1) / faces.shape[1])


def _describe_crop(crop, pack):
    height, width = pack.source_shape
    rows, columns = pack.rows, pack.columns
    name = next((name for name, kept in CROPS.items() if kept == (rows, columns) and crop == 'auto'), crop)
    return f'{name}: rows {rows.start}:{rows.stop}, columns {columns.start}:{columns.stop} of {width}x{height}'
