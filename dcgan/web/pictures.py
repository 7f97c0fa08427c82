"""Pictures on the page: drawn in the background, shown, and downloaded."""

import asyncio
import contextlib
import functools
import math
import secrets
import sys
import traceback
import weakref

import numpy as np
from nicegui import run, ui
from starlette.responses import PlainTextResponse, StreamingResponse

from dcgan.errors import UserError
from dcgan.sampling.draw import face_grid
from dcgan.sampling.pictures import png

MARK_COLOR = '#ffb300'
SPINNER_DELAY = 0.5  # seconds of drawing before a spinner appears
CACHED_GRIDS = 48
MAX_CACHED_PIXELS = 2 ** 20  # of a grid, less than 3 MB; larger grids are neither cached nor drawn in advance
MAX_DRAWINGS = 2  # at once for one address, so that it does not keep others waiting
CHUNK = 64 * 1024  # bytes

_pictures = weakref.WeakValueDictionary()  # {token: Picture}, those on a page
_turns = weakref.WeakValueDictionary()  # {address of visitors: Semaphore}


async def respond(token: str):
    """Answers a request for the picture of a token, as it is now."""
    picture = _pictures.get(token)
    if picture is None or picture.content is None:
        return PlainTextResponse('There is no such picture.\n', 404)

    async def chunks(content):  # a visitor who reads slowly takes no copy
        for start in range(0, len(content), CHUNK):
            yield content[start:start + CHUNK]

    headers = {'Content-Length': str(len(picture.content)), 'Cache-Control': 'no-store',
               'Cross-Origin-Resource-Policy': 'same-origin', 'X-Content-Type-Options': 'nosniff'}
    return StreamingResponse(chunks(picture.content), headers=headers, media_type='image/png')


def is_picture(path):
    """Returns whether a picture is shown at a path, /picture/TOKEN."""
    return path.rpartition('/')[2] in _pictures


class Picture:
    """A picture on the page, with a button to download it.

    The browser fetches it from the address /picture/TOKEN: messages would be kept for visitors who do not read them.

    Attributes:
      content: the bytes of the PNG that is shown, or None.
    """

    def __init__(self, width, turn=None):
        """Makes an empty place.

        Args:
          width: a CSS length.
          turn: a Semaphore that the drawing needs; None if it needs only that of the visitor's address.
        """
        self.content = None
        self._wanted = None  # the latest request of show(); None after clear()
        self._is_drawing = False
        self._name, self._url, self._version = None, f'/picture/{secrets.token_hex(16)}', 0
        _pictures[self._url.rpartition('/')[2]] = self
        visitor = ui.context.client
        visitor.on_delete(self.clear)
        self._turn, self._other_turn = _turn_of(visitor.ip), turn or contextlib.nullcontext()
        with ui.column().classes('gap-1 max-w-full').style(f'width: {width}') as self._place:
            self._image = ui.interactive_image(sanitize=False).classes('w-full')
            ui.button('Download', icon='download', on_click=self._download).props('flat dense no-caps size=sm')
        self._place.visible = False
        self._spinner = ui.spinner(size='lg')
        self._spinner.visible = False

    async def show(self, name, draw, then=None):
        """Draws and shows a picture. Of the requests that arrive while one is drawn, only the latest is drawn.

        Args:
          name: of the downloaded file.
          draw: called in a thread; returns the bytes of a PNG. If it fails, the visitor is told that it did, and
            standard error says why.
          then: called once the picture is shown.
        """
        self._wanted = name, draw, then
        if self._is_drawing:
            return
        self._is_drawing = True
        try:
            await self._draw()
        finally:
            self._is_drawing = self._spinner.visible = False

    def clear(self):
        """Removes the picture."""
        self._wanted = self.content = None
        self._place.visible = False

    async def _draw(self):
        drawn = None
        while self._wanted not in (None, drawn):
            drawn = name, draw, then = self._wanted
            drawing = asyncio.ensure_future(self._in_turn(draw))
            await asyncio.wait([drawing], timeout=SPINNER_DELAY)
            self._spinner.visible = not drawing.done()
            try:
                content = await drawing
            except Exception as error:  # whatever it is, the page must go on
                _report(error)
                ui.notify('The server could not draw this picture. Its log says why.', type='negative', timeout=0,
                          close_button='Close')
                continue
            if content is None or self._wanted is None:  # the server stops; or clear() was called
                continue
            self._name, self.content, self._version = name, content, self._version + 1
            self._image.set_source(f'{self._url}?v={self._version}')
            self._place.visible = True
            if then:
                then()

    async def _in_turn(self, draw):
        """Calls ``draw`` in a thread when the visitor's turn comes; returns None if nobody waits for it."""
        async with self._other_turn, self._turn:
            return await run.io_bound(draw) if self._wanted else None

    def _download(self):
        ui.download.from_url(f'{self._url}?v={self._version}', self._name, 'image/png')


