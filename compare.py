"""Proves that model.py builds the article's graph on the installed TensorFlow; compares a run with the article.

    python compare.py                                               # the graph alone
    python compare.py --model_dir=runs/demo_faces                   # and runs/demo_faces/comparison/report.html
    python compare.py --model_dir=runs/demo_faces --article_figures=figures/

It compares the graph with ``reference/``, which TensorFlow 1.15.5 wrote from the article's code: variables, shapes,
parameters, end points and, from the same checkpoint, images, logits, gradient norms and five train steps. The exit
status is 0 if all agree, 1 if not.

The report shows what the article shows: faces at the start and after 2 and 5 epochs of CelebA (3,164 and 7,910
updates), always from the same latents and from the weights that the run keeps (averaged ones if there are any), next to
the article's own figures. Those are not part of this project: save them as start.png, epoch-2.png and epoch-5.png in a
folder, and name it with --article_figures.
"""

from dcgan import cli
from dcgan.cli import FLAGS
from dcgan.errors import UserError
from dcgan.files import define_path, require_writable, write_output

define_path('model_dir', None, 'Run to compare with the article. Default: only prove the graph.')
define_path('out', None, 'Folder for report.html and its pictures. Default: comparison/ in --model_dir.')
define_path('article_figures', None, "Folder of the article's figures: start, epoch-2 and epoch-5, as .png, .jpg, "
            '.gif or .webp.')
cli.define_weights_flag()
cli.define_data_flags()
cli.define_metric_flags()

REPORT_FLAGS = ('out', 'article_figures', 'weights', 'metrics', 'inception_graph', 'dataset_dir', 'cache_dir')


def main():
    """Proves the graph and, with --model_dir, writes a report; returns the exit status."""
    from dcgan.comparison.milestones import article_figures
    from dcgan.comparison.proof import format_table, prove_in_child, verdict
    from dcgan.sampling.generator_checkpoint import open_run

    run = None
    if FLAGS.model_dir is not None:
        run, figures = open_run(FLAGS.model_dir), article_figures(FLAGS.article_figures)
    elif given := [name for name in REPORT_FLAGS if FLAGS[name].present]:
        raise UserError(f'{", ".join(f"--{name}" for name in given)} needs a run to report; name it with --model_dir')
    checks = prove_in_child()
    print(f'{format_table(checks)}\n{verdict(checks)}', flush=True)
    if run is not None:
        _write_report(run, figures, checks)
    return 0 if all(check.agrees for check in checks) else 1


def _write_report(run, figures, checks):
    from dcgan.comparison.milestones import drawn, measured
    from dcgan.comparison.report import page, read_settings
    from dcgan.metrics.evaluator import open_evaluator

    out = run / 'comparison' if FLAGS.out is None else FLAGS.out
    require_writable(out / 'report.html', 'out')
    config = read_settings(run)
    milestones = drawn(run, FLAGS.weights)
    if FLAGS.metrics != []:
        with open_evaluator(run, config['image_size'], FLAGS.metrics, FLAGS.inception_graph, FLAGS.dataset_dir,
                            FLAGS.cache_dir) as evaluator:
            milestones = measured(milestones, evaluator, out / 'numbers.json')
    html, pictures = page(run, config, milestones, figures, checks)
    for name, content in {**pictures, 'report.html': html}.items():
        write_output(out / name, content, 'out')
    print(f'wrote       {out / "report.html"} and its pictures')


if __name__ == '__main__':
    cli.run(main, '--model_dir=DIR', 'stopped before everything was compared; the numbers measured so far are kept')
