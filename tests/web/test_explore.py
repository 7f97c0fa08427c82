"""The page, driven in a real browser: Chromium with its driver, if both are installed."""

import json
import shutil
import signal
import socket
import urllib.parse
import urllib.request
from pathlib import Path

import imageio.v3 as imageio
import numpy as np
import pytest
from selenium import webdriver
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from dcgan.sampling import draw
from dcgan.sampling.checkpoint import read
from dcgan.sampling.exported import PRETRAINED
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.latents import parse_sum
from dcgan.sampling.projection import Projector
from dcgan.sampling.real_images import open_real_images
from dcgan.sampling.saved_latents import SavedLatent
from dcgan.web.state import open_explorer
from tests.commands import run_script
from tests.web.server import flags_of, free_port

SIZE = 16
SEEDS, SUM = 'Seeds, e.g. 7,100-163', 'Sum, e.g. mean(7,9) - 3 + 20'  # labels of fields
CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
needs_a_browser = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='Chromium or its driver is not installed')


class Visitor:
    """A browser on the page."""

    def __init__(self, browser, downloads, address):
        self.browser, self.downloads = browser, downloads
        self.browser.get(address)
        self.until(lambda: self.browser.find_elements(By.CLASS_NAME, 'q-card'))

    def until(self, condition):
        return WebDriverWait(self.browser, 30).until(lambda _: condition())

    def card(self, title):
        return self.browser.find_element(By.XPATH, f'//div[contains(@class, "q-card")][div[text()="{title}"]]')

    def press(self, title, button):
        self.card(title).find_element(By.XPATH, f'.//button[contains(., "{button}")]').click()

    def write(self, field, text):
        """Replaces the text of a field and presses Enter."""
        self.browser.find_element(By.XPATH, f'//input[@aria-label="{field}"]').send_keys(
            Keys.CONTROL, 'a', Keys.NULL, text, Keys.ENTER)

    def slide(self, slider, by):
        """Presses an arrow key ``by`` times, to the left if it is negative."""
        keys = [Keys.ARROW_LEFT if by < 0 else Keys.ARROW_RIGHT] * abs(by)
        self.browser.find_element(By.XPATH, f'//*[@aria-label="{slider}"]//*[@tabindex="0"]').send_keys(*keys)

    def choose(self, menu, choice):
        """Opens a menu and clicks a choice."""
        self.browser.find_element(By.XPATH, f'//*[@aria-label="{menu}"]').click()
        self.until(lambda: self.browser.find_elements(By.XPATH, f'//div[@role="option"][contains(., "{choice}")]'))[
            0].click()

    def picture(self, title):
        """Returns the picture in a card, or None."""
        image = self.card(title).find_element(By.TAG_NAME, 'img')
        source = image.get_attribute('src')
        if not (source and image.is_displayed()):
            return None
        with urllib.request.urlopen(source, timeout=30) as answer:
            return imageio.imread(answer.read())

    def until_shows(self, title, expected):
        """Waits until a card shows a picture, given as the bytes of its PNG."""
        expected = imageio.imread(expected).astype(int)
        self.until(lambda: (shown := self.picture(title)) is not None and shown.shape == expected.shape
                   and abs(shown - expected).max() <= 1)

    def pick(self, title, place, rows, columns):
        """Clicks a face of a grid."""
        image = self.card(title).find_element(By.TAG_NAME, 'img')
        down, across = divmod(place, columns)
        ActionChains(self.browser).move_to_element_with_offset(
            image, image.size['width'] * ((across + 0.5) / columns - 0.5),
            image.size['height'] * ((down + 0.5) / rows - 0.5)).click().perform()

    def marked(self, title):
        """Returns the seeds of the faces in a grid that are framed."""
        return [int(text.text) for text in self.card(title).find_elements(By.CSS_SELECTOR, 'svg rect + text')]

    def labels(self, title):
        """Returns the seeds that label the faces in a grid."""
        return [int(text.text) for text in self.card(title).find_elements(By.CSS_SELECTOR, 'svg text')]

    def says(self, sentence):
        self.until(lambda: sentence in self.browser.find_element(By.TAG_NAME, 'body').text)


