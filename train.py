"""Trains the article's DCGAN.

    python train.py                                    # a quarter-width model on the embedded faces, within minutes
    python train.py --dataset_dir=img_align_celeba     # the article's run: a folder of images, or a .zip of one
    python train.py --preset=article                   # the article's model on the embedded faces
    python train.py --epochs=120 --sample_steps=50     # longer, with grids more often

--model_dir will hold config.json, checkpoints, TensorBoard events, log.jsonl, reals.png and, in samples/, 8x8 grids:
before the first step, after steps 100, 200, 500 and 1000, after epochs (at least 100 steps apart) and after the last
step. Ctrl-C saves, draws and stops; the same command resumes, and flags that you omit keep their values. Started on
several machines, by Slurm's srun or with the environment variable TF_CONFIG, it trains one model on all of them.
"""

import signal

from data.source import dataset_name
from dcgan import cli
from dcgan.cli import FLAGS, flags
from dcgan.files import CACHE_DIR, define_path
from dcgan.runs import settings
from dcgan.runs.run_directory import RunDirectory, default_model_dir

settings.define_flags()
define_path('model_dir', None, "Run directory. Default: runs/<the data set's name>.")
define_path('cache_dir', CACHE_DIR, 'Folder of the packs of decoded images.')
flags.DEFINE_float('join_timeout', 45.0, 'Seconds to wait for all workers to join.', lower_bound=1.0)


def model_dir_from(values):
    """Returns the Path of the run directory that parsed flags give."""
    return values.model_dir or default_model_dir(dataset_name(values.dataset_dir))


def config_from(values):
    """Returns the Config that parsed flags give, with config.json of the run to resume."""
    directory = RunDirectory(model_dir_from(values))
    recorded = directory.read_config() if directory.has_checkpoints() else {}
    return settings.config_of(values, recorded)


def main():
    """Trains; returns the exit status."""
    import tensorflow as tf

    from dcgan.training.loop import train

    config = config_from(FLAGS)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    number = train(config, model_dir_from(FLAGS), FLAGS.cache_dir, FLAGS.join_timeout)
    if number is None:
        return 0
    print('stopped; run the same command again to resume')
    # Ctrl-C is a deliberate stop. To a scheduler that sent another signal, 0 would mean "done, do not restart".
    return 0 if number == signal.SIGINT else 128 + number


if __name__ == '__main__':
    cli.run(main, '--dataset_dir=PATH', 'stopped before the first step; run the same command again', 0)
