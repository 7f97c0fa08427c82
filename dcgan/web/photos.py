"""Photos that visitors send."""

import secrets
import weakref

from nicegui import background_tasks, ui
from starlette.requests import Request
from starlette.responses import PlainTextResponse

MAX_PHOTO = 1 << 23  # bytes of a file

_uploads = weakref.WeakValueDictionary()  # {token: PhotoUpload}, those on a page


async def receive(token: str, request: Request):
    """Takes the photo in a request for the page of a token. Guard bounds its size."""
    upload = _uploads.get(token)
    if upload is None:
        return PlainTextResponse('There is no such page.\n', 404)
    upload.take(await request.body())
    return PlainTextResponse('')


def is_upload(path):
    """Returns whether a page takes photos at a path, /photo/TOKEN."""
    return path.rpartition('/')[2] in _uploads


class PhotoUpload:
    """A hidden upload element, with which a visitor chooses and sends photos.

    Attributes:
      choose: JavaScript that opens the file dialog; the click handler of a button.
    """

    def __init__(self, on_photo):
        """Adds the element to the page; ``on_photo`` is a coroutine function that takes the bytes of a file."""
        self._on_photo, token = on_photo, secrets.token_hex(16)
        _uploads[token] = self
        ui.context.client.on_delete(lambda: _uploads.pop(token, None))
        # A raw body has one part, so that nothing but its length needs a limit.
        uploader = ui.upload(auto_upload=True, max_file_size=MAX_PHOTO).classes('hidden')
        uploader.props(f'send-raw accept=image/* url=/photo/{token}')
        uploader.on_rejected(lambda: ui.notify(f'Choose an image file of at most {MAX_PHOTO >> 20} MiB.'))
        uploader.on('failed', lambda: ui.notify('The photo did not arrive. Try again in a minute.'), args=[])
        uploader.on('uploaded', uploader.reset, args=[])  # so that the same file can be chosen again
        self._uploader = uploader
        self.choose = f'() => getElement({uploader.id}).$refs.qRef.pickFiles()'

    def take(self, content):
        """Handles the bytes of a file in the background."""
        async def handle():
            with self._uploader:  # messages go to this page
                await self._on_photo(content)

        background_tasks.create(handle(), name='photo')
