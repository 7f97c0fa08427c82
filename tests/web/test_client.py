"""The page by its Python client: what it draws, what it refuses, and to whom it answers."""

import importlib
import json
import shutil
import signal
import socket
import urllib.error
import urllib.parse
import urllib.request

import imageio.v3 as imageio
import numpy as np
import pytest
from gradio_client import Client, handle_file
from gradio_client.exceptions import AppError

from dcgan.errors import UserError
from dcgan.sampling import draw
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.sampling.latents import parse_sum
from dcgan.sampling.pictures import enlarge, grid
from dcgan.sampling.projection import project
from dcgan.sampling.real_images import open_real_images
from tests.commands import ROOT, TIMEOUT, run_script
from tests.pictures import random_image
from tests.web.server import flags_of


@pytest.fixture(scope='module')
def generator(run):
    with TrainedGenerator(read(run / 'model.ckpt-30', 'ema')) as generator:
        yield generator


@pytest.fixture(scope='module')
def enlarged(run):
    with TrainedGenerator(read(run / 'model.ckpt-30', 'ema'), scale=3) as generator:
        yield generator


def same(path, expected):
    assert np.abs(imageio.imread(path).astype(int) - expected).max() <= 1


def test_three_lines_of_python_draw_the_faces_of_sample_py(address, generator, tmp_path):
    client = Client(address, download_files=str(tmp_path), verbose=False)
    faces, picture, moment = client.predict('7,100-102', api_name='/faces')
    expected = generator.images(np.array([7, 100, 101, 102]))
    same(picture, imageio.imread(grid(expected, 2, 2)))
    assert [face['caption'] for face in faces] == ['7', '100', '101', '102']
    for face, image in zip(faces, expected, strict=True):
        same(face['image'], image)
    assert moment == 'step 30, epoch 0.24'


def test_any_checkpoint_and_weights_can_be_chosen(client, run):
    _, picture, moment = client.predict('0-8', 1, 'trained', api_name='/faces')
    with TrainedGenerator(read(run / 'model.ckpt-10', 'trained')) as earlier:
        same(picture, imageio.imread(grid(earlier.images(np.arange(9)), 3, 3)))
    assert moment == 'step 10, epoch 0.08'


def test_the_face_between_two_is_by_default_that_of_the_last_two_picked(client, enlarged):
    same(client.predict('', '', 25, '3,17,40', api_name='/between'), draw.between(enlarged, np.array([17, 40]), 25))
    same(client.predict('5', '', 25, '3,17,40', api_name='/between'), draw.between(enlarged, np.array([5, 40]), 25))
    assert client.predict('', '', 25, '3', api_name='/between') is None


def test_a_sum_is_by_default_the_mean_of_the_picked_faces(client, enlarged):
    same(client.predict('', '3,17,40', api_name='/sum'), draw.result(enlarged, parse_sum('mean(3,17,40)')))
    same(client.predict('3 - 17', '3', api_name='/sum'), draw.result(enlarged, parse_sum('3 - 17')))
    assert client.predict('', '', api_name='/sum') is None


def test_a_film_goes_through_the_picked_faces_or_the_checkpoints(client, enlarged):
    _, files = client.predict('picked', '3,17,40', '0-63', api_name='/film')
    assert [path.rpartition('.')[2] for path in files] == ['mp4', 'gif']
    frames = imageio.imread(files[1])
    assert imageio.imread(files[0], plugin='pyav').shape == frames.shape == (23, 48, 48, 3)
    assert np.abs(frames[0].astype(int) - enlarged.images(np.array([3]))[0]).mean() < 8  # a GIF has few colors
    _, files = client.predict('training', '', '0-3', api_name='/film')
    frames = imageio.imread(files[1])
    assert frames[0].shape[0] > 64  # two rows of 32 pixels and a caption
    assert len(frames) >= 4


