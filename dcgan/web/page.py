"""The page: faces, interpolations, sums, nearest training images, the face nearest to a photo, at each checkpoint."""

import asyncio
import contextlib
import functools
import math
import os
import signal
from pathlib import Path

import numpy as np
from nicegui import app, core, run, ui

from dcgan.errors import UserError
from dcgan.sampling import draw
from dcgan.sampling.latents import parse_sum
from dcgan.sampling.projection import Projector, read_photo
from dcgan.sampling.saved_latents import SavedLatent, encode_latent
from dcgan.sampling.seeds import MAX_SEED, format_seeds, parse_seeds
from dcgan.signals import handle_stop_signals
from dcgan.web.guard import Connection, Guard
from dcgan.web.messages import MAX_MESSAGE, guard_messages
from dcgan.web.photos import MAX_PHOTO, PhotoUpload, is_upload, receive
from dcgan.web.pictures import Faces, Picture, is_picture, respond

MAX_SEEDS = 256  # in a grid or a sum
MAX_PIXELS = 2 ** 22  # of a grid
MAX_PICKED = 64
MAX_TEXT = 2000  # characters of a field
PREFETCH = 8  # checkpoints whose faces are drawn in advance
PICKED_COLUMNS = 8
NEAREST = 5  # training images
INITIAL_FACES = 64
MAX_HISTORY = 100  # messages kept for a browser whose connection breaks
PHOTO = 'photo'  # among the faces to choose from
PHOTO_SCALE = 2
MAX_DECODING_MEMORY, MAX_DECODING_SECONDS = 1 << 28, 10  # of a photo

_projecting = asyncio.Semaphore(1)  # it takes all cores for seconds, and decoding takes memory


def serve(state, host, port, opens_browser, allowed_hosts=(), root_path=''):
    """Serves the page until a signal ends the process; each visitor gets a separate page.

    Args:
      state: an ExplorerState.
      host, port: the address to listen on.
      opens_browser: whether to open a browser on this machine.
      allowed_hosts, root_path: as Guard takes them.

    Raises:
      UserError: the server cannot start.
    """
    app.add_middleware(Guard, host=host, allowed_hosts=allowed_hosts, root_path=root_path,
                       is_session=lambda session: session in core.sio.eio.sockets, is_picture=is_picture,
                       is_upload=is_upload, max_upload=MAX_PHOTO)
    app.get('/picture/{token}')(respond)
    app.post('/photo/{token}')(receive)
    guard_messages(core.sio)
    _end_at_once_on_signals()
    try:
        # Compressing would keep the event loop from others. h11 bounds headers. A deflated message may be a bomb.
        ui.run(lambda: Page(state), host=host, port=port, show=opens_browser, title=f'DCGAN faces: {state.name}',
               reload=False, show_welcome_message=False, message_history_length=MAX_HISTORY,
               gzip_middleware_factory=None, http=Connection, ws_max_size=MAX_MESSAGE, ws_per_message_deflate=False,
               timeout_graceful_shutdown=1, uvicorn_logging_level='critical')
    except SystemExit as stop:
        raise UserError(f'cannot listen on {host}, port {port}; choose another --port or --host') from stop


def _end_at_once_on_signals():
    """Makes signal handlers that exit end the process at once: the interpreter would wait for threads that draw.

    Ignored signals stay ignored.
    """
    def end(number, frame):
        try:
            before[number](number, frame)
        except SystemExit as stop:
            os._exit(stop.code)

    before = handle_stop_signals(end)
    ignored = [number for number, handler in before.items() if handler is signal.SIG_IGN]
    app.on_startup(lambda: [signal.signal(number, signal.SIG_IGN) for number in ignored])  # the server handles them


