"""Checks what visitors send by socket.io, before NiceGUI reads it."""

import inspect
import logging
import traceback
from pathlib import Path

import nicegui
from socketio import packet

MAX_MESSAGE = 64 * 1024  # bytes

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

    def tolerate(handler):
        async def handle_message(sid, *arguments):
            try:
                result = handler(sid, *arguments)
                return await result if inspect.isawaitable(result) else result
            except (KeyError, TypeError, ValueError, AttributeError):  # e.g. an element that the page does not have
                return False  # refuses a connection
        return handle_message

    sio.eio.on('message', check)
    for name in 'connect', 'handshake', 'event', 'javascript_response', 'ack':
        sio.on(name, tolerate(handlers[name]))
    sio.on('log', lambda sid, message: None)  # a visitor's log is not the server's


def is_valid(data):
    """Returns whether data is a packet as NiceGUI's browser code sends it: text, of a known event and its fields."""
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
    return (isinstance(name, str) and name in FIELDS and isinstance(message, dict)
            and all(type(message.get(field)) is kind for field, kind in FIELDS[name].items()))


def _is_ours(record):
    """Returns whether a record of NiceGUI's log is not about a message that it could not read, e.g. no such option."""
    error = record.exc_info and record.exc_info[1]
    if not isinstance(error, KeyError | IndexError | TypeError | ValueError | AttributeError):
        return True
    frames = traceback.extract_tb(error.__traceback__)
    return not frames or not Path(frames[-1].filename).is_relative_to(Path(nicegui.__file__).parent)
