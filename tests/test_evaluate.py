"""Numbers of a checkpoint: which metrics are meant, real images in halves, protocols, and what is said of mistakes."""

import json
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

import train
from evaluation.evaluator import Evaluator
from evaluation.halves import Halves
from evaluation.names import default_metrics, name_of, parse_metrics
from evaluation.opening import open_evaluator
from evaluation.record import as_json, of_json
from metrics import Inception
from runtime.errors import RunError
from sampling.checkpoint import read
from sampling.generator import TrainedGenerator
from sampling.reals import open_reals
from tests.inception import write_stand_in
from tests.pictures import write_images
from tests.runs import config

SIZE, COUNT = 16, 61


@pytest.fixture(scope='module')
def place(tmp_path_factory):
    """A folder of a data set of 61 images, a run of two steps on it, and a stand-in for the Inception graph."""
    folder = tmp_path_factory.mktemp('evaluate')
    faces = write_images(folder / 'faces', COUNT)
    train.train(config(faces, max_steps=2, save_steps=1, ema_decay=0.9), folder / 'run', folder / 'cache')
    write_stand_in(folder / 'graph.pb')
    return folder


@pytest.fixture
def reals(place):
    return open_reals(place / 'run', SIZE, None, place / 'cache')


def evaluator_of(place, reals, names, seed=0, inception=None):
    return Evaluator(reals, parse_metrics(names), seed, inception, place / 'cache')


def generator_of(images):
    """What stands for a generator that draws these images, from seed 0 on."""
    trained = SimpleNamespace(path=Path('model.ckpt-7'), digest='none', kind='trained')
    return SimpleNamespace(trained=trained, size=SIZE, batch_norm='population', batch_size=1,
                           batches=lambda seeds: np.array_split(images[seeds], 3))


def command(place, *flags):
    script = Path(train.__file__).with_name('evaluate.py')
    return subprocess.run([sys.executable, script, f'--model_dir={place / "run"}', f'--cache_dir={place / "cache"}',
                           *flags], capture_output=True, text=True, timeout=120, check=False)


def test_metrics_are_read():
    metrics = parse_metrics(['swd16k', 'msssim10k', 'fid50k', 'kid500', 'swd4k', 'swd16k'])
    assert [metric.count for metric in metrics] == [16_384, 10_000, 50_000, 500, 4_000]
    for kind, count in ('swd', 16_384), ('swd', 16_000), ('fid', 2_000), ('kid', 2_500), ('msssim', 7):
        [metric] = parse_metrics([name_of(kind, count)])
        assert (metric.kind, metric.count) == (kind, count)


@pytest.mark.parametrize('name', ['swd', 'fid50K', 'is50k', '16k', 'swd0', 'fid1', 'swd-4k', 'swd4k ', ''])
def test_no_metrics(name):
    with pytest.raises(RunError, match='--metrics names '):
        parse_metrics([name])


@pytest.mark.parametrize(('count', 'names'), [
    (202_599, ['swd16k', 'msssim10k', 'fid50k', 'kid50k']), (32_767, ['swd16383', 'msssim10k', 'fid16383', 'kid16383']),
    (4_000, ['swd2k', 'msssim10k', 'fid2k', 'kid2k']), (61, ['swd30', 'msssim900', 'fid30', 'kid30'])])
def test_usual_metrics_are_those_that_the_images_are_enough_for(count, names):
    assert [metric.name for metric in default_metrics(count, with_features=True)] == names
    assert [metric.name for metric in default_metrics(count, with_features=False)] == names[:2]


def test_halves_share_no_image_and_pairs_are_all_different(tmp_path):
    images = np.arange(61, dtype=np.uint8).reshape(61, 1, 1, 1)
    halves = Halves(images, 30, 5, tmp_path)
    first, second = ({int(image[0, 0, 0]) for image in half} for half in (halves.first, halves.second))
    assert (len(first), len(second), len(first | second)) == (30, 30, 60)
    pairs = {(int(one[0, 0, 0]), int(other[0, 0, 0])) for one, other in zip(*halves.pairs(900), strict=True)}
    assert len(pairs) == 900
    assert {one for one, _ in pairs} == first
    assert {other for _, other in pairs} == second
    assert not np.array_equal(Halves(images, 30, 6, tmp_path).first, halves.first)
    assert not list(tmp_path.iterdir())


