"""Latents by seeds, sums and files."""

import io
import pickle
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest

from dcgan.errors import UserError
from dcgan.sampling import draw
from dcgan.sampling.latents import format_seeds, parse_seeds, parse_sum, read_latent
from tests.sampling.drawing import SIZE, Z_DIM, difference, draw_by

LATENT_OF_7 = [-0.42966747, -0.86518669, 0.02054286, -0.76747394]  # its first numbers; they never change
SAVED = np.linspace(-0.9, 0.8, Z_DIM, dtype=np.float32)


def test_a_seed_always_gives_the_same_latent(generator):
    latents = generator.latents(np.array([7, 2**62, 7]))
    np.testing.assert_allclose(latents[0, :4], LATENT_OF_7, rtol=0, atol=1e-7)
    np.testing.assert_array_equal(latents[0], latents[2])
    assert np.abs(latents[0] - latents[1]).mean() > 0.3


def test_latents_are_uniform(generator):
    latents = generator.latents(np.arange(10_000))
    assert -1 <= latents.min() < latents.max() < 1
    np.testing.assert_allclose(np.histogram(latents, 10, (-1, 1))[0] / latents.size, 0.1, rtol=0.03)
    assert np.abs(np.corrcoef(latents.T) - np.eye(Z_DIM)).max() < 0.05


@pytest.mark.parametrize(('text', 'seeds'), [
    ('7', [7]), ('7,100-103', [7, 100, 101, 102, 103]), (' 9 , 3-3 ', [9, 3]), ('9223372036854775807', [2**63 - 1])])
def test_seeds_are_parsed(text, seeds):
    assert parse_seeds(text).tolist() == seeds
    assert parse_seeds(format_seeds(seeds)).tolist() == seeds


@pytest.mark.parametrize(('text', 'message'), [
    ('7,x', "^invalid seed 'x'; expected e.g. 7,100-163$"), ('', "invalid seed ''"), ('-3', "invalid seed '-3'"),
    ('1.5', "invalid seed '1.5'"), ('\u0663', 'invalid seed'), ('9-3', "^invalid seed '9-3'"),
    ('9223372036854775808', "^invalid seed '9223372036854775808'"),
    ('0-9999999,7', 'names more than 10,000,000 seeds'), ('9' * 5000, r"^invalid seed '9{57}\.\.\.'")])
def test_invalid_seeds_get_a_sentence(text, message):
    with pytest.raises(UserError, match=message):
        parse_seeds(text)


@pytest.mark.parametrize(('text', 'terms'), [
    ('7', [(1, '7', [7])]), ('-7+8', [(-1, '7', [7]), (1, '8', [8])]),
    ('mean(1-3)-mean( 5 , 9 )', [(1, 'mean(1-3)', [1, 2, 3]), (-1, 'mean( 5 , 9 )', [5, 9])]),
    (' mean (7) -  3 ', [(1, 'mean (7)', [7]), (-1, '3', [3])])])
def test_sums_are_parsed(text, terms):
    assert [(term.sign, term.text, term.seeds.tolist()) for term in parse_sum(text)] == terms


@pytest.mark.parametrize('text', ['', '7 8', 'mean(7', 'mean()', '7 + ', '7 * 8', 'mean(x)', 'max(7,8)', '7 -- 8'])
def test_invalid_sums_get_a_sentence(text):
    with pytest.raises(UserError, match=r'^invalid (sum at|seed) .*; expected e\.g\. '):
        parse_sum(text)


@pytest.mark.parametrize('text', ['mean(0-8)', 'mean(0-4) + mean(5-8)', '1 + 2 + 3 + 4 + 5 + 6 + 7 + 8 + 9'])
def test_a_sum_of_too_many_seeds_gets_a_sentence(text):
    assert parse_sum(text, 9)
    with pytest.raises(UserError, match='names more than 8 seeds'):
        parse_sum(text, 8)


# Each would take hours in quadratic time.
N = 30_000
SPACES = ' ' * N
HOSTILE = [f'{SPACES}x', f'1{SPACES}x', f'1{SPACES}-{SPACES}x', f'mean{SPACES}x', f'mean({SPACES}x', f'mean({SPACES})',
           f'mean(9{SPACES}-{SPACES}3)', '-' * N, '1-' * N, '(' * N, 'mean(' * N, '1,' * N, '7+' * N, '9' * N,
           f'{"7," * N}9-3', ' ' * N, 'a.npy' * N, '1-' * N + 'a.npy', 'a.npy-' * N, ' a.npy +' * N + '(']