class Faces(Picture):
    """A grid of faces that can be picked by a click."""

    def __init__(self, width, on_pick):
        """Makes an empty place; ``on_pick`` is called with the seed of a clicked face."""
        super().__init__(width)
        self._on_pick = on_pick
        self._picked, self._prefetch, self._is_prefetching = [], [], False
        self._set_layout((), 1, 1, [])
        self._image.style('cursor: pointer').on('mouse', self._on_click)

    async def show_faces(self, name, generator, seeds, columns, prefetch=()):
        """Shows the faces of seeds.

        Args:
          name: as ``show`` takes it.
          generator: a TrainedGenerator.
          seeds: int64 [n], n at least 1.
          columns: faces in a row.
          prefetch: TrainedGenerators whose grids of these seeds are drawn and cached afterwards, until other seeds are
            shown.
        """
        seeds = tuple(seeds.tolist())
        grid = _cached_grid if len(seeds) * generator.size ** 2 <= MAX_CACHED_PIXELS else _grid
        others = [functools.partial(grid, other, seeds, columns) for other in prefetch if grid is _cached_grid]
        self._prefetch = []
        await self.show(name, functools.partial(grid, generator, seeds, columns),
                        functools.partial(self._set_layout, seeds, columns, generator.size, others))
        if self._is_prefetching:
            return
        self._is_prefetching = True
        try:
            while self._prefetch:
                with contextlib.suppress(UserError):  # show() reports it
                    async with self._turn:
                        if self._prefetch:  # the visitor may have left meanwhile
                            await run.io_bound(self._prefetch.pop(0))
        finally:
            self._is_prefetching = False

    def clear(self):
        """Removes the picture; draws nothing more in advance."""
        super().clear()
        self._prefetch = []

    def mark(self, picked):
        """Labels faces with their seeds, and frames those of the picked seeds, a list; also in grids shown later."""
        self._picked, side, marks = list(picked), self._side, []
        for place, seed in enumerate(self._seeds):
            down, across = divmod(place, self._columns)
            x, y, is_picked = across * side, down * side, seed in self._picked
            height = side * min(0.2, 1.5 / len(str(seed)))
            if is_picked:
                marks.append(f'<rect x="{x + 1}" y="{y + 1}" width="{side - 2}" height="{side - 2}" fill="none" '
                             f'stroke="{MARK_COLOR}" stroke-width="2"/>')
            marks.append(f'<text x="{x + 3}" y="{y + side - 4}" fill="{MARK_COLOR if is_picked else "white"}" '
                         f'font-size="{height}" font-weight="bold" paint-order="stroke" stroke="black" '
                         f'stroke-width="{height / 8}" opacity="{1 if is_picked else 0.7}">{seed}</text>')
        self._image.set_content(''.join(marks))

    def _set_layout(self, seeds, columns, side, prefetch):
        """Records the grid on the page; ``side`` is the height and width of a face, in pixels."""
        self._seeds, self._columns, self._side, self._prefetch = seeds, columns, side, prefetch
        self.mark(self._picked)

    def _on_click(self, event):
        place = event.args if isinstance(event.args, dict) else {}
        x, y = place.get('image_x'), place.get('image_y')
        if not all(type(value) in (int, float) and math.isfinite(value) for value in (x, y)):
            return None
        across, down = int(x // self._side), int(y // self._side)
        index = down * self._columns + across
        if 0 <= across < self._columns and 0 <= index < len(self._seeds):
            return self._on_pick(self._seeds[index])
        return None


def _turn_of(address):
    """Returns the Semaphore that drawings for the visitors at an address share."""
    turn = _turns.get(address)
    if turn is None:
        turn = _turns[address] = asyncio.Semaphore(MAX_DRAWINGS)
    return turn


def _report(error):
    """Says on standard error why something could not be drawn: visitors are not told, as it may hold paths."""
    if isinstance(error, UserError):
        print(f'cannot draw a picture: {error}', file=sys.stderr, flush=True)
    else:
        traceback.print_exception(error)


def _grid(generator, seeds, columns):
    return png(face_grid(generator, np.array(seeds), -(-len(seeds) // columns), columns))


_cached_grid = functools.lru_cache(CACHED_GRIDS)(_grid)
