"""A client of HTTP/2 that says to the letter what SAY holds, and tells what came of it, and of a plain request after that."""

import json
import os
import socket
import ssl
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions

base = urlsplit(os.environ["BASE"])
say = json.loads(os.environ["SAY"])
sock = socket.create_connection((base.hostname, base.port), timeout=30)
if base.scheme == "https":
    context = ssl.create_default_context(cafile=os.environ["CA"])
    context.set_alpn_protocols(["h2"])
    sock = context.wrap_socket(sock, server_hostname=base.hostname)
    assert sock.selected_alpn_protocol() == "h2", "the server does not agree to HTTP/2"
config = h2.config.H2Configuration(
    client_side=True, validate_outbound_headers=False, normalize_outbound_headers=False, header_encoding="utf-8"
)
connection = h2.connection.H2Connection(config)
connection.initiate_connection()


def events():
    """What the other side says, until it closes or says what is no HTTP/2."""
    try:
        sock.sendall(connection.data_to_send())
        while heard := sock.recv(65536):
            yield from connection.receive_data(heard)
            sock.sendall(connection.data_to_send())
    except (ConnectionError, TimeoutError, h2.exceptions.ProtocolError):
        return


def ask(fields, data=(), trailers=None):
    told = {"status": "closed", "fields": [], "body": "", "trailers": []}
    stream = connection.get_next_available_stream_id()
    connection.send_headers(stream, fields, end_stream=not data and trailers is None)
    for at, part in enumerate(data):
        connection.send_data(stream, part.encode(), end_stream=at + 1 == len(data) and trailers is None)
    if trailers is not None:
        connection.send_headers(stream, trailers, end_stream=True)
    for event in events():
        if isinstance(event, h2.events.ConnectionTerminated):
            if told["status"] == "closed":
                told["status"] = "goaway"
            break
        if getattr(event, "stream_id", None) != stream:
            continue
        if isinstance(event, h2.events.ResponseReceived):
            told["status"] = dict(event.headers)[":status"]
            told["fields"] = [field for field in event.headers if not field[0].startswith(":")]
        elif isinstance(event, h2.events.DataReceived):
            told["body"] += event.data.decode("utf-8", "replace")
            connection.acknowledge_received_data(event.flow_controlled_length, stream)
        elif isinstance(event, h2.events.TrailersReceived):
            told["trailers"] = list(event.headers)
        elif isinstance(event, h2.events.StreamReset):
            told["status"] = "reset" if told["status"] == "closed" else told["status"]
            break
        elif isinstance(event, h2.events.StreamEnded):
            break
    return told


told = ask([tuple(field) for field in say["fields"]], say.get("data", ()), say.get("trailers"))
told["after"] = None
if after := say.get("after"):
    try:
        told["after"] = ask([tuple(field) for field in after])["status"]
    except (OSError, h2.exceptions.ProtocolError):
        told["after"] = "closed"
print(json.dumps(told))
