"""The pages beside the README: what they say of lines of code and of flags is true."""

import re

import pytest

from docs.make_help import COMMANDS, ROOT, help_of

ARTICLE = ROOT / 'docs' / 'article.zh-CN.md'
ROW = re.compile(r'\| \[`(?P<path>[^`:]+):(?P<lines>[\d-]+)`\]\((?P<link>[^)]+)\) \| `(?P<code>[^`]+)` \|$',
                 re.MULTILINE)
BLOCKS = ['reshape', 'deconv1', 'deconv2', 'deconv3', 'deconv4', 'tanh', 'conv1', 'conv2', 'conv3', 'conv4', 'classify',
          'leaky_relu', '__init__', '__call__', 'loss', 'train']
LINK = re.compile(r'\]\((?!https?:)([^)#]+)')
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md'), *(ROOT / 'data').glob('*.md')])


def rows():
    return list(ROW.finditer(ARTICLE.read_text(encoding='utf-8')))


def test_the_article_page_maps_each_block():
    text = ARTICLE.read_text(encoding='utf-8')
    assert len(rows()) == len(re.findall(r'^\| .*\]\(\.\./', text, re.MULTILINE))  # each row is tested below
    for block in BLOCKS:
        assert re.search(rf'^\| `{block}`', text, re.MULTILINE), block


@pytest.mark.parametrize('row', rows(), ids=lambda row: f'{row["path"]}:{row["lines"]}')
def test_the_article_page_names_lines_that_hold_its_code(row):
    lines = (ROOT / row['path']).read_text(encoding='utf-8').splitlines()
    first, _, last = row['lines'].partition('-')
    first, last = int(first), int(last or first)
    found = [number for number, line in enumerate(lines, 1) if row['code'] in line]
    assert set(found) & set(range(first, last + 1)), f'docs/article.zh-CN.md: now in lines {found}'
    assert row['link'] == f'../{row["path"]}#L{first}' + (f'-L{last}' if last > first else '')
    assert lines[first - 1].strip()
    assert lines[last - 1].strip()


def test_the_article_page_covers_the_code_of_model_py():
    covered = set()
    for row in rows():
        if row['path'] == 'model.py':
            first, _, last = row['lines'].partition('-')
            covered |= set(range(int(first), int(last or first) + 1))
    code = {number for number, line in enumerate((ROOT / 'model.py').read_text(encoding='utf-8').splitlines(), 1)
            if re.match(r' +(outputs|self\.|with|return|tf\.|[gdt]_\w+ =|[gd]_opt)', line)}
    assert code - covered == set()


@pytest.mark.parametrize('command', COMMANDS)
def test_the_help_pages_are_up_to_date(command):
    written = (ROOT / 'docs' / 'help' / f'{command}.txt').read_text(encoding='utf-8')
    assert written == help_of(command), 'run python docs/make_help.py'


def test_each_command_has_a_help_page():
    scripts = {path.stem for path in ROOT.glob('*.py') if 'cli.run(' in path.read_text(encoding='utf-8')}
    assert scripts == set(COMMANDS) == {path.stem for path in (ROOT / 'docs' / 'help').iterdir()}


@pytest.mark.parametrize('page', PAGES, ids=lambda page: page.name)
def test_links_lead_to_files(page):
    targets = LINK.findall(page.read_text(encoding='utf-8'))
    assert [target for target in targets if not (page.parent / target).exists()] == []


def test_both_readmes_have_the_same_commands_and_sections():
    english, chinese = ((ROOT / name).read_text(encoding='utf-8') for name in ('README.md', 'README.zh-CN.md'))
    assert '(README.zh-CN.md)' in english.splitlines()[0]
    assert '(README.md)' in chinese.splitlines()[0]
    commands = [[line.partition('#')[0].strip() for line in re.findall(r'^    (.+)', text, re.MULTILINE)]
                for text in (english, chinese)]
    assert commands[0] == commands[1]
    assert english.count('\n## ') == chinese.count('\n## ')
    assert set(LINK.findall(english)) - set(LINK.findall(chinese)) == {'README.zh-CN.md'}