def test_real_images_score_their_floor_and_the_same_images_nothing(place, reals):
    """A generator of the second half of the real images is as far from the first as the floor says."""
    halves = Halves(reals.pack.images, 30, 0, place / 'cache')
    with Inception(place / 'graph.pb') as inception:
        evaluator = evaluator_of(place, reals, ['swd30', 'fid30', 'kid30'], inception=inception)
        for result in evaluator.measure(generator_of(halves.second)):
            assert result.value == result.floor, result.metric
            assert result.floor != 0
        of_the_same = {result.metric: result.value for result in evaluator.measure(generator_of(halves.first))}
    assert of_the_same['swd30'] == 0
    assert of_the_same['fid30'] == pytest.approx(0, abs=1e-6)


def test_faces_that_are_all_alike(place, reals):
    alike = np.repeat(reals.pack.images[:1], 80, axis=0)
    [result] = evaluator_of(place, reals, ['msssim40']).measure(generator_of(alike))
    assert result.value == pytest.approx(1)
    assert result.floor < 0.9


def test_a_seed_decides_all(place, reals):
    noise = np.random.RandomState(0).randint(0, 256, [200, SIZE, SIZE, 3]).astype(np.uint8)
    ours, again, other = (
        [(result.value, result.floor) for result in
         evaluator_of(place, reals, ['swd20', 'msssim50'], seed).measure(generator_of(noise))] for seed in (0, 0, 1))
    assert ours == again
    assert all(np.all(np.not_equal(one, another)) for one, another in zip(ours, other, strict=True))


def test_no_floor_where_the_images_are_too_few_for_one(place, reals):
    noise = np.random.RandomState(0).randint(0, 256, [COUNT, SIZE, SIZE, 3]).astype(np.uint8)
    for result in evaluator_of(place, reals, [f'swd{COUNT}']).measure(generator_of(noise)):
        assert result.value > 0
        assert result.floor is None


@pytest.mark.parametrize(('name', 'message'), [
    ('swd62', 'swd62 takes 62 real images, and faces holds 61; --metrics=swd30 would do, with a floor, too'),
    ('swd16k', 'takes 16,384 real images, and faces holds 61'),
    ('fid50k', 'takes 50,000 real images, and faces holds 61'),
    ('msssim901', 'takes 901 different pairs of real images, one of either half, and the 61 of faces make 900')])
def test_too_few_real_images(place, reals, name, message):
    with pytest.raises(RunError, match=message):
        evaluator_of(place, reals, [name])


def test_features_of_real_images_are_kept_whole(place, reals, monkeypatch, capsys):
    noise = np.random.RandomState(0).randint(0, 256, [23, SIZE, SIZE, 3]).astype(np.uint8)
    looked_at = []
    features = Inception.features
    monkeypatch.setattr(Inception, 'features', lambda self, images: (
        looked_at.append(len(images)), features(self, images))[1])

    def measured():
        with Inception(place / 'graph.pb') as inception:
            results = evaluator_of(place, reals, ['fid20', 'kid10'], 3, inception).measure(generator_of(noise))
        assert results[0].protocol['inception_sha256'] == inception.digest
        return [(result.value, result.floor) for result in results]

    first = measured()
    assert looked_at == [20, 20, 20]  # the faces and both halves
    assert measured() == first
    assert looked_at[3:] == [20]
    for damage in lambda content: content[:-9], lambda content: bytes(len(content)), lambda content: b'':
        for path in place.glob('cache/*.features'):
            path.write_bytes(damage(path.read_bytes()))
        assert measured() == first
        assert 'is not as it was made, and is made anew' in capsys.readouterr().out
    assert not list(place.glob('cache/*.part'))


