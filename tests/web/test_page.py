"""The page as a person uses it: in Chromium with its driver, if both are installed."""

import json
import shutil
import urllib.parse
import urllib.request

import imageio.v3 as imageio
import numpy as np
import pytest
from selenium import webdriver
from selenium.common.exceptions import StaleElementReferenceException
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.support.wait import WebDriverWait

from dcgan.sampling import draw
from dcgan.sampling.generator import TrainedGenerator
from dcgan.sampling.generator_checkpoint import read
from dcgan.sampling.latents import parse_sum

CHROMIUM, DRIVER = shutil.which('chromium'), shutil.which('chromedriver')
pytestmark = pytest.mark.skipif(not (CHROMIUM and DRIVER), reason='Chromium or its driver is not installed')


class Visitor:
    """A browser on the page."""

    def __init__(self, browser, downloads, address):
        self.browser, self.downloads = browser, downloads
        self.browser.get(address)
        self.until(lambda: self.faces())

    def until(self, condition):
        return WebDriverWait(self.browser, 60, ignored_exceptions=[StaleElementReferenceException]).until(
            lambda _: condition())

    def find(self, path):
        """Waits for a visible element."""
        return self.until(lambda: next(
            (one for one in self.browser.find_elements(By.XPATH, path) if one.is_displayed()), None))

    def press(self, button):
        self.find(f'//button[normalize-space()="{button}"]').click()

    def field(self, label):
        return self.find(f'//label[starts-with(normalize-space(), "{label}")]//*[self::input or self::textarea]')

    def write(self, label, text):
        """Replaces the text of a field and presses Enter."""
        self.field(label).send_keys(Keys.CONTROL, 'a', Keys.NULL, text, Keys.ENTER)

    def faces(self, gallery='faces'):
        return self.browser.find_elements(By.CSS_SELECTOR, f'#{gallery} button[aria-label^="Face "]')

    def seeds(self, gallery='faces'):
        return [int(face.get_attribute('aria-label').removeprefix('Face ')) for face in self.faces(gallery)]

    def picture(self, image):
        with urllib.request.urlopen(image.get_attribute('src'), timeout=30) as answer:
            return imageio.imread(answer.read()).astype(int)

    def until_shows(self, seeds, generator, gallery='faces'):
        """Waits until a gallery has the faces of these seeds."""
        self.until(lambda: self.seeds(gallery) == list(seeds))
        expected = generator.images(np.array(seeds))
        self.until(lambda: all(np.abs(self.picture(face.find_element(By.TAG_NAME, 'img')) - image).max() <= 1
                               for face, image in zip(self.faces(gallery), expected, strict=True)))

    def until_picture(self, label, expected):
        """Waits until the picture of a label is the expected one."""
        path = f'//div[contains(@class, "block")][.//label[normalize-space()="{label}"]]//img'
        self.until(lambda: (images := self.browser.find_elements(By.XPATH, path)) and (
            shown := self.picture(images[0])).shape == expected.shape and np.abs(shown - expected).max() <= 1)

    def address(self):
        return dict(urllib.parse.parse_qsl(urllib.parse.urlparse(self.browser.current_url).query))


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    downloads = tmp_path_factory.mktemp('downloads')
    options = webdriver.ChromeOptions()
    options.binary_location = CHROMIUM
    for argument in '--headless=new', '--no-sandbox', '--disable-dev-shm-usage', '--window-size=1300,1600':
        options.add_argument(argument)
    options.add_experimental_option('prefs', {'download.default_directory': str(downloads)})
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL', 'browser': 'ALL'})
    browser = webdriver.Chrome(options, webdriver.ChromeService(DRIVER))
    yield browser, downloads
    browser.quit()


@pytest.fixture
def visit(browser):
    return lambda address: Visitor(*browser, address)


@pytest.fixture(scope='module')
def generators(run):
    """TrainedGenerators of the averages of steps 10 and 30, and that of step 30 as the page enlarges faces."""
    generators = [TrainedGenerator(read(run / f'model.ckpt-{step}', 'ema'), scale=scale)
                  for step, scale in ((10, 1), (30, 1), (30, 3))]
    yield generators
    for generator in generators:
        generator.__exit__()