@pytest.fixture(scope='module')
def browsers(tmp_path_factory):
    """Browsers that the tests share, each with its folder of downloads."""
    started = []

    def start():
        downloads = tmp_path_factory.mktemp('downloads')
        options = webdriver.ChromeOptions()
        options.binary_location = CHROMIUM
        for argument in '--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--window-size=1300,1400':
            options.add_argument(argument)
        options.add_experimental_option('prefs', {'download.default_directory': str(downloads)})
        options.set_capability('goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'})
        started.append((webdriver.Chrome(options, webdriver.ChromeService(DRIVER)), downloads))

    def browser(number):
        while len(started) <= number:
            start()
        return started[number]

    yield browser
    for browser, _ in started:
        browser.quit()


@pytest.fixture
def visit(browsers):
    """Opens the page in another browser each time; returns the Visitor."""
    visitors = []

    def visit(address):
        visitors.append(Visitor(*browsers(len(visitors)), address))
        return visitors[-1]

    yield visit
    for visitor in visitors:
        visitor.browser.get('about:blank')
        for kind in 'browser', 'performance':
            visitor.browser.get_log(kind)
        for path in visitor.downloads.iterdir():
            path.unlink()


@pytest.fixture(scope='module')
def generator(run):
    with TrainedGenerator(read(run / 'model.ckpt-30')) as generator:
        yield generator


def grid(generator, seeds, rows, columns):
    return draw.png(draw.face_grid(generator, np.array(seeds), rows, columns))


@needs_a_browser
def test_faces_are_picked_interpolated_added_and_compared_with_training_images(run, address, visit, generator):
    visitor = visit(address)
    visitor.until_shows('Faces', grid(generator, range(64), 8, 8))
    for place in 3, 17, 40:
        visitor.pick('Faces', place, 8, 8)
    visitor.until_shows('Picked faces', grid(generator, [3, 17, 40], 1, 3))
    assert visitor.marked('Faces') == [3, 17, 40]
    assert visitor.labels('Faces') == list(range(64))
    visitor.until_shows('Sum', draw.result(generator, parse_sum('mean(3,17,40)')))
    visitor.until_shows('Interpolation', draw.between(generator, 17, 40, 50))

    visitor.pick('Picked faces', 1, 1, 3)  # removes 17
    visitor.until_shows('Interpolation', draw.between(generator, 3, 40, 50))
    visitor.slide('Interpolation in percent', 20)
    visitor.until_shows('Interpolation', draw.between(generator, 3, 40, 70))
    visitor.slide('Interpolation in percent', 30)
    visitor.until_shows('Interpolation', grid(generator, [40], 1, 1))
    visitor.write(SUM, 'mean(3,40) - 7')
    visitor.pick('Faces', 12, 8, 8)  # does not change a typed sum
    visitor.until_shows('Interpolation', draw.between(generator, 40, 12, 100))
    visitor.until_shows('Sum', draw.result(generator, parse_sum('mean(3,40) - 7')))
    visitor.pick('Picked faces', 0, 1, 3)  # 3 is neither end of the interpolation
    visitor.until_shows('Picked faces', grid(generator, [40, 12], 1, 2))
    visitor.until_shows('Interpolation', draw.between(generator, 40, 12, 100))
    visitor.press('Nearest training images', 'Find')
    real_images = open_real_images(run, SIZE, None, run.parent / 'cache')
    nearest, _ = draw.neighbours(generator, np.array([12]), real_images, 5)
    visitor.until_shows('Nearest training images', nearest)
    assert not visitor.browser.get_log('browser')


@needs_a_browser
def test_the_face_nearest_to_a_photo_is_found_and_interpolated(address, visit, generator, tmp_path):
    visitor, [photo] = visit(address), generator.images(np.array([77]))
    imageio.imwrite(tmp_path / 'me.png', photo)
    visitor.until_shows('Faces', grid(generator, range(64), 8, 8))
    visitor.browser.execute_script("""
        document.querySelector('input[type=file]').addEventListener('click', event => {
            event.preventDefault(); document.title = 'chooses'; });""")
    visitor.press('Nearest face to a photo', 'Choose a photo')
    visitor.until(lambda: visitor.browser.title == 'chooses')
    visitor.browser.find_element(By.CSS_SELECTOR, 'input[type=file]').send_keys(str(tmp_path / 'me.png'))
    with Projector(generator) as projector:
        found = projector.project(photo)
    visitor.until_shows('Nearest face to a photo', draw.projection(found, 'photo', 2))
    visitor.press('Nearest face to a photo', 'Download latent')
    visitor.until(lambda: list(visitor.downloads.glob('photo.npy')))
    np.testing.assert_allclose(np.load(visitor.downloads / 'photo.npy'), found.latent, atol=1e-5)
    for place in 3, 17:
        visitor.pick('Faces', place, 8, 8)
    visitor.choose('From', 'photo')
    visitor.until_shows('Interpolation', draw.between(generator, SavedLatent(Path('photo.npy'), found.latent), 17, 50))
    assert not visitor.browser.get_log('browser')


