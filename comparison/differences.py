"""The table of what is not as in the article, which the README holds."""

import re
from pathlib import Path

from markupsafe import Markup, escape

README = Path(__file__).parent.parent / 'README.md'
HEADING = '## Where this leaves the article, and why'


def differences():
    """Returns the rows of the table, three cells each, as HTML; none where the README holds no such table."""
    text = README.read_text(encoding='utf-8') if README.exists() else ''
    section = text.partition(f'\n{HEADING}\n')[2].partition('\n## ')[0]
    rows = [[cell.strip() for cell in line.strip().strip('|').split('|')] for line in section.splitlines()
            if line.startswith('|')]
    return [[_html(cell) for cell in row] for row in rows[2:]]  # after the heading and the line below it


def _html(cell):
    return Markup(re.sub(r'`([^`]+)`', r'<code>\1</code>', str(escape(cell))))