def test_results_are_written_and_read_and_not_measured_twice(place, reals):
    noise = np.random.RandomState(0).randint(0, 256, [20, SIZE, SIZE, 3]).astype(np.uint8)
    evaluator = evaluator_of(place, reals, ['swd20', 'msssim5'])
    results = evaluator.measure(generator_of(noise))
    read = of_json(as_json(results))
    assert read == results
    marked = [result._replace(value=-1.0) for result in read]
    assert evaluator.measure(generator_of(noise), marked) == marked
    partly = evaluator_of(place, reals, ['swd20', 'msssim6']).measure(generator_of(noise), marked)
    assert partly[:2] == marked[:2]
    assert partly[2].value > 0
    other = generator_of(noise)
    other.trained.digest = 'another'
    assert evaluator.measure(other, marked)[0].value == results[0].value
    for content in b'', b'[1]', b'[{"metric": "swd20"}]':
        with pytest.raises(ValueError, match=r'results|Expecting'):
            of_json(content)


def test_the_command(place, tmp_path):
    done = command(place, '--checkpoint=all', '--weights=ema', '--metrics=swd30,msssim20,fid40,kid8', '--seed=3',
                   f'--inception_graph={place / "graph.pb"}', f'--json={tmp_path / "numbers.json"}')
    assert done.returncode == 0, done.stderr
    for words in ('model.ckpt-0, step 0', 'model.ckpt-2, step 2', '61 images of faces, those that it was trained on',
                  'weights ema', 'rows 2:22, columns 0:20 of 20x24; resized by Pillow bilinear', 'swd30 mean',
                  'no floor for fid40', 'fid40, kid8: not by the Inception graph',
                  'is not the classify_image_graph_def.pb that others measured by'):
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


def test_the_command_with_no_more_than_a_run_and_other_images(place, tmp_path):
    others = write_images(tmp_path / 'others', 30)
    done = command(place, f'--dataset_dir={others}')
    assert done.returncode == 0, done.stderr
    for words in 'swd15 mean', 'msssim225', '30 images of others, not those that it was trained on':
        assert words in done.stdout


@pytest.mark.parametrize(('flags', 'message'), [
    (['--metrics=fid10'], 'fid10: not measured, without --inception_graph=classify_image_graph_def.pb, which comes fr'),
    (['--metrics=swd4k'], 'evaluate.py: swd4k takes 4,000 real images, and faces holds 61'),
    (['--inception_graph=/no/such.pb'], '/no/such.pb cannot be read'),
    (['--checkpoint=9'], 'holds no checkpoint of step 9'),
    (['--metrics='], '--metrics names none; swd16k,msssim10k are some'),
    (['--json='], '. cannot be written: it is a folder; --json names another place'),
    (['--json=/dev/null/x.json', '--metrics=swd5'], '/dev/null/x.json cannot be written'),
    (['--batch_norm=moving', '--weights=ema', '--metrics=swd5'], '--weights=ema has no moving averages'),
])
def test_mistakes_get_sentences(place, flags, message):
    done = command(place, *flags)
    assert done.returncode == 1
    assert message in done.stderr
    assert 'Traceback' not in done.stderr


def test_statistics_of_the_batch_are_of_whole_batches_whatever_else_is_measured(place, reals):
    found = []
    for names in ['swd20'], ['msssim33', 'swd20'], ['swd20', 'msssim7']:
        with TrainedGenerator(read(place / 'run' / 'model.ckpt-2'), 'batch', 16) as generator:
            results = evaluator_of(place, reals, names).measure(generator)
        found.append([result.value for result in results if result.metric == 'swd20'])
        assert results[0].protocol['batch_size'] == 16
    assert found[0] == found[1] == found[2]


@pytest.mark.parametrize('count', [1, 3])
def test_hardly_any_images(place, tmp_path, count):
    write_images(tmp_path / 'few', count)
    with pytest.raises(RunError, match=f'few holds {count} images; there are numbers of 4 or more'), open_evaluator(
            place / 'run', SIZE, None, str(tmp_path / 'few'), place / 'cache', None, 0):
        pass


def test_without_the_graph_the_other_metrics_run(place):
    done = command(place, '--metrics=fid10,swd10')
    assert done.returncode == 0, done.stderr
    assert 'warning     fid10: not measured' in done.stdout
    assert 'swd10 mean' in done.stdout


def test_images_too_small_for_patches(place):
    reals = open_reals(place / 'run', 8, None, place / 'cache')
    with pytest.raises(RunError, match='swd5 takes images of 16x16 or more, and these are 8x8; --metrics=msssim900 '):
        evaluator_of(place, reals, ['swd5'])
