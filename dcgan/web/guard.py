"""What stands between the network and the page: who may ask, for what, and how often."""

import asyncio
import collections
import contextlib
import ipaddress
import re
import socket
import time
from typing import NamedTuple
from urllib.parse import parse_qs, unquote

import nicegui
from starlette.responses import PlainTextResponse
from uvicorn.protocols.http.h11_impl import H11Protocol

from dcgan.web.messages import MAX_MESSAGE

MAX_PAGES, MAX_PAGES_OF_ADDRESS = 48, 32  # open at once; a single address leaves some to others
MAX_WAITING = 3  # seconds that a page waits for its browser while others want its place
# In requests. A page takes long to build; much arrives by a websocket before it is slowed down; a POST may hold several
# messages.
PAGE_COST, WEBSOCKET_COST, POST_COST = 20, 40, 4
MAX_BUDGETS = 4096
SEND_TIMEOUT = 30  # seconds; a websocket that takes nothing is closed
POST_TIMEOUT = 5  # seconds; socket.io waits forever after some invalid messages
UPLOAD_TIMEOUT = 120  # seconds
REQUEST_TIMEOUT = 10  # seconds; a connection without a request is closed
MAX_CONNECTIONS = 256  # of an address, besides websockets; a process may have 1024 files
RECEIVE_BUFFER = 4096  # bytes, of a websocket

PATHS = re.compile(rf'/|/favicon\.ico|/(?:picture|photo)/[0-9a-f]+|/_nicegui_ws/socket\.io/?|/_nicegui/'
                   rf'{re.escape(nicegui.__version__)}/(static|libraries|components|resources|dynamic_resources|esm)/.+')
HOST = re.compile(r'(?:\[([0-9a-f:.]+)\]|([a-z0-9._-]+))(?::\d{1,5})?')
ORIGIN = re.compile(r'https?://(.+)')
HOST_NAME = re.compile(r'[a-z0-9._-]+')
PREFIX = re.compile(r'(?:/(?!\.{1,2}(?:/|$))(?:[\w.~@+-]|%[0-9a-fA-F]{2})+)+', re.ASCII)
MAX_PREFIX = 256  # characters
PREFIX_HEADERS = b'x-forwarded-prefix', b'x-proxycontextpath'  # of nginx and others; of jupyter-server-proxy

BAD_HOST = 400, 'This server does not go by that host name. To allow it: explore.py --allowed_hosts=NAME'
BAD_ORIGIN = 403, 'Another site sent this request. To allow the host of a proxy: explore.py --allowed_hosts=NAME'
NO_LENGTH = 411, 'This request does not say how long it is.'
TOO_LONG = 413, 'This message is too long.'
NOT_FOUND = 404, 'There is nothing at this address.'
BAD_METHOD = 405, 'This method is not supported.'
TOO_MANY_VISITORS = 503, 'There are too many visitors. Try again in a minute.'
TOO_MANY_REQUESTS = 503, 'There are too many requests. Try again in a minute.'


class Limits(NamedTuple):
    """What a page, or an address without a page, may send.

    Attributes:
      requests: at once, open websockets included.
      rate: requests and messages in a second.
      burst: requests and messages at once after a pause.
    """

    requests: int
    rate: int
    burst: int


OF_PAGE = Limits(requests=8, rate=50, burst=200)
OF_UPLOAD = Limits(requests=1, rate=1, burst=5 * POST_COST)  # a photo takes seconds and memory
OF_ADDRESS = Limits(requests=256, rate=300, burst=2000)  # opening the page takes about 100


class Connection(H11Protocol):
    """A connection by HTTP that takes little from others, however slowly or fast its visitor sends."""

    def connection_made(self, transport):
        """Starts a connection; ends it if there are too many of its address."""
        super().connection_made(transport)
        self._end_without_request_after(self.cycle)
        same = [other for other in self.connections if isinstance(other, Connection) and other.address == self.address]
        if len(same) > MAX_CONNECTIONS:
            transport.abort()

    def handle_websocket_upgrade(self, event):
        """Becomes a websocket that reads little at once, so that a flood of frames is read in turns with others'."""
        self.transport.get_extra_info('socket').setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, RECEIVE_BUFFER)
        super().handle_websocket_upgrade(event)

    def on_response_complete(self):
        """Waits for the next request."""
        last = self.cycle
        super().on_response_complete()
        self._end_without_request_after(last)

    @property
    def address(self):
        """The visitor's address."""
        return self.client[0] if self.client else ''

    def _end_without_request_after(self, last):
        def end():
            if self.cycle is last and self in self.connections:  # websockets are not
                self.transport.abort()

        self.loop.call_later(REQUEST_TIMEOUT, end)