def test_faces_are_picked_by_mouse_and_keyboard_and_survive_a_reload(address, visit, generators):
    visitor, (_, generator, enlarged) = visit(address), generators
    visitor.until_shows(range(64), generator)
    visitor.faces()[3].click()
    visitor.until(lambda: visitor.field('Picked seeds').get_attribute('value') == '3')
    visitor.faces()[17].send_keys(Keys.ENTER)
    visitor.until(lambda: visitor.field('Picked seeds').get_attribute('value') == '3,17')
    visitor.faces()[40].send_keys(Keys.SPACE)
    visitor.until_shows([3, 17, 40], enlarged, 'picks')
    visitor.until_picture('Face between', draw.between(enlarged, np.array([17, 40]), 50))
    status = visitor.browser.find_element(By.ID, 'status')
    assert status.text == 'Face 40 picked. Picked: 3.'
    assert status.get_attribute('aria-live') == 'polite'
    visitor.faces()[17].click()
    visitor.until_shows([3, 40], enlarged, 'picks')
    visitor.press('Sum')
    visitor.until_picture('Result', draw.result(enlarged, parse_sum('mean(3,40)')))
    visitor.until(lambda: visitor.address() == {'seeds': '0-63', 'picked': '3,40', 'step': '30', 'weights': 'ema'})

    visitor.browser.refresh()
    visitor.until_shows([3, 40], enlarged, 'picks')
    visitor.press('Clear')
    visitor.until(lambda: not visitor.faces('picks') and 'picked' not in visitor.address())
    assert not visitor.browser.get_log('browser')


def test_other_seeds_are_shown_by_buttons_and_by_typing(address, visit, generators):
    visitor, generator = visit(address), generators[1]
    visitor.press('Next')
    visitor.until_shows(range(64, 128), generator)
    visitor.write('Seeds', '10-13')
    visitor.until_shows(range(10, 14), generator)
    for _ in range(3):
        before = visitor.seeds()
        visitor.press('Previous')
        visitor.until(lambda before=before: visitor.seeds() != before)
    visitor.until_shows(range(4), generator)
    visitor.press('Random')
    visitor.until(lambda: visitor.seeds()[0] > 13)
    visitor.until_shows(range(visitor.seeds()[0], visitor.seeds()[0] + 4), generator)
    visitor.write('Seeds', 'abc')
    alert = visitor.find('//*[@role="status"][@aria-live="polite"][contains(., "invalid")]')
    assert "invalid seed 'abc'; expected e.g. 7,100-163." in alert.text


def test_the_slider_goes_to_other_checkpoints(address, visit, generators):
    visitor, earlier = visit(f'{address}?seeds=5,9&picked=7'), generators[0]
    visitor.until_shows([5, 9], generators[1])
    for _ in range(2):
        visitor.find('//input[@type="range"][@max="3"]').send_keys(Keys.ARROW_LEFT)
    visitor.until_shows([5, 9], earlier)
    visitor.until(lambda: visitor.address()['step'] == '10')
    assert 'step 10, epoch 0.08' in visitor.browser.find_element(By.TAG_NAME, 'body').text


def test_an_address_opens_a_checkpoint_and_names_one_that_is_not_there(address, visit, generators):
    visit(f'{address}?seeds=5,9&step=10&weights=ema').until_shows([5, 9], generators[0])
    visitor = visit(f'{address}?seeds=5,9&step=11')
    warning = visitor.find('//*[@role="status"][@aria-live="polite"][contains(., "no checkpoint")]')
    assert 'There is no checkpoint of step 11; these faces are of the newest one.' in warning.text


def test_a_film_plays_and_faces_are_downloaded(address, visit):
    visitor = visit(f'{address}?picked=3,17')
    visitor.press('Film')
    visitor.press('Play')
    film = visitor.until(lambda: visitor.browser.find_element(By.TAG_NAME, 'video'))
    visitor.until(lambda: visitor.browser.execute_script('return arguments[0].currentTime > 0', film))
    visitor.press('Download these faces')
    visitor.until((visitor.downloads / 'faces-step-0000030.png').exists)


def test_the_page_loads_nothing_from_the_network(address, visit):
    visitor = visit(address)
    visitor.browser.get_log('performance')
    visitor = visit(address)
    messages = (json.loads(entry['message'])['message'] for entry in visitor.browser.get_log('performance'))
    asked = {urllib.parse.urlparse(message['params']['request']['url']) for message in messages
             if message['method'] == 'Network.requestWillBeSent'}
    assert {f'{url.scheme}://{url.netloc}/' for url in asked if url.scheme not in ('data', 'blob')} == {address}
