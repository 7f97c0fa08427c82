"""Checks what visitors send by socket.io, before NiceGUI reads it."""

import inspect
import logging
import re
import traceback
from pathlib import Path
from urllib.parse import parse_qs

import nicegui
from socketio import packet

MAX_MESSAGE = 64 * 1024  # bytes
NUMBER = re.compile(r'\d{1,15}', re.ASCII)

FIELDS = {  # of the messages that NiceGUI's browser code sends
    'handshake': {'client_id': str, 'tab_id': str, 'document_id': str},
    'event': {'client_id': str, 'id': int, 'listener_id': str, 'args': list},
    'javascript_response': {'client_id': str, 'request_id': str},
    'ack': {'client_id': str, 'next_message_id': int},
    'log': {},
}


def guard_messages(sio):
    """Makes NiceGUI's socket.io server ignore invalid messages, and bounds the size of all.

    Args:
      sio: a socketio.AsyncServer with NiceGUI's handlers.
    """
    sio.eio.max_http_buffer_size = MAX_MESSAGE
    sio.async_handlers = sio.eio.async_handlers = False  # a connection's messages wait for each other, not in the loop
    # What these report is what visitors sent: they could fill the log.
    for name in 'engineio.server', 'socketio.server':
        logging.getLogger(name).setLevel(logging.CRITICAL)
    logging.getLogger('nicegui').addFilter(_is_ours)
    handle, handlers = sio.eio.handlers['message'], dict(sio.handlers['/'])

    async def check(connection, data):
        if is_valid(data):
            await handle(connection, data)

    async def connect(sid, environ, auth=None):
        return _is_valid_query(environ.get('QUERY_STRING', '')) and await handlers['connect'](sid, environ, auth)

    def tolerate(handler):
        async def handle_message(sid, *arguments):
            try:
                result = handler(sid, *arguments)
                return await result if inspect.isawaitable(result) else result
            except (KeyError, TypeError, ValueError, AttributeError):  # e.g. an element that the page does not have
                return None
        return handle_message

    sio.eio.on('message', check)
    sio.on('connect', connect)
    for name in 'handshake', 'event', 'javascript_response', 'ack':
        sio.on(name, tolerate(handlers[name]))
    sio.on('log', lambda sid, message: None)  # a visitor's log is not the server's


def is_valid(data):
    """Whether data is a socket.io packet as NiceGUI's browser code sends it: text, of a known event and its fields."""
    if not isinstance(data, str):
        return False
    try:
        message = packet.Packet(encoded_packet=data)
    except (ValueError, TypeError, IndexError):
        return False
    if message.namespace not in (None, '/'):
        return False
    if message.packet_type == packet.EVENT:
        return _is_valid_event(message.data)
    return message.packet_type in (packet.CONNECT, packet.DISCONNECT)


def _is_valid_event(data):
    if not (isinstance(data, list) and len(data) == 2):
        return False
    name, message = data
    if not (isinstance(name, str) and name in FIELDS and isinstance(message, dict)):
        return False
    if not all(type(message.get(field)) is kind for field, kind in FIELDS[name].items()):
        return False
    if name == 'handshake':
        return _is_valid_handshake(message)
    return name != 'event' or all(map(_is_valid_argument, message['args']))


def _is_valid_argument(argument):
    """Whether an argument of an event is None or JSON."""
    if argument is None:
        return True
    try:
        nicegui.json.loads(argument)
    except (ValueError, TypeError):
        return False
    return True


def _is_valid_handshake(message):
    number, old_tab = message.get('next_message_id', 0), message.get('old_tab_id')
    return bool(NUMBER.fullmatch(str(number))) and (old_tab is None or isinstance(old_tab, str))


def _is_valid_query(query):
    """Whether the query of a socket that shakes hands as it connects has all fields."""
    fields = {name: values[0] for name, values in parse_qs(query).items()}
    return fields.get('implicit_handshake') != 'true' or (
        FIELDS['handshake'].keys() <= fields.keys() and _is_valid_handshake(fields))


def _is_ours(record):
    """Whether a record of NiceGUI's log is not about a message that NiceGUI could not read, e.g. no such option."""
    error = record.exc_info and record.exc_info[1]
    if not isinstance(error, KeyError | IndexError | TypeError | ValueError | AttributeError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or not Path(frames[-1].filename).is_relative_to(Path(nicegui.__file__).parent)