class Guard:
    """ASGI middleware that refuses what the page does not need.

    It refuses unknown hosts (against DNS rebinding), foreign origins, other paths and methods, too many pages and too
    many requests at once; it slows down whoever sends too many; it passes on prefixes of proxies that look like paths.
    What belongs to an open page counts for that page, so that nobody else at its address can slow it down.
    """

    def __init__(self, app, host, allowed_hosts, root_path, is_session, is_picture, is_upload, max_upload):
        """Wraps an ASGI application.

        Args:
          app: the application.
          host: the address that the server listens on.
          allowed_hosts: further names of the server, in lower case, e.g. a proxy's.
          root_path: the path at which a proxy shows the page, as PREFIX describes it; '' is the root.
          is_session, is_picture, is_upload: functions that say whether a session of socket.io, a picture at a path, or
            a page that takes photos at a path exists.
          max_upload: bytes of a photo.
        """
        self._app = app
        self._hosts = own_names(host) | set(allowed_hosts)
        self._allowed_hosts = frozenset(allowed_hosts)
        self._root_path = root_path
        self._is_session, self._is_picture = is_session, is_picture
        self._is_upload, self._max_upload = is_upload, max_upload
        self._requests = collections.Counter()  # of each sender, at present
        self._budgets = collections.OrderedDict()  # sender: messages left, and when that was so

    async def __call__(self, scope, receive, send):
        """Answers a request."""
        if scope['type'] not in ('http', 'websocket'):
            await self._app(scope, receive, send)
            return
        scope = self._without_prefix(scope)
        address = scope['client'][0] if scope['client'] else ''
        sender, limits = self._sender(scope, address)
        if self._requests[sender] >= limits.requests:
            await _refuse(TOO_MANY_REQUESTS, scope, receive, send)
            return
        self._requests[sender] += 1
        try:
            if scope['type'] == 'websocket':  # its messages count for the sender
                await self._slow_down(address, OF_ADDRESS, WEBSOCKET_COST)
            else:
                await self._slow_down(sender, limits, PAGE_COST if scope['path'] == '/' else
                                      POST_COST if scope['method'] == 'POST' else 1)
            refusal = self._refusal(scope, address)
            if refusal:
                await _refuse(refusal, scope, receive, send)
            elif scope['type'] == 'websocket':
                await self._serve_websocket(sender, limits, scope, receive, send)
            elif scope['method'] == 'POST':
                with contextlib.suppress(asyncio.TimeoutError):
                    await asyncio.wait_for(self._app(scope, receive, send),
                                           UPLOAD_TIMEOUT if limits is OF_UPLOAD else POST_TIMEOUT)
            else:
                await self._app(scope, receive, send)
        finally:
            self._requests[sender] -= 1
            if not self._requests[sender]:
                del self._requests[sender]

    def _sender(self, scope, address):
        """Returns whose request this is, a page's or else an address's, and its Limits."""
        path = scope['path']
        if path.startswith('/picture/') and self._is_picture(path):
            return path, OF_PAGE
        if path.startswith('/photo/') and self._is_upload(path):
            return path, OF_UPLOAD
        if path.startswith('/_nicegui_ws/'):
            query = parse_qs(scope['query_string'].decode('latin-1'))
            session, client = (query.get(name, [''])[0] for name in ('sid', 'client_id'))
            if self._is_session(session):
                return session, OF_PAGE
            if client in nicegui.Client.instances:
                return client, OF_PAGE
        return address, OF_ADDRESS

    async def _serve_websocket(self, sender, limits, scope, receive, send):
        is_open, closing = False, asyncio.Event()

        async def receive_slowly():
            await self._slow_down(sender, limits, 1)
            tasks = [asyncio.ensure_future(receive()), asyncio.ensure_future(closing.wait())]
            try:
                await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            finally:
                for task in tasks:
                    task.cancel()
            return {'type': 'websocket.disconnect', 'code': 1000} if closing.is_set() else tasks[0].result()

        async def send_in_time(message):
            nonlocal is_open
            if is_open and message['type'] == 'websocket.close':
                closing.set()  # drops the connection: a closing handshake would let the visitor send at any rate
                return
            is_open = True
            await asyncio.wait_for(send(message), SEND_TIMEOUT)

        try:
            await self._app(scope, receive_slowly, send_in_time)
        except Exception:  # socket.io raises many kinds for a message it cannot read; the socket closes
            return

    async def _slow_down(self, sender, limits, cost):
        """Waits while a sender is above its rate."""
        now = time.monotonic()
        budget, then = self._budgets.pop(sender, (limits.burst, now))
        budget = min(limits.burst, budget + (now - then) * limits.rate) - cost
        self._budgets[sender] = budget, now
        if len(self._budgets) > MAX_BUDGETS:
            self._budgets.popitem(last=False)
        if budget < 0:
            await asyncio.sleep(-budget / limits.rate)

    def _without_prefix(self, scope):
        """Returns the scope with a path below the prefix, and with the prefix, if it is valid, as NiceGUI takes it."""
        given = [value.decode('latin-1') for header in PREFIX_HEADERS for name, value in scope['headers']
                 if name == header]
        prefix = self._root_path or next((clean for one in given if is_path(clean := one.rstrip('/'))), '')
        headers = [pair for pair in scope['headers'] if pair[0] not in PREFIX_HEADERS]
        if prefix:
            headers.append((PREFIX_HEADERS[0], prefix.encode()))
        path, root = scope['path'], unquote(self._root_path)
        if root and (path == root or path.startswith(f'{root}/')):  # some proxies remove it, some do not
            path = path[len(root):] or '/'
        return {**scope, 'path': path, 'raw_path': path.encode(errors='replace'), 'headers': headers}

    def _refusal(self, scope, address):
        """Returns the status and the sentence of a refusal, or None."""
        hosts, origins = ([value.decode('latin-1').lower() for name, value in scope['headers'] if name == wanted]
                          for wanted in (b'host', b'origin'))
        if len(hosts) != 1 or _host_name(hosts[0]) not in {*self._hosts, _plain(scope['server'])}:
            return BAD_HOST
        if not all(self._is_own(origin, hosts[0]) for origin in origins):
            return BAD_ORIGIN
        if not PATHS.fullmatch(scope['path']):
            return NOT_FOUND
        is_upload = scope['path'].startswith('/photo/')
        if is_upload and not self._is_upload(scope['path']):
            return NOT_FOUND
        methods = ('POST',) if is_upload else (
            ('GET', 'POST') if scope['path'].startswith('/_nicegui_ws/') else ('GET', 'HEAD'))
        if scope.get('method', 'GET') not in methods:
            return BAD_METHOD
        lengths = [int(value) for name, value in scope['headers'] if name == b'content-length']
        if any(name == b'transfer-encoding' for name, _ in scope['headers']) or (is_upload and not lengths):
            return NO_LENGTH
        if any(length > (self._max_upload if is_upload else MAX_MESSAGE) for length in lengths):
            return TOO_LONG
        return TOO_MANY_VISITORS if scope['path'] == '/' and not _has_place(address) else None

    def _is_own(self, origin, host):
        match = ORIGIN.fullmatch(origin)
        return bool(match) and (match[1] == host or _host_name(match[1]) in self._allowed_hosts)


