"""The report that compares a run with the article: a self-contained page, its contents, and user mistakes."""

import base64
import html
import io
import json
import re
import shutil

import imageio.v3 as imageio
import numpy as np
import pytest

import dcgan.comparison.proof
from dcgan.comparison.milestones import article_figures, drawn, milestones_of
from dcgan.comparison.proof import Check
from dcgan.comparison.reference import REFERENCE
from dcgan.comparison.report import page, read_settings
from dcgan.errors import UserError
from dcgan.metrics.results import Result
from dcgan.training.loop import train
from tests.commands import run_script
from tests.pictures import random_image, write_images
from tests.small_runs import config

COUNT, EPOCH_STEPS = 61, 15
CHECKS = [Check("the article's size", 'shapes', '128', None, None, True),
          Check('a small one', 'logits', '<b>in nats</b>', 0.25, 0.1, False)]


def text_of(content):
    """Returns the text of a page, bytes, with a space in place of each tag."""
    return ' '.join(html.unescape(re.sub('<[^>]*>', ' ', content.decode())).split())


def links_of(content):
    """Returns what a page, bytes, shows or links to."""
    return re.findall(r'\b(?:src|href)="([^"]*)"', content.decode())


@pytest.fixture(scope='module')
def trained(tmp_path_factory):
    """A run of two epochs and a step on a data set whose name needs escaping."""
    folder = tmp_path_factory.mktemp('report')
    faces = write_images(folder / 'a <b> & c', COUNT)
    train(config(faces, epochs=5, max_steps=2 * EPOCH_STEPS + 1, ema_decay=0.5), folder / 'run', folder / 'cache')
    return folder


@pytest.fixture(scope='module')
def milestones(trained):
    return drawn(trained / 'run', 'trained')


@pytest.fixture
def run(trained, tmp_path):
    """A copy of the run, to be changed."""
    return shutil.copytree(trained / 'run', tmp_path / 'run')


def prove_here():
    """The proof runs in the command's process instead of a child, which would load TensorFlow again."""
    dcgan.comparison.proof.prove_in_child = dcgan.comparison.proof.prove


def command(*flags):
    return run_script('compare.py', *flags, cwd=REFERENCE.parent, prepare=prove_here)


def report(run, milestones=None, **changes):
    """Returns the page of a run, as bytes, and its pictures; ``changes`` are to its settings."""
    return page(run, read_settings(run) | changes, milestones or drawn(run, 'auto'), {}, CHECKS)


def pixels(uri):
    return imageio.imread(io.BytesIO(base64.b64decode(uri.partition(',')[2])))


def result(metric, step, value, part='', floor=1.5, **more):
    return Result(metric, part, value, floor, {
        'how': 'somehow', 'samples': 7, 'real_images': COUNT, 'data': 'faces', 'crop': 'auto', 'resizer': 'r',
        'size': 16, 'seed': 0, 'batch_norm': 'population', 'weights': 'trained', 'step': step,
        'are_trained_on': False, **more})


def test_the_command_writes_a_self_contained_page(trained, tmp_path):
    imageio.imwrite(tmp_path / 'Epoch-2.PNG', random_image(1, 40, 40))
    done = command(f'--model_dir={trained / "run"}', f'--cache_dir={trained / "cache"}', f'--out={tmp_path / "out"}',
                   f'--article_figures={tmp_path}', '--metrics=swd20,msssim20')
    assert done.returncode == 0, done.stderr
    assert f'wrote       {tmp_path / "out" / "report.html"}' in done.stdout
    assert 'Traceback' not in done.stderr
    assert sorted(path.name for path in (tmp_path / 'out').iterdir()) == [
        'latest.png', 'losses.png', 'numbers.json', 'report.html', 'start.png']
    written = (tmp_path / 'out' / 'report.html').read_bytes()
    links, text = links_of(written), text_of(written)
    assert all(link.startswith('data:image/png;base64,') for link in links)
    grids = [pixels(picture) for picture in links[:3]]
    for name, shown in ('start', grids[0]), ('latest', grids[1]):
        np.testing.assert_array_equal(shown, imageio.imread(tmp_path / 'out' / f'{name}.png'))
        assert shown.shape == (128, 128, 3)
    np.testing.assert_array_equal(grids[2], random_image(1, 40, 40))
    assert 'There is no start in --article_figures: save' in text
    assert '--article_figures=FOLDER' not in text
    numbers = json.loads((tmp_path / 'out' / 'numbers.json').read_text())
    assert [(number['step'], number['metric'], number['part']) for number in numbers] == [
        (step, metric, part) for step in (0, 31)
        for metric, part in (('swd20', '16'), ('swd20', 'mean'), ('msssim20', ''))]
    for words in ('61 images of a <b> & c, 16x16, batch 4, seed 0, float32; shown up to step 31, averaged weights.',
                  "The graph is the article's: 27 of 27",
                  "This run differs from the article's: generator width 8, 8, 4, 4 instead of 1024, 512, 256, 128; "
                  'discriminator width 4, 4, 8, 8 instead of 64, 128, 256, 512; batch 4 instead of 128; image size 16 '
                  'instead of 64; z_dim 5 instead of 100.',
                  'has not reached 3,164 updates yet; its newest checkpoint has 31',
                  'has not reached 7,910 updates yet', f'{numbers[1]["value"]:.2f}', 'a stateless uniform of (seed,',
                  '23.26', 'FID at 15,000: 46.0 [38.1..55.6]', 'TensorFlow', 'images a second',
                  '31 updates, 2.067 epochs of its data; averaged weights',
                  'after 2 epochs of CelebA, 3,164 updates'):
        assert words in text, words
    assert {number['weights'] for number in numbers} == {'ema'}


