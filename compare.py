"""Proves, on the TensorFlow that is installed, that the graph is the article's, and shows a run beside the article.

    python compare.py                                               # the graph alone
    python compare.py --model_dir=runs/demo_faces                   # and runs/demo_faces/comparison/report.html
    python compare.py --model_dir=runs/demo_faces --article_figures=figures/

It builds the graph beside ``reference/``, which TensorFlow 1.15.5 wrote from the article's code, and prints what
agrees: variables, shapes, parameters, end points, and, from the same checkpoint, images, logits, gradients and five
train steps, with the largest difference of each. The exit status is 0 if all agree, 1 if not.

The report draws what the article shows, always of the same latents: the start and the faces after 2 and 5 epochs of
CelebA, which are 3,164 and 7,910 updates, with room for the article's own figures: pictures called start, epoch-2 and
epoch-5 in the folder --article_figures. It takes Matplotlib and Jinja: pip install '.[report]'.
"""

import runtime.stop  # first: it sets what TensorFlow reads when it is loaded, which takes seconds

if __name__ == '__main__':
    runtime.stop.leave_on_signals('stopped before all was compared; numbers that were measured are kept')

# isort: split

import importlib.util
import os
from pathlib import Path

import tensorflow.compat.v1 as tf
from absl import app, flags

from comparison.milestones import article_figures
from comparison.numbers import measure
from comparison.proof import prove, table, verdict
from data.errors import DataError
from data.pack import CACHE_DIR
from evaluation.opening import open_evaluator
from metrics import MetricError
from runtime.errors import RunError
from runtime.files import make_folder, write_output
from sampling.checkpoint import open_run

FLAGS = flags.FLAGS

flags.DEFINE_string('model_dir', None, 'The run to show beside the article. Unset: only the graph is proven.')
flags.DEFINE_string('out', None, 'Folder of report.html and its pictures. Unset: comparison/ in --model_dir.')
flags.DEFINE_string('article_figures', None, "Folder of the article's figures, as you saved them: start, epoch-2 and "
                    'epoch-5, ending in .png, .jpg, .gif or .webp.')
flags.DEFINE_list('metrics', None, 'As of evaluate.py; --metrics= for none.')
flags.DEFINE_string('inception_graph', None, 'As of evaluate.py.')
flags.DEFINE_string('dataset_dir', None, 'As of evaluate.py.')
flags.DEFINE_string('cache_dir', CACHE_DIR, 'As of evaluate.py.')

OF_A_RUN = ('out', 'article_figures', 'metrics', 'inception_graph', 'dataset_dir', 'cache_dir')


def compare():
    """Proves the graph and prints how; writes a report of a run, if one is named.

    Returns:
      Whether the graph is the article's.

    Raises:
      DataError: the real images cannot be used.
      MetricError: the Inception graph cannot.
      RunError: the reference, the run or the article's figures are missing or damaged, or the report cannot be written.
    """
    run = figures = None
    if FLAGS.model_dir is not None:
        _require_libraries()
        run, figures = open_run(FLAGS.model_dir), article_figures(FLAGS.article_figures)
    elif any(FLAGS[name].present for name in OF_A_RUN):
        raise RunError('these flags are of a report: --model_dir=DIR names the run that it shows')
    checks = prove()
    print(f'{table(checks)}\n{verdict(checks)}', flush=True)
    if run is not None:
        _report(run, figures, checks)
    return all(check.agrees for check in checks)


def _report(run, figures, checks):
    from comparison.gather import gather  # here, as these take libraries that the proof does without
    from comparison.report import page

    out = run / 'comparison' if FLAGS.out is None else Path(os.path.expanduser(FLAGS.out))
    make_folder(out / 'report.html', 'out')
    contents = gather(run)._replace(figures=figures, checks=checks)
    if FLAGS.metrics != []:
        with open_evaluator(run, contents.config['image_size'], FLAGS.metrics, FLAGS.dataset_dir, FLAGS.cache_dir,
                            FLAGS.inception_graph, seed=0) as evaluator:
            drawn = [milestone for milestone in contents.milestones if milestone.name in contents.grids]
            contents = contents._replace(results=measure(drawn, evaluator, out / 'numbers.json'))
    html, pictures = page(contents)
    for name, content in {**pictures, 'report.html': html}.items():
        write_output(out / name, content, 'out')
    print(f'wrote       {out / "report.html"}, and its pictures beside it')


def _require_libraries():
    missing = [name for name in ('matplotlib', 'jinja2') if importlib.util.find_spec(name) is None]
    if missing:
        raise RunError(f"a report takes {' and '.join(missing)}: pip install '.[report]'; without --model_dir, only "
                       'the graph is proven')


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected: all that can be said is said by flags, as --model_dir=DIR')
    tf.logging.set_verbosity(tf.logging.ERROR)
    with runtime.stop.answering('compare.py', DataError, MetricError, RunError):
        return 0 if compare() else 1


if __name__ == '__main__':
    app.run(main)
