"""What all commands share: flags, parsed before TensorFlow is loaded; answers to signals and user errors."""

import gc
import os
import re
import signal
import sys
import tempfile
from pathlib import Path

from absl import flags

from dcgan import configure
from dcgan.errors import UserError
from dcgan.files import CACHE_DIR, define_path
from dcgan.sampling import BATCH_NORMS, PRETRAINED, WEIGHTS
from dcgan.signals import SIGPIPE, exit_now, handling_stop_signals, say
from dcgan.streams import protect_standard_streams

FLAGS = flags.FLAGS

flags.DEFINE_bool('help', False, 'Show this help.', short_name='h')
flags.disclaim_key_flags()  # those that functions below define are shown in the help of the command that calls them


def define_generator_flags(checkpoint_help=None):
    """Defines the flags that name a generator; --checkpoint only if its help is given."""
    define_path('model_dir', None, 'Run directory, as train.py made it. Default: a pretrained generator.')
    flags.DEFINE_enum('pretrained', None, PRETRAINED, 'Pretrained generator. celeba: faces of people, for '
                      'non-commercial research. demo: computer-made faces, in the public domain. Default: celeba.')
    exclude('model_dir', 'pretrained')
    define_weights_flag()
    if checkpoint_help is not None:
        flags.DEFINE_string('checkpoint', 'latest', checkpoint_help)


def exclude(*names):
    """Allows at most one of some flags."""
    flags.register_multi_flags_validator(
        names, lambda values: sum(value is not None for value in values.values()) < 2,
        f'{" and ".join(f"--{name}" for name in names)} exclude each other; give one of them')


def define_weights_flag():
    """Defines the flag that says which weights a generator draws with."""
    flags.DEFINE_enum('weights', 'auto', WEIGHTS, 'trained: as training left them. ema: their moving averages, which '
                      'train.py keeps with --ema_decay. auto: ema if the checkpoint has them, else trained.')


def define_data_flags():
    """Defines the flags that say where real images and caches are."""
    define_path('dataset_dir', None, 'Real images: a folder, .zip, .tar or .parquet files. Default: those the run was '
                'trained on.')
    define_path('cache_dir', CACHE_DIR, 'Folder of the packs of decoded images and other cached files.')


def define_batch_flags():
    """Defines the flags that say how batches are drawn."""
    flags.DEFINE_enum('batch_norm', 'population', BATCH_NORMS, 'Statistics for batch normalization. population: those '
                      'of many fixed latents, so that a face does not depend on the others. batch: those of the images '
                      'drawn at once, as in the article. moving: the moving averages of training, which lag behind.')
    flags.DEFINE_integer('batch_size', 128, 'Maximum number of images to draw at once.', lower_bound=1)


def define_metric_flags():
    """Defines the flags that say what is measured."""
    flags.DEFINE_list('metrics', None, 'swd, msssim, fid, kid, each with a sample size, e.g. swd16k,msssim10k. '
                      'Default: swd16k,msssim10k and, with --inception_graph, fid50k,kid50k; smaller samples if there '
                      'are fewer real images.')
    define_path('inception_graph', None, 'classify_image_graph_def.pb, the Inception network of 2015, for fid and kid.')


def run(main, example, stopped='stopped', interrupt_status=128 + signal.SIGINT):
    """Runs a command and exits with its status.

    Args:
      main: function of no arguments; loads what needs TensorFlow, and returns an exit status or None.
      example: a flag to suggest if an argument is not a flag.
      stopped: what to print when a signal ends the command.
      interrupt_status: the exit status after Ctrl-C.
    """
    def leave(number, frame):
        status = interrupt_status if number == signal.SIGINT else 128 + number
        signal.signal(number, lambda *_: exit_now(status))  # a second one ends the process at once
        # Python ignores what is raised in a destructor, where a signal may find it, too.
        sys.unraisablehook = lambda unraisable: unraisable.exc_type is SystemExit and exit_now(status)
        say(stopped)
        if is_loading:  # there is nothing to clean up, and a module may catch everything
            exit_now(status)
        sys.exit(status)

    protect_standard_streams()
    script = Path(sys.argv[0]).name
    is_loading = True
    with handling_stop_signals(leave):
        try:
            _parse_flags(script, example)
            _load_tensorflow()
            is_loading = False
            status = main()
            sys.stdout.flush()
        except UserError as error:
            sys.exit(f'{script}: {error}')
        except BrokenPipeError:  # nobody reads the output
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
            sys.exit(128 + SIGPIPE)
        finally:
            FLAGS['help'].unparse()  # a notebook may run commands one after the other
            for flag in FLAGS.get_flags_for_module('__main__'):
                delattr(FLAGS, flag.name)
        sys.exit(status)


def _parse_flags(script, example):
    try:
        _, *arguments = FLAGS(sys.argv)
    except (flags.Error, ValueError) as error:
        message = re.sub('^flags .*?: (?=--)|^flag (?=--)', '', str(error))
        message = re.sub('invalid literal for int.*', 'expected a whole number', message)
        sys.exit(f'{script}: {re.sub("could not convert .*", "expected a number", message)}; --help lists the flags')
    if FLAGS.help:
        print(sys.modules['__main__'].__doc__.strip())
        print(FLAGS.main_module_help())
        sys.exit(0)
    if arguments:
        sys.exit(f'{script}: unexpected argument {arguments[0]!r}; use flags, e.g. {example}')


def _load_tensorflow():
    """Imports TensorFlow. What it logs meanwhile is shown only if that fails."""
    gc.disable()  # what is loaded stays; looking for garbage in it takes half a second
    with tempfile.TemporaryFile() as log:
        stderr = os.dup(2)
        os.dup2(log.fileno(), 2)
        try:
            configure()
        except BaseException:
            log.seek(0)
            os.write(stderr, log.read())
            raise
        finally:
            os.dup2(stderr, 2)
            os.close(stderr)
    gc.freeze()
    gc.enable()
