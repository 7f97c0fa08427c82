"""Opens a page in the browser to play with the faces of a run.

    python explore.py                                                       # the pretrained generator
    python explore.py --model_dir=runs/demo_faces                           # on http://127.0.0.1:8080/, for you alone
    python explore.py --model_dir=runs/demo_faces --port=8081 --nobrowser   # open the page yourself
    python explore.py --model_dir=runs/demo_faces --host=0.0.0.0            # for everyone who reaches this machine

Faces by seed, what lies between two of them, their sums and the nearest training images, at every checkpoint that is
kept. It takes NiceGUI: pip install '.[explore]'. Nothing comes from the network. Ctrl-C ends it.
"""

import runtime.stop  # first: it sets what TensorFlow reads when it is loaded, which takes seconds

if __name__ == '__main__':
    runtime.stop.leave_on_signals('stopped', interrupt_status=0)

# isort: split

import importlib.util
import socket

import tensorflow.compat.v1 as tf
from absl import app, flags

from data.errors import DataError
from data.pack import CACHE_DIR
from exploring.shown import opened
from runtime.errors import RunError, reason_of
from sampling.checkpoint import WEIGHTS, WEIGHTS_HELP, open_run

FLAGS = flags.FLAGS

flags.DEFINE_string('model_dir', None, 'The run directory that train.py made. Unset: the pretrained generator.')
flags.DEFINE_enum('weights', 'auto', WEIGHTS, WEIGHTS_HELP)
flags.DEFINE_string('host', '127.0.0.1', 'Where the page is to be had: this machine alone; 0.0.0.0 is everywhere.')
flags.DEFINE_integer('port', 8080, 'At which port.', lower_bound=1, upper_bound=65535)
flags.DEFINE_bool('browser', True, 'Open the page in the browser of this machine.')
flags.DEFINE_string('dataset_dir', None, 'Where the training images are. Unset: where they were.')
flags.DEFINE_string('cache_dir', CACHE_DIR, 'Where the packs of decoded images are kept.')


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f'{argv[1]} is not expected: all that can be said is said by flags, as --model_dir=DIR')
    tf.logging.set_verbosity(tf.logging.ERROR)
    with runtime.stop.answering('explore.py', DataError, RunError):
        run = None if FLAGS.model_dir is None else open_run(FLAGS.model_dir)
        serve = _server()
        _require_free(FLAGS.host, FLAGS.port)
        with opened(run, FLAGS.weights, FLAGS.dataset_dir, FLAGS.cache_dir) as shown:
            host = f'[{FLAGS.host}]' if ':' in FLAGS.host else FLAGS.host
            print(f'page        http://{host}:{FLAGS.port}/, until Ctrl-C ends it', flush=True)
            serve(shown, FLAGS.host, FLAGS.port, FLAGS.browser)


def _server():
    """Returns what serves the page, for which a library is needed that not all have."""
    if importlib.util.find_spec('nicegui') is None:
        raise RunError("the page is made by NiceGUI, which is not installed: pip install '.[explore]' does that")
    from exploring.page import serve
    return serve


def _require_free(host, port):
    """Asks for the place where the page is to be had, before checkpoints are read."""
    if not host:
        raise RunError('--host is empty; 127.0.0.1 is this machine alone, 0.0.0.0 everyone who reaches it')
    try:
        with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise RunError(f'the page cannot be at {host}, port {port}: {reason_of(error)}; --port and --host name another '
                       'place') from error


if __name__ == '__main__':
    app.run(main)