def own_names(host):
    """Returns the names, in lower case, by which a server that listens on ``host`` is known.

    The address at which a request arrives comes to these: a server on 0.0.0.0 may have several.
    """
    host = host.lower()
    is_everywhere = _is_address(host) and ipaddress.ip_address(host).is_unspecified
    is_local = host == 'localhost' or is_everywhere or (_is_address(host) and ipaddress.ip_address(host).is_loopback)
    names = {host}
    if is_local:
        names |= {'localhost', '127.0.0.1', '::1'}
    if is_everywhere:
        name = socket.gethostname().lower()
        names |= {name, name.partition('.')[0]}
    return names


def is_path(text):
    """Returns whether a text is a path that a proxy may show the page at, e.g. /faces."""
    return len(text) <= MAX_PREFIX and bool(PREFIX.fullmatch(text))


def is_host_name(text):
    """Returns whether a text is the name or address of a host, in lower case and without a port."""
    return _is_address(text) or bool(HOST_NAME.fullmatch(text))


def _is_address(text):
    try:
        ipaddress.ip_address(text)
    except ValueError:
        return False
    return True


def _host_name(host):
    """Returns the name in a Host header in lower case, without the port; None if it is invalid."""
    match = HOST.fullmatch(host)
    return match and (match[1] or match[2])


def _plain(server):
    """Returns the address at which a request arrived as a Host header has it."""
    return server[0].lower().removeprefix('::ffff:') if server else None


def _has_place(address):
    """Returns whether a visitor may open a page. Pages whose browser never came make room."""
    for _ in range(2):
        clients = list(nicegui.Client.instances.values())
        if len(clients) < MAX_PAGES and sum(client.ip == address for client in clients) < MAX_PAGES_OF_ADDRESS:
            return True
        for client in clients:
            if not client.has_socket_connection and client.created < time.time() - MAX_WAITING:
                client.delete()
    return False


async def _refuse(refusal, scope, receive, send):
    status, sentence = refusal
    headers = {'Connection': 'close', 'Cache-Control': 'no-store'}
    await PlainTextResponse(f'{sentence}\n', status, headers)(scope, receive, send)
