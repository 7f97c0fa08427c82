"""What the page shows of a run."""

import contextlib
from typing import NamedTuple

from tqdm import tqdm

from data.errors import DataError
from runtime.errors import RunError
from sampling.checkpoint import find, read_all
from sampling.draw import moment
from sampling.generator import TrainedGenerator
from sampling.reals import Reals, epoch_steps_of, open_training_images


class Shown(NamedTuple):
    """A run, ready to draw at every checkpoint that is kept.

    Attributes:
      name: the run directory.
      generators: TrainedGenerators, in the order of training, at least one.
      moments: in words, when in training each was.
      reals: the Reals that the run was trained on, or in words why they are not at hand.
    """

    name: str
    generators: list[TrainedGenerator]
    moments: list[str]
    reals: Reals | str


@contextlib.contextmanager
def opened(run, kind, dataset_dir, cache_dir):
    """Returns, as a context, the Shown of a run; says which checkpoints it passes over.

    Args:
      run: the run directory, a Path; None is the pretrained generator.
      kind: of the weights, as of ``read``.
      dataset_dir, cache_dir: as of ``open_reals``.

    Raises:
      DataError: the images in ``dataset_dir``, if that is given, are not those that the run was trained on.
      RunError: there is no checkpoint that can be drawn from.
    """
    with contextlib.ExitStack() as stack:
        found = find(run, 'latest' if run is None else 'all')
        checkpoints = read_all(tqdm(found, desc='checkpoints', unit=' checkpoints'), kind)
        generators = [stack.enter_context(TrainedGenerator(trained)) for trained in checkpoints]
        source = generators[0].trained.source
        epoch_steps = epoch_steps_of(source)
        moments = [moment(generator.trained.step, epoch_steps) for generator in generators]
        yield Shown(found[0].stem if run is None else str(run), generators, moments,
                    _reals(source, generators[0].size, dataset_dir, cache_dir))


def _reals(run, size, dataset_dir, cache_dir):
    try:
        return open_training_images(run, size, dataset_dir, cache_dir)
    except (DataError, RunError) as error:
        if dataset_dir is not None:
            raise
        return str(error)