class Page:
    """The page of one visitor."""

    def __init__(self, state):
        """Builds the page of an ExplorerState; the first faces are drawn once the browser is connected."""
        self._state = state
        self._picked = []  # seeds, in the order of the clicks
        self._projected = None  # the SavedLatent of the face nearest to the visitor's photo
        self._max_faces = max(1, min(MAX_SEEDS, MAX_PIXELS // state.generators[0].size ** 2))
        self._seeds, self._terms = np.arange(min(INITIAL_FACES, self._max_faces)), []  # of the faces and the sum
        ui.label(f'DCGAN faces: {state.name}').classes('text-h6')
        self._build_checkpoint()
        with ui.element('div').classes('grid w-full gap-4 items-start grid-cols-1 lg:grid-cols-2 2xl:grid-cols-3'):
            self._build_faces()
            with ui.element('div').classes('grid gap-4 items-start grid-cols-1 2xl:grid-cols-2 2xl:col-span-2'):
                with ui.column().classes('w-full'):
                    self._build_picked()
                    self._build_nearest()
                with ui.column().classes('w-full'):
                    with ui.row().classes('w-full items-stretch'):
                        self._build_interpolation()
                        self._build_sum()
                    self._build_photo()
        ui.timer(0, self._show_faces, once=True)

    def _build_checkpoint(self):
        last = len(self._state.generators) - 1
        with ui.row().classes('w-full items-center no-wrap'):
            ui.label('Checkpoint').classes('whitespace-nowrap')
            self._slider = ui.slider(min=0, max=last, value=last, on_change=self._change_checkpoint)
            self._slider.props('snap markers aria-label="Checkpoint"').set_enabled(last > 0)
            ui.label().classes('whitespace-nowrap').bind_text_from(
                self._slider, 'value', lambda value: self._state.moments[_whole(value, last, last)])

    def _build_faces(self):
        with _card('Faces', 'The number is the seed. Click a face to pick it; click again to remove it.'):
            self._seeds_field = _field('Seeds, e.g. 7,100-163', format_seeds(self._seeds), self._draw_faces)
            with ui.row():
                _button('Draw', self._draw_faces)
                _button('Previous', lambda: self._turn(-1))
                _button('Next', lambda: self._turn(1))
            self._faces = Faces('100%', self._pick)

    def _build_picked(self):
        with _card('Picked faces', 'Click a face to remove it.'):
            self._picks = Faces('auto', self._pick)

    def _build_interpolation(self):
        with _card('Interpolation', 'Slide from one picked face to another.').classes('flex-1 min-w-64'):
            with ui.row().classes('w-full no-wrap'):
                self._start = ui.select([], label='From', on_change=self._show_interpolation).classes('grow')
                self._end = ui.select([], label='To', on_change=self._show_interpolation).classes('grow')
            self._percent = ui.slider(min=0, max=100, value=50, on_change=self._show_interpolation)
            self._percent.props('label aria-label="Interpolation in percent"')
            self._interpolation = Picture('12rem')

    def _build_sum(self):
        with _card('Sum', 'Adds latents. A mean draws a face; a large sum does not.').classes('flex-1 min-w-64'):
            self._sum_field = _field('Sum, e.g. mean(7,9) - 3 + 20', '', self._draw_sum)
            _button('Add up', self._draw_sum)
            self._result = Picture('12rem')

    def _build_nearest(self):
        with _card('Nearest training images', 'By root mean square difference of pixels, in levels of 0 to 255.'):
            with ui.row().classes('items-center'):
                self._face = ui.select([], label='Face', on_change=lambda: self._nearest.clear()).classes('w-32')
                find = _button('Find', self._find_nearest)
            if self._state.real_images is None:
                find.disable()
                ui.label('The training images are not available. The log of the server says why.')
            self._nearest = Picture('auto')

    def _build_photo(self):
        with _card('Nearest face to a photo', 'Crop the photo to a face. The number is the root mean square '
                   'difference of pixels. Few photos have a near face.'):
            self._upload = PhotoUpload(self._project)
            _button('Choose a photo').on('click', js_handler=self._upload.choose)
            self._projection = Picture('auto', _projecting)
            self._save_latent = _button('Download latent', lambda: ui.download.content(
                encode_latent(self._projected.latent), str(self._projected.path)))
            self._save_latent.visible = False

    @property
    def _moment(self):
        """The index of the checkpoint to draw from."""
        last = len(self._state.generators) - 1
        return _whole(self._slider.value, last, last)

    @property
    def _generator(self):
        return self._state.generators[self._moment]

    def _filename(self, name):
        return f'{name}-{self._generator.checkpoint.label}.png'

    async def _pick(self, seed):
        """Picks a face, or removes it from the picked ones."""
        is_new = seed not in self._picked
        most = min(MAX_PICKED, self._max_faces)
        if is_new and len(self._picked) >= most:
            ui.notify(f'{most} faces are picked, the maximum. Click one to remove it.')
            return
        follows_picks = self._sum_field.value == _sum_of(self._picked)  # the visitor has not typed another sum
        if is_new:
            self._picked.append(seed)
        else:
            self._picked.remove(seed)
        self._faces.mark(self._picked)
        self._picks.mark(self._picked)
        self._update_choices(is_new)
        if follows_picks:
            self._sum_field.value = _sum_of(self._picked)
            await asyncio.gather(self._show_picked(), self._draw_sum())
        else:
            await self._show_picked()

    def _update_choices(self, is_new):
        """Lists the picked faces in each menu; selects the latest after a new pick or if a selected one was removed."""
        texts = [str(seed) for seed in self._picked]  # a browser would round large numbers
        if self._projected:
            texts.insert(0, PHOTO)
        last, second_last = [*texts[::-1], None, None][:2]
        choices = [(self._start, second_last), (self._end, last if len(texts) > 1 else None), (self._face, last)]
        is_new = is_new or not all(choice.value in texts for choice, _ in choices)
        for choice, value in choices:
            choice.set_options(texts, value=value if is_new else choice.value)

    async def _turn(self, pages):
        """Shows the next seeds (1) or the previous ones (-1), as many as now."""
        offset = min(max(pages * len(self._seeds), -int(self._seeds.min())), MAX_SEED - int(self._seeds.max()))
        self._seeds = self._seeds + offset
        self._seeds_field.value, self._seeds_field.error = format_seeds(self._seeds), None
        await self._show_faces()

    async def _change_checkpoint(self):
        self._nearest.clear()
        await asyncio.gather(self._show_faces(), self._show_picked(), self._show_interpolation(), self._show_sum())

    async def _draw_faces(self):
        with _showing_errors(self._seeds_field):
            self._seeds = parse_seeds(_text_of(self._seeds_field), self._max_faces)
            await self._show_faces()

    async def _draw_sum(self):
        with _showing_errors(self._sum_field):
            text = _text_of(self._sum_field)
            self._terms = parse_sum(text, MAX_SEEDS) if text.strip() else []
            await self._show_sum()

    async def _show_faces(self):
        time, generators = self._moment, self._state.generators
        by_distance = sorted(range(len(generators)), key=lambda other: abs(other - time))
        await self._faces.show_faces(self._filename('faces'), self._generator, self._seeds,
                                     math.ceil(math.sqrt(len(self._seeds))),
                                     prefetch=[generators[other] for other in by_distance[1:PREFETCH + 1]])

    async def _show_picked(self):
        if not self._picked:
            self._picks.clear()
            return
        await self._picks.show_faces(self._filename('picked'), self._generator, np.array(self._picked),
                                     min(len(self._picked), PICKED_COLUMNS))

    async def _show_interpolation(self):
        start, end, percent = self._start.value, self._end.value, _whole(self._percent.value, 100, 50)
        if start is None or end is None:
            self._interpolation.clear()
            return
        await self._interpolation.show(self._filename(f'between-{start}-{end}-{percent}'), functools.partial(
            draw.between, self._generator, self._point(start), self._point(end), percent))

    async def _show_sum(self):
        if not self._terms:
            self._result.clear()
            return
        await self._result.show(self._filename('sum'), functools.partial(draw.result, self._generator, self._terms))

    async def _find_nearest(self):
        if self._state.real_images is None:
            return
        if self._face.value is None:
            ui.notify('Pick a face first.')
            return
        generator, real_images, point = self._generator, self._state.real_images, self._point(self._face.value)
        await self._nearest.show(self._filename(f'nearest-{self._face.value}'), lambda: draw.neighbours(
            generator, np.array([point]), real_images, NEAREST)[0])

    async def _project(self, content):
        """Finds the face nearest to a photo, the bytes of an image file."""
        generator, found = self._generator, []
        try:
            async with _projecting:
                photo = await run.io_bound(read_photo, content, generator.checkpoint, MAX_DECODING_MEMORY,
                                           MAX_DECODING_SECONDS)
        except UserError as error:
            ui.notify(f'This photo cannot be used: {error}.')
            return
        if photo is None:  # the server stops
            return

        def project():
            with Projector(generator) as projector:
                found.append(projector.project(photo))
            return draw.projection(found[-1], PHOTO, PHOTO_SCALE)

        def offer():
            self._projected = SavedLatent(Path(f'{PHOTO}.npy'), found[-1].latent)
            self._save_latent.visible = True
            self._update_choices(is_new=False)

        await self._projection.show(self._filename('nearest-to-photo'), project, offer)

    def _point(self, text):
        """Returns what a choice of a menu stands for, a seed or a SavedLatent."""
        return self._projected if text == PHOTO else int(text)


def _whole(value, most, otherwise):
    """Returns what a visitor's slider sent as an int from 0 to ``most``; for anything else, ``otherwise``."""
    return int(value) if type(value) in (int, float) and 0 <= value <= most else otherwise


def _text_of(field):
    """Returns what a visitor wrote, short enough to parse at once.

    Raises:
      UserError: it is too long.
    """
    text = field.value if isinstance(field.value, str) else ''
    if len(text) > MAX_TEXT:
        raise UserError(f'the text has {len(text):,} characters; the limit is {MAX_TEXT:,}')
    return text


def _sum_of(seeds):
    """Returns the sum for picked seeds: their mean, as the sum of several latents no longer draws a face."""
    return f'mean({",".join(map(str, seeds))})' if len(seeds) > 1 else ''.join(map(str, seeds))


def _card(title, hint):
    card = ui.card().classes('w-full gap-2')
    with card:
        ui.label(title).classes('text-subtitle1 font-bold')
        ui.label(hint).classes('text-caption')
    return card


def _field(label, value, on_enter):
    return ui.input(label, value=value).classes('w-full').props(f'hide-bottom-space maxlength={MAX_TEXT}').on(
        'keydown.enter', on_enter)


def _button(text, on_click=None):
    return ui.button(text, on_click=on_click).props('no-caps dense').classes('px-3')


@contextlib.contextmanager
def _showing_errors(field):
    """Shows a UserError below the field that caused it."""
    field.error = None
    try:
        yield
    except UserError as error:
        field.error = str(error)
