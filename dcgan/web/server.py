"""Serves the page, on this machine or behind a proxy."""

import re
from pathlib import Path

import gradio as gr
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware

from dcgan.errors import UserError, reason_of
from dcgan.files import read_file
from dcgan.web.page import EXAMPLE_PHOTO, build_page

LOCAL = ['localhost', '127.0.0.1', '[::1]']


def launch(explorer, hosts=('*',), **settings):
    """Launches the page of an Explorer; in a notebook, it shows the page below the cell.

    Args:
      explorer: an Explorer.
      hosts: host names to answer to, against DNS rebinding; '*' is any.
      settings: more of gr.Blocks.launch.

    Returns:
      The gr.Blocks.
    """
    explorer.prepare()
    page = build_page(explorer)
    page.launch(**{'quiet': True, **settings}, prevent_thread_lock=True, enable_monitoring=False, ssr_mode=False,
                max_file_size='8mb', allowed_paths=[str(EXAMPLE_PHOTO)], css_paths=Path(__file__).with_name('page.css'),
                theme=gr.themes.Default(font=['system-ui', 'sans-serif'], font_mono=['monospace']),
                app_kwargs={'middleware': [Middleware(TrustedHostMiddleware, allowed_hosts=hosts, www_redirect=False)]})
    return page


def hosts_of(host, allowed):
    """Returns the host names to answer to: one's own and allowed ones; any on all addresses, if none is allowed.

    Raises:
      UserError: an allowed one is not a host name.
    """
    for name in allowed:
        if not re.fullmatch(r'(\*\.)?[A-Za-z0-9._-]+|\[[0-9A-Fa-f:.]+\]', name):
            raise UserError(f'invalid host name {name!r} in --allowed_hosts; expected e.g. faces.example.org')
    return ['*'] if host in ('0.0.0.0', '[::]') and not allowed else [host, *LOCAL, *allowed]


def read_login(path):
    """Returns the user and the password in a file, user:password.

    Raises:
      UserError: it cannot be read, or holds something else.
    """
    try:
        user, _, password = read_file(path, 1024).decode().strip().partition(':')
    except (OSError, ValueError) as error:
        raise UserError(f'cannot read {path}: {reason_of(error)}; --auth names a file with user:password') from error
    if not (user and password):
        raise UserError(f'{path} does not hold user:password; write both into it, with a colon between them')
    return user, password