@needs_a_browser
def test_the_slider_draws_from_earlier_checkpoints(run, address, visit, generator):
    visitor = visit(address)
    visitor.write(SEEDS, '5,9-11')
    visitor.until_shows('Faces', grid(generator, [5, 9, 10, 11], 2, 2))
    visitor.pick('Faces', 0, 2, 2)
    visitor.pick('Faces', 3, 2, 2)
    visitor.until_shows('Interpolation', draw.between(generator, 5, 11, 50))
    visitor.write(SEEDS, 'abc')  # invalid, so the faces stay
    for step, by in (20, -1), (0, -2):
        visitor.slide('Checkpoint', by)
        visitor.says(f'step {step}, epoch {step / 125:.2f}')
        with TrainedGenerator(read(run / f'model.ckpt-{step}')) as earlier:
            visitor.until_shows('Faces', grid(earlier, [5, 9, 10, 11], 2, 2))
            visitor.until_shows('Picked faces', grid(earlier, [5, 11], 1, 2))
            visitor.until_shows('Interpolation', draw.between(earlier, 5, 11, 50))
            visitor.until_shows('Sum', draw.result(earlier, parse_sum('mean(5,11)')))


@needs_a_browser
def test_next_and_previous_show_other_seeds(address, visit, generator):
    visitor = visit(address)
    visitor.press('Faces', 'Next')
    visitor.until_shows('Faces', grid(generator, range(64, 128), 8, 8))
    visitor.write(SEEDS, '10-13')
    for _ in range(3):
        visitor.press('Faces', 'Previous')
    visitor.until_shows('Faces', grid(generator, range(4), 2, 2))


@needs_a_browser
def test_a_downloaded_picture_is_the_one_on_the_page(address, visit):
    visitor = visit(address)
    visitor.until(lambda: visitor.picture('Faces') is not None)
    visitor.pick('Faces', 3, 8, 8)
    visitor.pick('Faces', 17, 8, 8)
    for title, name in (('Faces', 'faces'), ('Picked faces', 'picked'), ('Interpolation', 'between-3-17-50'),
                        ('Sum', 'sum'), ('Nearest training images', 'nearest-17')):
        if title == 'Nearest training images':
            visitor.press(title, 'Find')
        visitor.until(lambda title=title: visitor.picture(title) is not None)
        visitor.press(title, 'Download')
        path = visitor.downloads / f'{name}-step-0000030.png'
        visitor.until(path.exists)
        np.testing.assert_array_equal(imageio.imread(path), visitor.picture(title))


@needs_a_browser
def test_two_visitors_do_not_affect_each_other(address, visit, generator):
    one, two = visit(address), visit(address)
    one.write(SEEDS, '100-108')
    two.write(SEEDS, '200-203')
    one.pick('Faces', 8, 3, 3)
    two.slide('Checkpoint', -3)
    one.until_shows('Faces', grid(generator, range(100, 109), 3, 3))
    one.until_shows('Picked faces', grid(generator, [108], 1, 1))
    two.says('step 0, epoch 0.00')
    assert two.picture('Picked faces') is None
    assert not two.marked('Faces')


@needs_a_browser
@pytest.mark.parametrize(('field', 'text', 'sentence'), [
    (SEEDS, 'abc', "invalid seed 'abc'; expected e.g. 7,100-163"),
    (SEEDS, '0-999999', "'0-999999' names more than 256 seeds"),
    (SUM, '7 +', "invalid sum at '+'; expected e.g. "),
    (SUM, 'mean(0-999)', "'0-999' names more than 256 seeds"),
    (SUM, 'mean(0-199) + mean(0-199)', 'the sum names more than 256 seeds'),
])
def test_a_mistake_is_explained_below_its_field(address, visit, generator, field, text, sentence):
    visitor = visit(address)
    visitor.write(field, text)
    visitor.says(sentence)
    visitor.until_shows('Faces', grid(generator, range(64), 8, 8))  # unchanged
    visitor.write(field, '7')
    visitor.until_shows('Faces' if field == SEEDS else 'Sum', grid(generator, [7], 1, 1))
    assert sentence not in visitor.browser.find_element(By.TAG_NAME, 'body').text


