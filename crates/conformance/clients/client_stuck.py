"""A client of HTTP/2 that asks and takes nothing: how many answers began, and when its connection was closed."""

import os
import socket
from urllib.parse import urlsplit

import h2.config
import h2.connection
import h2.events
import h2.exceptions
import h2.settings

base = urlsplit(os.environ["BASE"])
count = int(os.environ["COUNT"])
connection = h2.connection.H2Connection(h2.config.H2Configuration(client_side=True))
connection.initiate_connection()
connection.update_settings({h2.settings.SettingCodes.INITIAL_WINDOW_SIZE: 0})
with socket.create_connection((base.hostname, base.port)) as sock:
    for _ in range(count):
        fields = [(":method", "GET"), (":scheme", "http"), (":authority", base.netloc), (":path", os.environ["ASKED"])]
        fields.append(("authorization", os.environ["AUTHORIZATION"]))
        connection.send_headers(connection.get_next_available_stream_id(), fields, end_stream=True)
    sock.sendall(connection.data_to_send())
    begun = 0
    while said := sock.recv(65536):
        try:
            events = connection.receive_data(said)
        except h2.exceptions.ProtocolError:
            # The library listens to nothing after a goodbye.
            continue
        for event in events:
            if isinstance(event, h2.events.ResponseReceived):
                begun += 1
                print("begun", begun, flush=True)
        sock.sendall(connection.data_to_send())
print("closed", flush=True)
