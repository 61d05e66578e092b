"""A client of HTTP/2 that waits to be asked for its body, and one that gives up in the middle of it."""

import os
import socket
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.errors
import h2.events

base = urlsplit(os.environ["BASE"])
connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
connection.initiate_connection()
sock = socket.create_connection((base.hostname, base.port))


def begin(*more):
    stream = connection.get_next_available_stream_id()
    fields = [(":method", "POST"), (":scheme", "http"), (":authority", base.netloc), (":path", os.environ["ASKED"])]
    connection.send_headers(stream, [*fields, ("authorization", os.environ["AUTHORIZATION"]), *more])
    return stream


def events():
    sock.sendall(connection.data_to_send())
    while said := sock.recv(65536):
        yield from connection.receive_data(said)
        sock.sendall(connection.data_to_send())


def status(event):
    return dict(event.headers)[b":status"].decode()


expecting = begin(("expect", "100-continue"))
for event in events():
    if isinstance(event, h2.events.InformationalResponseReceived):
        print("before the answer:", status(event))
        connection.send_data(expecting, b'{"said": "all of it"}', end_stream=True)
    elif isinstance(event, h2.events.ResponseReceived):
        print("answer:", status(event))
    elif isinstance(event, h2.events.DataReceived):
        print(event.data.decode(), end="")
        connection.acknowledge_received_data(event.flow_controlled_length, event.stream_id)
    elif isinstance(event, h2.events.StreamEnded):
        break
print()

given_up = begin()
connection.send_data(given_up, b'{"said": "half')
connection.reset_stream(given_up, h2.errors.ErrorCodes.CANCEL)
# The same connection goes on.
after = begin()
connection.send_data(after, b'{"said": "after"}', end_stream=True)
for event in events():
    if isinstance(event, h2.events.StreamEnded):
        print("answered:", event.stream_id == after)
        break
