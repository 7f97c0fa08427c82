"""Measures how close the faces of a checkpoint are to real images and, as a floor, real images to each other.

    python evaluate.py                                                               # the pretrained generator
    python evaluate.py --model_dir=runs/img_align_celeba                             # swd16k and msssim10k
    python evaluate.py --model_dir=runs/demo_faces --metrics=swd2k,msssim10k         # with few real images
    python evaluate.py --model_dir=runs/demo_faces --metrics=swd2k --checkpoint=all --json=numbers.json
    python evaluate.py --model_dir=runs/img_align_celeba --inception_graph=classify_image_graph_def.pb
                                                                                     # also fid50k and kid50k

Compare numbers only if metric, data, crop, resizer and batch normalization are the same. The faces are those that
sample.py draws, starting at --seed.
"""

import contextlib

from dcgan import cli
from dcgan.cli import FLAGS, flags
from dcgan.files import define_path, require_writable, write_output

cli.define_generator_flags('latest, best (by train.py --evaluate_steps), a step, all, or the path of a checkpoint.')
cli.define_data_flags()
cli.define_batch_flags()
cli.define_metric_flags()
flags.DEFINE_integer('seed', 0, 'Seed of the first face, of the split of the real images and of all random choices in '
                     'the metrics.', lower_bound=0, upper_bound=2**32 - 1)
define_path('json', None, 'Also write the numbers and their protocols to this file.')


def main():
    """Prints the metrics of the checkpoints and writes them to --json."""
    from dcgan.metrics.evaluator import open_evaluator
    from dcgan.metrics.results import format_table, to_json
    from dcgan.sampling.generator import TrainedGenerator
    from dcgan.sampling.generator_checkpoint import find, open_run, read_all

    paths = find(open_run(FLAGS.model_dir, FLAGS.pretrained), FLAGS.checkpoint)
    path = FLAGS.json
    if path is not None:
        require_writable(path, 'json')
    results, evaluator = [], None
    with contextlib.ExitStack() as stack:
        for checkpoint in read_all(paths, FLAGS.weights):
            if evaluator is None:
                evaluator = stack.enter_context(open_evaluator(
                    checkpoint.run, checkpoint.size, FLAGS.metrics, FLAGS.inception_graph, FLAGS.dataset_dir,
                    FLAGS.cache_dir, FLAGS.seed))
            with TrainedGenerator(checkpoint, FLAGS.batch_norm, FLAGS.batch_size) as generator:
                position = f'{paths.index(checkpoint.path) + 1} of {len(paths)}' if len(paths) > 1 else ''
                measured = evaluator.measure(generator, position=position)
            print(format_table(measured), flush=True)
            results += measured
            if path is not None:  # after each checkpoint: a later one may fail
                write_output(path, to_json(results), 'json')
    if path is not None:
        print(f'wrote       {path}')


if __name__ == '__main__':
    cli.run(main, '--model_dir=DIR', 'stopped before everything was measured')