@pytest.fixture(scope='module')
def moved(run, tmp_path_factory):
    """The run, without the images that it was trained on."""
    folder = tmp_path_factory.mktemp('moved')
    shutil.copytree(run, folder / 'run')
    settings = json.loads((run / 'config.json').read_text())
    (folder / 'run' / 'config.json').write_text(json.dumps({**settings, 'dataset_dir': str(folder / 'gone')}))
    return folder / 'run'


@pytest.fixture(scope='module')
def below_a_path(moved, serve):
    """The address of the page of the moved run, which is not the root."""
    return f'{serve(*flags_of(moved), "--root_path=/faces", path="/faces/")[0]}faces/'


@needs_a_browser
def test_the_page_says_why_there_are_no_training_images(moved, below_a_path, visit):
    visitor = visit(below_a_path)
    visitor.says('The training images are not available. The log of the server says why.')
    assert str(moved.parent) not in visitor.browser.page_source


@needs_a_browser
def test_the_pretrained_generator_is_the_default(run, serve, visit):
    visitor = visit(serve(f'--cache_dir={run.parent / "cache"}')[0])
    visitor.says(f'DCGAN faces: {PRETRAINED.stem}')
    with TrainedGenerator(read(PRETRAINED, 'auto')) as pretrained:
        visitor.until_shows('Faces', grid(pretrained, range(64), 8, 8))


@needs_a_browser
def test_the_page_works_below_a_path(below_a_path, visit, generator):
    visitor = visit(below_a_path)
    visitor.until_shows('Faces', grid(generator, range(64), 8, 8))
    visitor.press('Faces', 'Download')
    visitor.until((visitor.downloads / 'faces-step-0000030.png').exists)
    messages = (json.loads(entry['message'])['message'] for entry in visitor.browser.get_log('performance'))
    asked = {urllib.parse.urlparse(message['params']['request']['url']) for message in messages
             if message['method'] == 'Network.requestWillBeSent'}
    assert all(url.path.startswith('/faces/') for url in asked if url.scheme != 'data')


@needs_a_browser
def test_the_page_loads_nothing_from_the_network(address, visit):
    visitor = visit(address)
    visitor.until(lambda: visitor.picture('Faces') is not None)
    messages = (json.loads(entry['message'])['message'] for entry in visitor.browser.get_log('performance'))
    asked = {urllib.parse.urlparse(message['params']['request']['url']) for message in messages
             if message['method'] == 'Network.requestWillBeSent'}
    assert {f'{url.scheme}://{url.netloc}/' for url in asked if url.scheme != 'data'} == {address}


def test_ctrl_c_stops_the_server(run, serve):
    address, process = serve(*flags_of(run))
    with urllib.request.urlopen(address, timeout=30) as page:
        assert page.status == 200
    process.send_signal(signal.SIGINT)
    output = process.communicate(timeout=30)[0]
    assert (process.returncode, output) == (0, '\nstopped\n')


def test_only_this_machine_can_connect_by_default(address):
    with socket.socket() as one:  # it would answer if the page listened on 0.0.0.0
        assert one.connect_ex(('127.0.0.2', urllib.parse.urlparse(address).port)) != 0


def test_the_log_says_why_there_are_no_training_images(run, moved, capsys):
    with open_explorer(moved, 'auto', None, run.parent / 'cache') as state:
        assert state.real_images is None
        assert state.name == 'run'
    assert 'the training images are not where they were: ' in capsys.readouterr().err


def mistake(run, port, *flags):
    done = run_script('explore.py', f'--port={port}', '--nobrowser', *flags_of(run), *flags)
    assert done.returncode == 1
    assert 'Traceback' not in done.stderr
    return done.stderr


def test_a_port_in_use_is_reported(run):
    with socket.create_server(('127.0.0.1', 0)) as server:
        port = server.getsockname()[1]
        assert f'cannot listen on 127.0.0.1, port {port}: Address already in use; choose another --port' in (
            mistake(run, port))


def test_an_unknown_host_is_reported(run):
    assert 'explore.py: cannot listen on no.such.host, port ' in mistake(run, free_port(), '--host=no.such.host')


def test_a_missing_run_is_reported(tmp_path):
    assert f"explore.py: the run directory '{tmp_path / 'none'}' does not exist" in (
        mistake(tmp_path / 'none', free_port()))


def test_images_of_another_data_set_are_refused(run, faces):
    assert 'explore.py: the 14 images of faces are not those that the run was trained on; say where' in (
        mistake(run, free_port(), f'--dataset_dir={faces}'))
