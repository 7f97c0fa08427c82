"""Opens a page in the browser to explore the faces of a run.

    python explore.py                                                       # the pretrained generator
    python explore.py --model_dir=runs/demo_faces                           # every checkpoint of a run
    python explore.py --model_dir=runs/demo_faces --port=8081 --nobrowser   # open the page yourself
    python explore.py --host=0.0.0.0 --auth=login.txt                       # let others connect, with a password
    python explore.py --allowed_hosts=example.org --root_path=/faces        # behind a proxy, at example.org/faces

The page shows faces by seed, interpolations, sums, films, the nearest training images and the face nearest to a photo,
at every checkpoint. It needs Gradio: pip install '.[explore]'. It loads nothing from the network. Ctrl-C stops it.
"""

import importlib.util

from dcgan import cli
from dcgan.cli import FLAGS, flags
from dcgan.errors import UserError
from dcgan.files import define_path

cli.define_generator_flags()
cli.define_data_flags()
flags.DEFINE_string('host', '127.0.0.1', 'Address to listen on. 127.0.0.1: only this machine can connect. 0.0.0.0: '
                    'other machines can, too.')
flags.DEFINE_integer('port', 8080, 'Port to listen on.', lower_bound=1, upper_bound=65535)
flags.DEFINE_list('allowed_hosts', [], 'Additional host names to answer to, e.g. that of a proxy, faces.example.org.')
flags.DEFINE_string('root_path', '', 'Path at which a proxy shows the page, e.g. /faces.')
define_path('auth', None, 'File with a user and a password, user:password, that visitors need.')
flags.DEFINE_bool('share', False, "Let others connect through Gradio's servers, at an address that is printed.")
flags.DEFINE_bool('browser', True, 'Open the page in a browser.')


def main():
    """Serves the page until Ctrl-C."""
    from dcgan.sampling.generator_checkpoint import open_run

    run = open_run(FLAGS.model_dir, FLAGS.pretrained)
    if importlib.util.find_spec('gradio') is None:
        raise UserError("the page needs Gradio, which is not installed; pip install '.[explore]'")
    from dcgan.web.explorer import Explorer
    from dcgan.web.server import hosts_of, launch, read_login

    host = f'[{FLAGS.host}]' if ':' in FLAGS.host else FLAGS.host
    hosts, login = hosts_of(host, FLAGS.allowed_hosts), FLAGS.auth and read_login(FLAGS.auth)
    explorer = Explorer(run, FLAGS.weights, FLAGS.dataset_dir, FLAGS.cache_dir)
    try:
        page = launch(explorer, [*hosts, '*.gradio.live'] if FLAGS.share else hosts, server_name=host,
                      server_port=FLAGS.port, root_path=FLAGS.root_path, auth=login, share=FLAGS.share,
                      inbrowser=FLAGS.browser)
    except OSError as error:
        raise UserError(f'cannot listen on {FLAGS.host}, port {FLAGS.port}; choose another --port or --host') from error
    address = page.share_url or f'http://{host}:{FLAGS.port}{FLAGS.root_path}/'
    print(f'page        {address} (Ctrl-C to stop)', flush=True)
    page.block_thread()


if __name__ == '__main__':
    cli.run(main, '--model_dir=DIR', interrupt_status=0)
