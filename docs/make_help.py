"""Writes docs/help/*.txt, what --help of each command prints.

    python docs/make_help.py

Run it after a change of a flag; tests/test_docs.py compares. It needs no TensorFlow.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COMMANDS = ('train', 'sample', 'explore', 'evaluate', 'compare', 'export', 'bench')


def help_of(command):
    """Returns what --help of a command prints, text, with the Linux default of --cache_dir."""
    env = {**os.environ, 'PYTHONIOENCODING': 'utf-8'}
    done = subprocess.run([sys.executable, f'{command}.py', '--help'], cwd=ROOT, env=env, stdout=subprocess.PIPE,
                          encoding='utf-8', check=True)
    return re.sub(r"(?<=\(default: ')[^']*dcgan-faces[^']*", '~/.cache/dcgan-faces', done.stdout)


def main():
    """Writes the files."""
    for command in COMMANDS:
        path = ROOT / 'docs' / 'help' / f'{command}.txt'
        path.write_text(help_of(command), encoding='utf-8', newline='\n')


if __name__ == '__main__':
    main()
