"""The metrics of a checkpoint: names, split of the real images, protocols, caches, and user mistakes."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from dcgan.errors import UserError
from dcgan.metrics.evaluator import Evaluator, open_evaluator
from dcgan.metrics.inception import Inception
from dcgan.metrics.ms_ssim import ms_ssim
from dcgan.metrics.protocols import default_metrics, parse_metrics
from dcgan.metrics.results import from_json, to_json
from dcgan.sampling.real_images import open_real_images
from dcgan.training.loop import train
from tests.commands import run_script
from tests.metrics.inception import write_stand_in
from tests.pictures import write_images
from tests.small_runs import config

SIZE, COUNT = 16, 61


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder with a data set of 61 images, a run of two steps on it, and a stand-in for the Inception graph."""
    folder = tmp_path_factory.mktemp('evaluate')
    faces = write_images(folder / 'faces', COUNT)
    train(config(faces, max_steps=2, save_steps=1, ema_decay=0.9), folder / 'run', folder / 'cache')
    write_stand_in(folder / 'graph.pb')
    return folder


@pytest.fixture
def real_images(place):
    return open_real_images(place / 'run', SIZE, None, place / 'cache')


def evaluator_of(place, real_images, names, seed=0, inception=None):
    return Evaluator(real_images, parse_metrics(names), seed, inception, place / 'cache')


def generator_of(images):
    """A stand-in for a generator that draws these images, from seed 0 on."""
    checkpoint = SimpleNamespace(path=Path('model.ckpt-7'), step=7, digest='none', weights='trained')
    return SimpleNamespace(checkpoint=checkpoint, size=SIZE, batch_norm='population', batch_size=1,
                           batches=lambda seeds: np.array_split(images[seeds], 3))


def command(place, *flags):
    return run_script('evaluate.py', f'--model_dir={place / "run"}', f'--cache_dir={place / "cache"}', *flags)


@pytest.mark.parametrize('name', ['swd', 'fid50K', 'is50k', 'swd1', 'swd-4k', 'swd4k ', '', 'fid' + '9' * 5000])
def test_an_invalid_metric_is_reported(name):
    with pytest.raises(UserError, match=r'^invalid metric .{2,40} in --metrics; '):
        parse_metrics([name])


@pytest.mark.parametrize(('count', 'names'), [
    (202_599, ['swd16k', 'msssim10k', 'fid50k', 'kid50k']), (32_767, ['swd16383', 'msssim10k', 'fid16383', 'kid16383']),
    (4_000, ['swd2k', 'msssim10k', 'fid2k', 'kid2k']), (61, ['swd30', 'msssim900', 'fid30', 'kid30'])])
def test_default_metrics_fit_the_number_of_real_images(count, names):
    assert [metric.name for metric in default_metrics(count, with_features=True)] == names
    assert [metric.name for metric in default_metrics(count, with_features=False)] == names[:2]


def test_real_images_score_the_floor_and_equal_images_0(place, real_images):
    """A generator that draws the second half of the real images has the floor as its value."""
    order = np.random.RandomState(0).permutation(COUNT)
    first, second = real_images.pack.images[order[:30]], real_images.pack.images[order[30:60]]
    with Inception(place / 'graph.pb') as inception:
        evaluator = evaluator_of(place, real_images, ['swd30', 'fid30', 'kid30'], inception=inception)
        for result in evaluator.measure(generator_of(second)):
            assert result.value == result.floor, result.metric
            assert result.floor != 0
        of_the_same = {result.metric: result.value for result in evaluator.measure(generator_of(first))}
    assert of_the_same['swd30'] == 0
    assert of_the_same['fid30'] == pytest.approx(0, abs=1e-6)
    alike = np.repeat(first[:1], 1800, axis=0)
    [result] = evaluator_of(place, real_images, ['msssim900']).measure(generator_of(alike))
    assert result.value == pytest.approx(1)
    assert result.floor == pytest.approx(ms_ssim(first.repeat(30, axis=0), np.tile(second, (30, 1, 1, 1))))


def test_the_seed_determines_value_and_floor(place, real_images):
    noise = np.random.RandomState(0).randint(0, 256, [200, SIZE, SIZE, 3]).astype(np.uint8)

    def measured(seed):
        evaluator = evaluator_of(place, real_images, ['swd20', f'swd{COUNT}', 'msssim50'], seed)
        return [(result.value, result.floor) for result in evaluator.measure(generator_of(noise))]

    ours, again, other = measured(0), measured(0), measured(1)
    assert ours == again
    assert all(one[0] != another[0] for one, another in zip(ours, other, strict=True))
    assert [floor is None for _, floor in ours] == [False, False, True, True, False]  # two halves would need 122 images


@pytest.mark.parametrize(('name', 'message'), [
    ('swd62', 'swd62 needs 62 real images, but faces holds 61; use --metrics=swd30, which also has a floor'),
    ('fid50k', 'needs 50,000 real images, but faces holds 61'),
    ('msssim901', 'needs 901 different pairs of real images, but the 61 images of faces give 900')])
def test_too_few_real_images_are_reported(place, real_images, name, message):
    with pytest.raises(UserError, match=message):
        evaluator_of(place, real_images, [name])


