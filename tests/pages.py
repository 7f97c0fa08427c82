"""The commands of the README and of three pages, to be run in order.

Models, samples and data are small; training is stopped by Ctrl-C. Installing and downloading are left out.
"""

import os
import re
import shlex
import shutil
import signal
from typing import NamedTuple

import numpy as np
import pytest

from docs.make_help import ROOT
from tests.commands import Running
from tests.metrics.inception import write_stand_in
from tests.pictures import write_images
from tests.small_runs import saved_steps
from tests.workers import free_addresses

PAGES = ['README.md', 'docs/evaluation.md', 'docs/sampling.md', 'docs/explore-and-export.md']
FENCE = re.compile(r'^```(\w*)\n(.*?)^```', re.MULTILINE | re.DOTALL)
COMMAND = re.compile(r'^    (\S.*)|`(python [^`]+)`', re.MULTILINE)  # in a block, or in a sentence
INTERPRETERS = ('python', 'python3', '.venv/bin/python')
NOT_RUN = ('pip', '.venv/bin/pip', 'source', 'curl', 'tar')  # these install or download
SMALL_MODEL = ['--g_depths=8,8,4,4', '--d_depths=4,4,8,8', '--log_steps=1']
SMALL_METRICS = '--metrics=swd8,msssim8'
STEP = re.compile(r'--checkpoint=\d+')

needs_ctrl_c = pytest.mark.skipif(os.name == 'nt', reason='Ctrl-C is sent as SIGINT')


class Step(NamedTuple):
    """Something to run: the page, and the words of a command line or the text of a Python block."""

    page: str
    words: list
    code: str = ''


def steps_of(pages):
    """Returns the Steps of pages, in order. A command is a step unless it is one already."""
    steps = []
    for page in pages:
        text = (ROOT / page).read_text(encoding='utf-8')
        found = [(match.start(), Step(page, [], match[2])) for match in FENCE.finditer(text) if match[1] == 'python']
        for match in COMMAND.finditer(FENCE.sub(lambda fence: ' ' * len(fence[0]), text)):
            words = shlex.split(match[1] or match[2], comments=True)
            while words:
                end = words.index('&&') if '&&' in words else len(words)
                if words[1:end] not in [step.words[1:] for step in [*steps, *(step for _, step in found)]]:
                    found.append((match.start(), Step(page, words[:end])))
                words = words[end + 1:]
        steps += [step for _, step in sorted(found, key=lambda pair: pair[0])]
    return steps


STEPS = steps_of(PAGES)


def is_run(step):
    return bool(step.code) or not (step.words[0] in NOT_RUN or step.words[1:2] == ['-m'])


def steps_to_run(*pages):
    """Returns those Steps of these pages that neither install nor download anything."""
    return [step for step in STEPS if step.page in pages and is_run(step)]


def name_of(step):
    return f'{step.page}: {" ".join(step.words) or "python block"}'


def make_checkout(parent):
    """Returns a folder with what the pages find in a checkout, and stand-ins for what has to be downloaded."""
    folder = parent / 'checkout'
    for name in 'data', 'reference':
        shutil.copytree(ROOT / name, folder / name)
    images = write_images(parent / 'img_align_celeba', 24, 218, 178, '.jpg')
    shutil.make_archive(folder / 'img_align_celeba', 'zip', images.parent, images.name)
    write_stand_in(folder / 'classify_image_graph_def.pb')
    return folder


def arguments_of(words, folder):
    """Returns a command line of a page with a small model, few samples and a step that there is."""
    script, *flags = words
    if script == 'train.py':
        batch = ['--batch_size=8'] if any(flag.startswith('--dataset_dir') for flag in flags) else []
        return [*words, *SMALL_MODEL, *batch]
    if script in ('evaluate.py', 'compare.py') and (script == 'evaluate.py' or flags):
        features = ',fid8,kid8' if any(flag.startswith('--inception_graph') for flag in flags) else ''
        return [*words, SMALL_METRICS + features]
    if script == 'explore.py':
        return [*words, '--nobrowser', f'--port={free_addresses(1)[0].partition(":")[2]}']
    if any(STEP.fullmatch(flag) for flag in flags):
        [_, step, *_] = saved_steps(folder / 'runs' / 'demo_faces')
        return [STEP.sub(f'--checkpoint={step}', word) for word in words]
    return words


def run_step(step, folder):
    """Runs a Step, which may need the steps before it, in a folder of ``make_checkout``."""
    if step.code:
        words = [folder / 'block.py']
        code = step.code
        if 'real' in code:
            np.save(folder / 'images.npy', np.random.RandomState(0).randint(0, 256, [40, 64, 64, 3], np.uint8))
            code = 'import numpy\nreal = fake = numpy.load("images.npy")\n' + code
        words[0].write_text(code)
    else:
        interpreter, *words = step.words
        assert interpreter in INTERPRETERS
        words = arguments_of(words, folder)
    process = Running(*words, cwd=folder, environment={'XDG_CACHE_HOME': str(folder.parent / 'cache')})
    if until := {'train.py': r'^step \d+/', 'explore.py': '^page +http'}.get(words[0]):
        process.wait_for(until)
        process.send_signal(signal.SIGINT)
    done = process.end()
    assert done.returncode == 0, done.stderr
    assert 'Traceback' not in done.stderr