@pytest.mark.parametrize('parse', [parse_seeds, parse_sum])
@pytest.mark.parametrize('read_files', [False, True])
def test_a_long_invalid_text_is_refused_in_linear_time(parse, read_files):
    for text in HOSTILE:
        with pytest.raises(UserError) as refused:
            parse(text, read_files=read_files)
        assert read_files or len(str(refused.value)) < 200


# Saved latents


@pytest.fixture
def saved(run):
    np.save('my-face.npy', SAVED)


def test_a_saved_latent_stands_for_a_seed(saved, generator):
    [face], faces = generator.images(SAVED[np.newaxis]), generator.images(np.array([7, 8]))
    draw_by('--model_dir=run', '--interpolate=my-face.npy,7', '--frames=3', '--out=walk.png')
    drawn = imageio.imread('walk.png')
    assert max(difference(drawn[:, :SIZE], face), difference(drawn[:, -SIZE:], faces[0])) <= 1
    draw_by('--model_dir=run', '--seeds=7-8,./my-face.npy', '--grid=1x3', '--batch_size=2', '--out=grid.png')
    assert difference(imageio.imread('grid.png'), np.hstack([*faces, face])) <= 1
    draw_by('--model_dir=run', '--seeds=my-face.npy,7,my-face.npy', '--out=faces/')
    assert sorted(path.name for path in Path('faces').iterdir()) == ['my-face.png', 'seed-0000007.png']
    assert difference(imageio.imread('faces/my-face.png'), face) <= 1


def test_a_sum_takes_saved_latents(saved, generator):
    terms = parse_sum('my-face.npy - 3 + mean(7, my-face.npy)', read_files=True)
    assert [(term.sign, term.text) for term in terms] == [
        (1, 'my-face'), (-1, '3'), (1, 'mean(7, my-face.npy)')]
    three, seven = generator.latents(np.array([3, 7]))
    expected = generator.images((SAVED - three + (seven + SAVED) / 2)[np.newaxis])[0]
    assert difference(draw.result(generator, terms), expected) <= 1
    draw_by('--model_dir=run', '--arithmetic=my-face.npy - 3', '--out=sum.png')


@pytest.mark.parametrize('text', ['my-face.npy', 'my-face.npy - 3', 'mean(my-face.npy)', '7,my-face.npy'])
def test_without_being_asked_to_no_parser_reads_a_file(saved, text):
    for parse in parse_seeds, parse_sum:
        with pytest.raises(UserError, match=r'^invalid (seed|sum)'):
            parse(text)


def npy(array):
    content = io.BytesIO()
    np.save(content, array)
    return content.getvalue()


@pytest.mark.parametrize(('content', 'message'), [
    (npy(np.full(Z_DIM, np.nan, np.float32)), 'not a float32 array of one dimension with finite values; expected a'),
    (npy(np.zeros([1, Z_DIM], np.float32)), 'not a float32 array of one'), (npy(np.zeros(Z_DIM, int)), 'not a float32'),
    (npy(np.array([print], object)), 'allow_pickle=False'), (pickle.dumps([print]), 'x.npy: '), (b'', 'x.npy: '),
    (npy(SAVED)[:-1], 'x.npy: '), (b'\x93NUMPY', 'x.npy: '), (npy(SAVED).replace(b'(20,)', b'(20, '), 'x.npy: ')])
def test_a_file_without_a_latent_gets_a_sentence(tmp_path, content, message):
    (tmp_path / 'x.npy').write_bytes(content)
    with pytest.raises(UserError, match=f'^cannot read .*{message}'):
        read_latent(str(tmp_path / 'x.npy'))


@pytest.mark.parametrize(('flags', 'message'), [
    (['--seeds=none.npy'], 'cannot read none.npy: No such file or directory; expected a latent by sample.py --project'),
    (['--interpolate=long.npy,7'], 'long.npy holds 21 numbers; this generator takes 20'),
    (['--interpolate=my-face.npy'], 'names one face; expected two or more'),
    (['--arithmetic=my-face.npy-3'], "invalid sum at 'my-face.npy-3'; expected e.g. \"mean(7,9,12) - mean(3,4) + 20\", "
     'with spaces around a file'),
    (['--seeds=my-face.npy,run/my-face.npy', '--out=faces/'], 'two saved latents have one name'),
])
def test_mistakes_get_sentences(saved, flags, message):
    np.save('long.npy', np.zeros(Z_DIM + 1, np.float32))
    np.save('run/my-face.npy', SAVED)
    with pytest.raises(UserError) as refused:
        draw_by('--model_dir=run', *flags)
    assert message in str(refused.value)
    assert not Path('faces').exists()