def test_features_of_real_images_are_cached_and_corrupt_caches_rebuilt(place, real_images, capsys):
    noise = np.random.RandomState(0).randint(0, 256, [23, SIZE, SIZE, 3]).astype(np.uint8)

    def measured():
        with Inception(place / 'graph.pb') as inception:
            results = evaluator_of(place, real_images, ['fid20', 'kid10'], 3, inception).measure(generator_of(noise))
        assert results[0].protocol['inception_sha256'] == inception.digest
        return [(result.value, result.floor) for result in results]

    first = measured()
    caches = list(place.glob('cache/*-20-seed-3-*.features'))
    written = [path.stat().st_mtime_ns for path in caches]
    assert measured() == first
    assert [path.stat().st_mtime_ns for path in caches] == written
    assert len(written) == 2  # of both halves
    for damage in lambda content: content[:-9], lambda content: bytes(len(content)), lambda content: b'':
        for path in caches:
            path.write_bytes(damage(path.read_bytes()))
        assert measured() == first
        assert 'is corrupt; rebuilding it' in capsys.readouterr().out
    assert not list(place.glob('cache/*.part'))


def test_known_results_are_not_measured_again(place, real_images):
    noise = generator_of(np.random.RandomState(0).randint(0, 256, [20, SIZE, SIZE, 3]).astype(np.uint8))
    results = evaluator_of(place, real_images, ['swd20', 'msssim5']).measure(noise)
    known = from_json(to_json(results))
    assert known == results
    moved = {'checkpoint': 'where it was'}
    marked = [result._replace(value=-1.0, protocol=result.protocol | moved) for result in known]
    partly = evaluator_of(place, real_images, ['swd20', 'msssim6']).measure(noise, marked)
    assert partly[:2] == marked[:2]
    assert partly[2].value > 0
    noise.checkpoint.digest = 'another'
    assert evaluator_of(place, real_images, ['swd20']).measure(noise, marked)[0].value == results[0].value
    for content in b'', b'[1]', b'[{"metric": "swd20"}]':
        with pytest.raises(ValueError, match=r'results|Expecting'):
            from_json(content)


def test_the_command_measures_all_checkpoints_and_writes_json(place, tmp_path):
    done = command(place, '--checkpoint=all', '--weights=ema', '--metrics=swd30,msssim20,fid40,kid8', '--seed=3',
                   f'--inception_graph={place / "graph.pb"}', f'--json={tmp_path / "numbers.json"}')
    assert done.returncode == 0, done.stderr
    for words in ('model.ckpt-0, step 0', 'model.ckpt-2, step 2', '61 images of faces, the training images',
                  'weights ema', 'rows 2:22, columns 0:20 of 20x24; resized by Pillow bilinear', 'swd30 mean',
                  'no floor for fid40', 'fid40, kid8: not the Inception graph of published numbers',
                  'is not the classify_image_graph_def.pb of published numbers'):
        assert words in done.stdout
    assert 'Traceback' not in done.stderr
    numbers = json.loads((tmp_path / 'numbers.json').read_text())
    assert [(number['step'], number['metric'], number['part']) for number in numbers] == [
        (step, metric, part) for step in (0, 1, 2)
        for metric, part in (('swd30', '16'), ('swd30', 'mean'), ('msssim20', ''), ('fid40', ''), ('kid8', ''))]
    for name, value in {'samples': 30, 'crop': 'auto: rows 2:22, columns 0:20 of 20x24', 'resizer': 'Pillow bilinear',
                        'batch_norm': 'population', 'weights': 'ema', 'seed': 3, 'data': 'faces',
                        'real_images': COUNT, 'are_trained_on': True, 'size': SIZE}.items():
        assert numbers[0][name] == value
    assert len({number['value'] for number in numbers if number['metric'] == 'swd30'}) == 3
    assert {number['floor'] for number in numbers if number['metric'] == 'fid40'} == {None}


def test_the_command_measures_default_metrics_on_other_images(place, tmp_path):
    others = write_images(tmp_path / 'others', 30)
    done = command(place, f'--dataset_dir={others}')
    assert done.returncode == 0, done.stderr
    for words in 'swd15 mean', 'msssim225', '30 images of others, not the training images':
        assert words in done.stdout


@pytest.mark.parametrize(('flags', 'message'), [
    (['--metrics=fid10'], 'fid and kid need --inception_graph=classify_image_graph_def.pb, from http'),
    (['--metrics=swd4k'], 'evaluate.py: swd4k needs 4,000 real images, but faces holds 61'),
    (['--inception_graph=/no/such.pb'], 'cannot read /no/such.pb: No such file or directory; expected classify_'),
    (['--metrics='], '--metrics is empty; expected e.g. swd16k,msssim10k'),
    (['--json=/dev/null/x.json', '--metrics=swd5'], 'cannot write /dev/null/x.json'),
    (['--batch_norm=moving', '--weights=ema', '--metrics=swd5'], 'ema weights of'),
])
def test_mistakes_get_a_sentence_without_traceback(place, flags, message):
    done = command(place, *flags)
    assert done.returncode == 1
    assert message in done.stderr
    assert 'Traceback' not in done.stderr


@pytest.mark.parametrize('count', [1, 3])
def test_fewer_than_4_real_images_are_reported(place, tmp_path, count):
    write_images(tmp_path / 'few', count)
    with pytest.raises(UserError, match=rf'few holds {count} images?; metrics need at least 4'), open_evaluator(
            place / 'run', SIZE, None, None, str(tmp_path / 'few'), place / 'cache'):
        pass