def test_the_nearest_training_images_are_those_of_sample_py(client, run, generator):
    picture, text = client.predict('', '3,12', api_name='/nearest')
    real_images = open_real_images(run, 16, None, run.parent / 'cache')
    expected, [line] = draw.neighbours(generator, np.array([12]), real_images, 5)
    same(picture, imageio.imread(expected))
    assert text == line


def test_the_face_nearest_to_a_photo_is_found(address, generator, tmp_path):
    [photo] = generator.images(np.array([77]))
    imageio.imwrite(tmp_path / 'me.png', photo)
    client = Client(address, download_files=str(tmp_path), verbose=False)  # the photo is that of one visitor
    with pytest.raises(AppError, match=r'Choose a photo first\.'):
        client.predict('photo', '', 0, '3', api_name='/between')
    picture, latent = client.predict(handle_file(str(tmp_path / 'me.png')), api_name='/project')
    found = project(generator, photo)
    same(picture, imageio.imread(draw.projection(found, 'photo', 3)))
    np.testing.assert_allclose(np.load(latent['value']), found.latent, atol=1e-5)
    same(client.predict('photo', '', 0, '3', api_name='/between'), enlarge(found.face[np.newaxis], 3)[0])


@pytest.mark.parametrize(('name', 'arguments', 'sentence'), [
    ('faces', ['7,x'], "invalid seed 'x'; expected e.g. 7,100-163."),
    ('faces', ['0-999'], "'0-999' names more than 256 seeds."),
    ('faces', ['9223372036854775808'], "invalid seed '9223372036854775808'"),
    ('picked', ['0-64'], "'0-64' names more than 64 seeds."),
    ('between', ['3,4', '', 50, ''], "'3,4' names more than 1 seeds."),
    ('sum', ['mean(3', ''], "invalid sum at 'mean(3'"),
    ('sum', ['/etc/passwd.npy', ''], "invalid seed '/etc/passwd.npy'"),
    ('film', ['picked', '3', ''], 'Pick two faces or more.'),
    ('nearest', ['', ''], 'Pick a face first, or type its seed.')])
def test_mistakes_are_answered_by_a_sentence(client, name, arguments, sentence):
    with pytest.raises(AppError) as error:
        client.predict(*arguments, api_name=f'/{name}')
    assert sentence in str(error.value)


@pytest.mark.parametrize(('content', 'sentence'), [
    (lambda: b'not an image', 'the file is not an image that Pillow reads'),
    (lambda: imageio.imwrite('<bytes>', np.zeros([9000, 9000, 3], np.uint8), extension='.png'),
     'of memory; the limit is')])
def test_a_photo_that_cannot_be_used_is_refused(client, tmp_path, content, sentence):
    (tmp_path / 'photo.png').write_bytes(content())
    with pytest.raises(AppError) as error:
        client.predict(handle_file(str(tmp_path / 'photo.png')), api_name='/project')
    assert sentence in str(error.value)


def test_a_photo_has_at_most_8_megabytes(client, tmp_path):
    imageio.imwrite(tmp_path / 'photo.png', random_image(0, 1800, 1800))
    with pytest.raises(Exception, match='size'):
        client.predict(handle_file(str(tmp_path / 'photo.png')), api_name='/project')


def ask(address, path='', **headers):
    """Returns the status of an answer, and its text."""
    try:
        with urllib.request.urlopen(urllib.request.Request(address + path, headers=headers), timeout=TIMEOUT) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        return error.code, ''


def test_the_page_answers_only_to_its_own_names(address):
    port = urllib.parse.urlparse(address).port
    for host in 'localhost', f'127.0.0.1:{port}', f'[::1]:{port}', 'LOCALHOST':
        assert ask(address, Host=host)[0] == 200
    for host in 'evil.example', f'localhost.evil.example:{port}', 'faces.example.org', '192.168.0.1':
        assert ask(address, Host=host)[0] == 400


