"""Writes what the docs say of the code: docs/help/*.txt, and the numbers of lines in docs/article.zh-CN.md.

    python docs/make_help.py

Run it after a change of a flag or of model.py; tests/test_docs.py compares. It needs no TensorFlow.
"""

import os
import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
ARTICLE = ROOT / 'docs' / 'article.zh-CN.md'
ROW = re.compile(r'\| \[`(?P<path>[^`:]+):[\d-]+`\]\([^)]+\) \| `(?P<code>[^`]+)` \|$', re.MULTILINE)
COMMANDS = ('train', 'sample', 'explore', 'evaluate', 'compare', 'export', 'bench')


def help_of(command):
    """Returns what --help of a command prints, text, with the Linux default of --cache_dir."""
    env = {**os.environ, 'PYTHONIOENCODING': 'utf-8'}
    done = subprocess.run([sys.executable, f'{command}.py', '--help'], cwd=ROOT, env=env, stdout=subprocess.PIPE,
                          encoding='utf-8', check=True)
    return re.sub(r"(?<=\(default: ')[^']*dcgan-faces[^']*", '~/.cache/dcgan-faces', done.stdout)


def with_line_numbers(text):
    """Returns docs/article.zh-CN.md with the numbers of the lines that hold the code of each row.

    Of several lines that hold it, the first below that of the row before counts.

    Raises:
      ValueError: no line does.
    """
    found = {}

    def row(match):
        path, code = match['path'], match['code']
        lines = [number for number, line in enumerate((ROOT / path).read_text(encoding='utf-8').splitlines(), 1)
                 if code in line]
        if not lines:
            raise ValueError(f'{path} does not hold {code}')
        found[path] = next((number for number in lines if number > found.get(path, 0)), lines[0])
        return f'| [`{path}:{found[path]}`](../{path}#L{found[path]}) | `{code}` |'

    return ROW.sub(row, text)


def main():
    """Writes the files."""
    ARTICLE.write_text(with_line_numbers(ARTICLE.read_text(encoding='utf-8')), encoding='utf-8', newline='\n')
    for command in COMMANDS:
        (ROOT / f'docs/help/{command}.txt').write_text(help_of(command), encoding='utf-8', newline='\n')


if __name__ == '__main__':
    main()
