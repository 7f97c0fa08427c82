"""Measures how near the faces of a run are to real images, beside a floor: how near other real images are.

    python evaluate.py --model_dir=runs/img_align_celeba                             # swd16k and msssim10k
    python evaluate.py --model_dir=runs/demo_faces --metrics=swd2k,msssim10k         # of fewer real images
    python evaluate.py --model_dir=runs/demo_faces --metrics=swd2k --checkpoint=all --json=numbers.json
    python evaluate.py --model_dir=runs/img_align_celeba --inception_graph=classify_image_graph_def.pb
                                                                                     # fid50k and kid50k, too

A number stands for its protocol: it compares with others of the same name, data, crop, resizer and statistics of batch
normalisation, and with no others. The faces are those of the seeds from --seed on, which sample.py draws.
"""

import runtime.stop  # first: it sets what TensorFlow reads when it is loaded, which takes seconds

if __name__ == '__main__':
    runtime.stop.leave_on_signals('stopped before all was measured')

# isort: split

import contextlib
import os
from pathlib import Path

import tensorflow.compat.v1 as tf
from absl import app, flags

from data.errors import DataError
from data.pack import CACHE_DIR
from evaluation.opening import open_evaluator
from evaluation.record import as_json
from evaluation.table import table
from metrics.errors import MetricError
from runtime.errors import RunError
from runtime.files import make_folder, write_output
from sampling.checkpoint import WEIGHTS, WEIGHTS_HELP, find, open_run, read, read_all
from sampling.generator import BATCH_NORMS, TrainedGenerator

FLAGS = flags.FLAGS

flags.DEFINE_string('model_dir', None, 'The run directory that train.py made. Unset: the pretrained generator.')
flags.DEFINE_string('checkpoint', 'latest', 'latest; a step; all; or the path of one.')
flags.DEFINE_string('dataset_dir', None, 'The real images. Unset: those that the run was trained on.')
flags.DEFINE_string('cache_dir', CACHE_DIR, 'Where the packs of decoded images and the features of real images are '
                    'kept, and temporary files lie.')
flags.DEFINE_list('metrics', None, 'swd, msssim, fid, kid, each with a sample size, as swd16k,msssim10k,swd500. Unset: '
                  'swd16k,msssim10k, and with --inception_graph fid50k,kid50k; of fewer real images as many as leave a '
                  'floor.')
flags.DEFINE_string('inception_graph', None, 'classify_image_graph_def.pb, the Inception network of 2015, for fid and '
                    'kid.')
flags.DEFINE_enum('batch_norm', 'population', BATCH_NORMS, 'As of sample.py.')
flags.DEFINE_enum('weights', 'auto', WEIGHTS, WEIGHTS_HELP)
flags.DEFINE_integer('batch_size', 128, 'Images drawn at once, at the most.', lower_bound=1)
flags.DEFINE_integer('seed', 0, 'The first seed of the faces. It also decides how real images are split, and which '
                     'patches are taken.', lower_bound=0, upper_bound=2**32 - 1)
flags.DEFINE_string('json', None, 'Also write the numbers and their protocols into this file, in place of what it '
                    'holds.')


def evaluate():
    """Measures what the flags ask for, prints it, and writes it if asked.

    Raises:
      DataError: the real images cannot be used.
      MetricError: the Inception graph cannot.
      RunError: there is no such checkpoint, there are too few real images, or a file cannot be written.
    """
    model_dir = None if FLAGS.model_dir is None else open_run(FLAGS.model_dir)
    found = find(model_dir, FLAGS.checkpoint)
    path = None if FLAGS.json is None else Path(os.path.expanduser(FLAGS.json))
    if path is not None:
        make_folder(path, 'json')
    results, evaluator = [], None
    with contextlib.ExitStack() as stack:
        for trained in read_all(found, FLAGS.weights) if FLAGS.checkpoint == 'all' else [read(found[0], FLAGS.weights)]:
            if evaluator is None:
                evaluator = stack.enter_context(open_evaluator(
                    trained.source, trained.size, FLAGS.metrics, FLAGS.dataset_dir, FLAGS.cache_dir,
                    FLAGS.inception_graph, FLAGS.seed))
            with TrainedGenerator(trained, FLAGS.batch_norm, FLAGS.batch_size) as generator:
                measured = evaluator.measure(generator)
            print(table(measured), flush=True)
            results += measured
            if path is not None:  # what is measured stays, whatever comes
                write_output(path, as_json(results), 'json')
    if path is not None:
        print(f'wrote       {path}')


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected: all that can be said is said by flags, as --model_dir=DIR')
    tf.logging.set_verbosity(tf.logging.ERROR)
    with runtime.stop.answering('evaluate.py', DataError, MetricError, RunError):
        evaluate()


if __name__ == '__main__':
    app.run(main)