def test_the_page_answers_to_allowed_names_below_the_path_of_a_proxy(run, serve):
    address, _ = serve(*flags_of(run), '--allowed_hosts=faces.example.org,*.example.com', '--root_path=/faces',
                       path='/faces/')
    assert ask(address, Host='faces.example.org')[0] == ask(address, Host='a.example.com')[0] == 200
    assert ask(address, Host='evil.example')[0] == 400
    config = json.loads(ask(address, 'config', Host='faces.example.org')[1])
    assert config['root'].endswith('/faces')


def test_files_of_the_server_are_not_shown(address, run):
    for path in '/etc/passwd', str(run / 'config.json'), 'README.md', 'data/demo_faces.zip':
        assert ask(address, f'gradio_api/file={path}')[0] in (403, 404)


@pytest.fixture
def damaged(run, tmp_path):
    """A copy of the run whose checkpoint of step 10 is damaged."""
    copy = shutil.copytree(run, tmp_path / 'run')
    (copy / 'model.ckpt-10.data-00000-of-00001').write_bytes(b'damaged')
    return copy


def test_a_login_is_asked_for_faults_are_said_without_a_path_and_ctrl_c_stops(run, damaged, serve, tmp_path):
    (tmp_path / 'login.txt').write_text('ada:pass:word\n')
    address, process = serve(f'--model_dir={damaged}', f'--cache_dir={run.parent / "cache"}',
                             f'--auth={tmp_path / "login.txt"}')
    assert ask(address, 'config')[0] == 401
    with pytest.raises(ValueError, match='Could not login'):
        Client(address, auth=('ada', 'wrong'), verbose=False)
    client = Client(address, auth=('ada', 'pass:word'), download_files=str(tmp_path), verbose=False)
    assert client.predict('7', api_name='/faces')[2] == 'step 30, epoch 0.24'

    with pytest.raises(AppError) as error:
        client.predict('0-3', 1, api_name='/faces')
    assert str(error.value) == 'The server could not draw this. Its log says why.'
    client.predict('0-3', 2, api_name='/faces')  # the others are drawn

    process.send_signal(signal.SIGINT)
    done = process.end()
    assert done.returncode == 0
    assert f'cannot draw: cannot read {damaged / "model.ckpt-10"}: ' in done.stdout + done.stderr
    assert done.stdout.endswith('\nstopped\n')
    assert 'Traceback' not in done.stderr


def test_only_this_machine_can_connect_by_default(address):
    with socket.socket() as one:  # it would answer if the page listened on 0.0.0.0
        assert one.connect_ex(('127.0.0.2', urllib.parse.urlparse(address).port)) != 0


def mistake(*flags):
    done = run_script('explore.py', '--nobrowser', *flags)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    return done.stderr


def test_a_port_in_use_is_reported(run):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        assert f'explore.py: cannot listen on 127.0.0.1, port {port}; choose another --port' in mistake(
            f'--port={port}', *flags_of(run))


@pytest.fixture
def server():
    """The module dcgan.web.server. Gradio is slow to load, and other processes only collect these tests."""
    return importlib.import_module('dcgan.web.server')


def test_an_invalid_host_name_is_refused(server):
    with pytest.raises(UserError, match=r"invalid host name 'http://a.example' in --allowed_hosts; expected e.g. "):
        server.hosts_of('127.0.0.1', ['http://a.example'])


@pytest.mark.parametrize(('path', 'sentence'), [
    ('/no/such/file', 'cannot read /no/such/file: No such file or directory; --auth names a file'),
    (ROOT / 'LICENSE', 'LICENSE: it has more than 1,024 bytes; --auth names a file with user:password'),
    (ROOT / '.gitignore', '.gitignore does not hold user:password')])
def test_a_login_that_cannot_be_used_is_refused(server, path, sentence):
    with pytest.raises(UserError, match=sentence):
        server.read_login(path)
