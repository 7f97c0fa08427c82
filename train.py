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

import math
import os

from absl import flags

from data.crop import CROPS
from data.source import dataset_name
from dcgan import cli
from dcgan.files import CACHE_DIR, local_path
from dcgan.runs.config import DEFAULTS, MAX_IMAGE_SIZE, PRECISIONS, PRESETS, Config, resolve
from dcgan.runs.run_directory import RunDirectory, default_model_dir
from dcgan.signals import exit_status

FLAGS = flags.FLAGS

flags.DEFINE_string('dataset_dir', None, 'Images: a folder, searched at any depth, a .zip or .tar, or .parquet files. '
                    'Default: the embedded faces.')
flags.DEFINE_string('model_dir', None, "Run directory. Default: runs/<the data set's name>.")
flags.DEFINE_string('cache_dir', CACHE_DIR, 'Folder of the packs of decoded images.')
flags.DEFINE_enum('preset', None, PRESETS, 'Defaults of --g_depths, --d_depths, --batch_size, --epochs and '
                  '--ema_decay. article: 1024,512,256,128; 64,128,256,512; 128; 5; none. demo: 256,128,64,32; '
                  '32,64,128,256; 64; 60; 0.999. Default: article with --dataset_dir, demo without.')
flags.DEFINE_integer('image_size', 64, 'Height and width of the images in pixels, a multiple of 16.', lower_bound=16,
                     upper_bound=MAX_IMAGE_SIZE)
flags.DEFINE_enum('crop', 'auto', ['auto', *CROPS], 'Part of each image to keep. auto: center108 of images of the size '
                  'of aligned CelebA, the largest centered square of others.')
flags.DEFINE_bool('mirror', False, 'Mirror each image in about half of the epochs, at random.')
flags.DEFINE_integer('batch_size', None, "Images per step, on each worker. Default: the preset's.", lower_bound=1)
flags.DEFINE_integer('z_dim', 100, 'Length of a latent.', lower_bound=1)
flags.DEFINE_list('g_depths', None, "Channels of the generator's four hidden layers. Default: the preset's.")
flags.DEFINE_list('d_depths', None, "Channels of the discriminator's four layers. Default: the preset's.")
flags.DEFINE_integer('epochs', None, "Passes over the images. Default: the preset's.", lower_bound=1)
flags.DEFINE_integer('max_steps', None, 'Stop after this many steps, if that comes before --epochs.', lower_bound=1)
flags.DEFINE_float('learning_rate', 0.0002, 'Learning rate of both Adam optimizers.', lower_bound=0.0)
flags.DEFINE_float('d_learning_rate', None, "Learning rate of the discriminator's optimizer. Default: --learning_rate.",
                   lower_bound=0.0)
flags.DEFINE_float('beta1', 0.5, 'beta1 of both Adam optimizers.', lower_bound=0.0, upper_bound=0.9999)
flags.DEFINE_float('ema_decay', None, "Decay of an exponential moving average of the generator's weights, from which "
                   "samples are drawn, e.g. 0.999; 0 for none. Default: the preset's.",
                   lower_bound=0.0, upper_bound=0.999999)
flags.DEFINE_string('init_checkpoint', None, 'Start from the weights of this checkpoint or run, of this project or of '
                    'TensorFlow 1; the optimizers start fresh.')
flags.DEFINE_integer('seed', 0, 'Determines the initial weights, the order of the images and all latents.',
                     lower_bound=0, upper_bound=2**31 - 1)
flags.DEFINE_enum('precision', 'float32', PRECISIONS, 'Precision of matrix products and convolutions: bfloat16 for '
                  'CPUs, float16 for GPUs.')
flags.DEFINE_bool('xla', False, 'Compile the graph with XLA, on a GPU.')
flags.DEFINE_bool('deterministic', False, 'Use deterministic ops on a GPU. On a CPU, all ops are deterministic.')
flags.DEFINE_integer('sample_steps', None, 'Also draw a grid every N steps.', lower_bound=1)
flags.DEFINE_integer('save_steps', 250, "Save a checkpoint every N steps, in addition to steps 0, 3164 and 7910 (the "
                     "article's moments) and the end of epochs 1, 2, 5, 10, 20, 30, ...", lower_bound=1)
flags.DEFINE_integer('log_steps', 10, 'Log losses and speed every N steps.', lower_bound=1)
flags.DEFINE_integer('evaluate_steps', None, 'Measure swd2k and msssim2k every N steps, and keep the checkpoint with '
                     'the lowest swd2k, for sample.py --checkpoint=best. Training pauses meanwhile.', lower_bound=1)
flags.DEFINE_float('join_timeout', 45.0, 'Seconds to wait for all workers to join.', lower_bound=1.0)


def config_from(values):
    """Returns the Config that parsed flags give, with config.json of the run to resume."""
    given = {name: values[name].value for name in Config._fields if values[name].present}
    if given.get('dataset_dir'):  # an empty one is refused later
        given['dataset_dir'] = os.path.realpath(local_path(given['dataset_dir'], 'dataset_dir'))
    if 'init_checkpoint' in given:
        given['init_checkpoint'] = os.path.realpath(local_path(given['init_checkpoint'], 'init_checkpoint'))
    for name in {'g_depths', 'd_depths'} & given.keys():
        given[name] = [int(depth) for depth in given[name]]
    if given.get('ema_decay') == 0:
        given['ema_decay'] = None
    directory = RunDirectory(values.model_dir or default_model_dir(dataset_name(given.get('dataset_dir'))))
    recorded = {**DEFAULTS, **directory.read_config()} if directory.has_checkpoints() else {}
    return resolve(given, values.preset, values.flag_values_dict(), recorded)


def main():
    """Trains; returns the exit status."""
    import tensorflow as tf

    from dcgan.training.loop import train

    config = config_from(FLAGS)
    if config.deterministic:
        tf.config.experimental.enable_op_determinism()
    number = train(config, FLAGS.model_dir, FLAGS.cache_dir, FLAGS.join_timeout)
    if number is None:
        return 0
    print('stopped; run the same command again to resume')
    return exit_status(number)


for name in 'g_depths', 'd_depths':
    flags.register_validator(name, lambda depths: depths is None or (
        len(depths) == 4 and all(depth.isdecimal() and int(depth) > 0 for depth in depths)),
        'expected four whole numbers above 0, e.g. 64,32,16,8')
for name in 'learning_rate', 'd_learning_rate', 'beta1', 'ema_decay':
    flags.register_validator(name, lambda value: value is None or math.isfinite(value), 'expected a finite number')
flags.register_validator('image_size', lambda size: size % 16 == 0, 'expected a multiple of 16')


if __name__ == '__main__':
    cli.run(main, '--dataset_dir=PATH', 'stopped before the first step; run the same command again', 0)
