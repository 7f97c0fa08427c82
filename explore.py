"""Opens a page in the browser to explore the faces of a run.

    python explore.py                                                       # the pretrained generator
    python explore.py --model_dir=runs/demo_faces                           # every checkpoint of a run
    python explore.py --model_dir=runs/demo_faces --port=8081 --nobrowser   # open the page yourself
    python explore.py --model_dir=runs/demo_faces --host=0.0.0.0            # let other machines connect
    python explore.py --allowed_hosts=example.org --root_path=/faces        # behind a proxy, at example.org/faces

The page shows faces by seed, interpolations between two, sums of latents, the nearest training images and the face
nearest to a photo, at every checkpoint. It needs NiceGUI: pip install '.[explore]'. It loads nothing from the network.
Ctrl-C stops it.
"""

import importlib.util
import socket

from absl import flags

from dcgan import cli
from dcgan.errors import UserError, reason_of

FLAGS = flags.FLAGS

cli.define_generator_flags()
cli.define_data_flags()
flags.DEFINE_string('host', '127.0.0.1', 'Address to listen on. 127.0.0.1: only this machine can connect. 0.0.0.0: '
                    'other machines can, too.')
flags.DEFINE_integer('port', 8080, 'Port to listen on.', lower_bound=1, upper_bound=65535)
flags.DEFINE_list('allowed_hosts', [], 'Additional host names to answer to, e.g. that of a proxy, faces.example.org.')
flags.DEFINE_string('root_path', '', 'Path at which a proxy shows the page, e.g. /faces.')
flags.DEFINE_bool('browser', True, 'Open the page in a browser.')


def main():
    """Serves the page until Ctrl-C."""
    from dcgan.sampling.checkpoint import open_run
    from dcgan.web.state import open_explorer

    model_dir = None if FLAGS.model_dir is None else open_run(FLAGS.model_dir)
    if importlib.util.find_spec('nicegui') is None:
        raise UserError("the page needs NiceGUI, which is not installed; pip install '.[explore]'")
    from dcgan.web.page import serve

    allowed_hosts, root_path = _proxy()
    _require_free(FLAGS.host, FLAGS.port)
    with open_explorer(model_dir, FLAGS.weights, FLAGS.dataset_dir, FLAGS.cache_dir) as state:
        host = f'[{FLAGS.host}]' if ':' in FLAGS.host else FLAGS.host
        print(f'page        http://{host}:{FLAGS.port}{root_path}/ (Ctrl-C to stop)', flush=True)
        serve(state, FLAGS.host, FLAGS.port, FLAGS.browser, allowed_hosts, root_path)


def _proxy():
    """Returns the names and the path of a proxy, as the flags give them."""
    from dcgan.web.guard import is_host_name, is_path

    names, root_path = [name.strip().lower() for name in FLAGS.allowed_hosts], FLAGS.root_path.rstrip('/')
    for name in names:
        if not is_host_name(name):
            raise UserError(f'invalid host name {name!r} in --allowed_hosts; expected e.g. faces.example.org, without '
                            'http:// and without a port')
    if root_path and not is_path(root_path):
        raise UserError(f'invalid --root_path {FLAGS.root_path!r}; expected a path, e.g. /faces')
    return names, root_path


def _require_free(host, port):
    """Checks that the address is free, before checkpoints are read."""
    if not host:
        raise UserError('--host is empty; use 127.0.0.1 for this machine alone, or 0.0.0.0 to let others connect')
    try:
        with socket.socket(socket.AF_INET6 if ':' in host else socket.AF_INET) as probe:
            probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            probe.bind((host, port))
    except OSError as error:
        raise UserError(f'cannot listen on {host}, port {port}: {reason_of(error)}; choose another --port or --host'
                        ) from error


if __name__ == '__main__':
    cli.run(main, '--model_dir=DIR', interrupt_status=0)
