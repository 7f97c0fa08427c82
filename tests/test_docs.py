"""The pages beside the README: what they say of lines of code and of flags is true."""

import re

import pytest

from docs.make_help import ARTICLE, COMMANDS, ROOT, ROW, help_of, with_line_numbers

BLOCKS = ['reshape', 'deconv1', 'deconv2', 'deconv3', 'deconv4', 'tanh', 'conv1', 'conv2', 'conv3', 'conv4', 'classify',
          'leaky_relu', '__init__', '__call__', 'loss', 'train']
LINK = re.compile(r'\]\((?!https?:)([^)#]+)')
PAGES = sorted([*ROOT.glob('*.md'), *(ROOT / 'docs').glob('*.md'), *(ROOT / 'docs').glob('*.ipynb'),
                *(ROOT / 'data').glob('*.md')])


def test_the_article_page_maps_each_block_to_the_lines_that_hold_it():
    text = ARTICLE.read_text(encoding='utf-8')
    assert text == with_line_numbers(text), 'run python docs/make_help.py'
    assert len(ROW.findall(text)) == len(re.findall(r'^\| .*\]\(\.\./', text, re.MULTILINE))
    for block in BLOCKS:
        assert re.search(rf'^\| `{block}`', text, re.MULTILINE), block


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