def test_the_faces_have_the_same_latents_each_time_and_show_the_weights_asked_for(run, milestones):
    trained, ema, auto = ([milestone.picture for milestone in found]
                          for found in (milestones, drawn(run, 'ema'), drawn(run, 'auto')))
    assert auto == ema
    assert ema[0] == trained[0]  # there is no average yet
    assert ema[1] != trained[1]
    assert ema[2:] == [None, None]  # of 3,164 and 7,910 updates
    assert 'They are drawn from its weights as trained' in text_of(report(run, milestones)[0])


@pytest.mark.parametrize(('steps', 'expected'), [
    ([0], [('start', 0, True), ('epoch-2', 3164, False), ('epoch-5', 7910, False)]),
    ([0, 620], [('start', 0, True), ('latest', 620, True), ('epoch-2', 3164, False), ('epoch-5', 7910, False)]),
    ([0, 2900], [('start', 0, True), ('epoch-2', 2900, True), ('epoch-5', 7910, False)]),
    ([0, 3000, 3164, 3300, 7910], [('start', 0, True), ('epoch-2', 3164, True), ('epoch-5', 7910, True)]),
    ([0, 3000, 3300, 9000], [('start', 0, True), ('epoch-2', 3300, True), ('epoch-5', 9000, True)]),
    ([0, 7000, 20000], [('start', 0, True), ('epoch-2', 7000, True), ('epoch-5', 7000, True), ('latest', 20000, True)]),
    ([50], [('start', 0, False), ('latest', 50, True), ('epoch-2', 3164, False), ('epoch-5', 7910, False)]),
])
def test_the_milestones_are_the_checkpoints_nearest_to_the_articles_updates(steps, expected):
    found = milestones_of(steps)
    assert [(one.name, one.step, one.is_reached) for one in found] == expected
    for one in found:
        assert one.updates == {'start': 0, 'epoch-2': 3164, 'epoch-5': 7910, 'latest': None}[one.name]


def test_a_page_without_log_numbers_and_newest_checkpoints(run):
    (run / 'log.jsonl').unlink()
    for step in 30, 31:
        (run / f'model.ckpt-{step}.data-00000-of-00001').write_bytes(b'')
    content, pictures = report(run)
    assert pictures.keys() == {'start.png', 'latest.png'}
    for words in ('This run : 15 updates, 1 epochs of its data', 'save them as start, epoch-2, epoch-5 (each .png, ',
                  'has not reached 3,164 updates yet', 'The log is empty', 'No metrics were measured',
                  '<b>in nats</b>', "NOT THE ARTICLE'S: 1 of 2"):
        assert words in text_of(content)


def test_numbers_are_shown_with_their_floors(run, milestones):
    for is_known in True, False:
        content, _ = report(run, [milestone._replace(results=[
            result('swd7', step, 10.0 + step, '16'), result('swd7', step, 20.0 + step, 'mean'),
            result('fid50k', step, 30.0 + step, inception_is_known=is_known),
            result('kid7', step, -0.002, floor=-0.001, inception_is_known=is_known)])
            for milestone, step in zip(milestones, (0, 31), strict=False)])
        text = text_of(content)
        for words in ('This run faces, crop auto, batch 4, generator at 0.0002, discriminator at 0.0002, 31 updates',
                      'as under Numbers swd7 16: 41.00', 'swd7 16 1.50 10.00 41.00',
                      'swd7 mean 1.50 20.00 51.00', 'fid50k 1.50 30.00 61.00',
                      'kid7 -0.00100 -0.00200 -0.00200', 'faces, not the training images'):
            assert words in text
        assert ('Fid50k, kid7: not the Inception graph' in text) == (not is_known)


def test_the_articles_figures_are_found_by_name(tmp_path):
    assert article_figures(None) == {}
    for name in 'start.jpg', 'EPOCH-5.png', 'other.png':
        imageio.imwrite(tmp_path / name, random_image(1, 8, 8))
    assert article_figures(tmp_path) == {'start': ('image/jpeg', (tmp_path / 'start.jpg').read_bytes()),
                                         'epoch-5': ('image/png', (tmp_path / 'EPOCH-5.png').read_bytes())}


def test_unusable_figures_of_the_article_are_reported(tmp_path):
    folder = tmp_path / 'figures'
    with pytest.raises(UserError, match=r'cannot read --article_figures=.*: No such file or directory; expected pict'):
        article_figures(folder)
    folder.mkdir()
    (folder / 'one.png').touch()
    with pytest.raises(UserError, match=r'holds one\.png; expected pictures named start, epoch-2, epoch-5'):
        article_figures(folder)
    (folder / 'start.png').write_bytes(b'<html>')
    with pytest.raises(UserError, match=r'start\.png is not a readable picture'):
        article_figures(folder)


@pytest.mark.parametrize(('flags', 'message'), [
    (['--out=x'], 'compare.py: --out needs a run to report; name it with --model_dir'),
    (['--model_dir=reference', '--article_figures=no/such'], 'compare.py: cannot read --article_figures=no/such: '),
])
def test_mistakes_get_a_sentence_without_traceback(flags, message):
    done = command(*flags)
    assert done.returncode == 1
    assert message in done.stdout + done.stderr
    assert 'Traceback' not in done.stderr
