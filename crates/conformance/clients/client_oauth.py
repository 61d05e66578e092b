"""Logs in with a token by libpq 18's own mechanism for them (SASL OAUTHBEARER), and prints what a query answers.

The token is in OAUTH_TOKEN; libpq asks for it through the hook that programs set for that."""

import ctypes
import os
import re

import psycopg

HOOK = ctypes.CFUNCTYPE(ctypes.c_int, ctypes.c_int, ctypes.c_void_p, ctypes.c_void_p)
BEARER_TOKEN = 1


class BearerRequest(ctypes.Structure):
    """PGoauthBearerRequest of libpq-fe.h."""

    _fields_ = [
        ("openid_configuration", ctypes.c_char_p),
        ("scope", ctypes.c_char_p),
        ("begin", ctypes.c_void_p),
        ("cleanup", ctypes.c_void_p),
        ("token", ctypes.c_char_p),
        ("user", ctypes.c_void_p),
    ]


token = os.environ["OAUTH_TOKEN"].encode()
told = []


@HOOK
def hook(kind, _connection, data):
    if kind != BEARER_TOKEN:
        return 0
    request = ctypes.cast(data, ctypes.POINTER(BearerRequest)).contents
    told.append((request.openid_configuration or b"").decode())
    request.token = token
    return 1


with open("/proc/self/maps", encoding="ascii") as maps:
    library = re.search(r"(/\S*/libpq-[^/\s]*\.so\S*)", maps.read()).group(1)
ctypes.CDLL(library).PQsetAuthDataHook(hook)

try:
    with psycopg.connect(
        "", oauth_issuer=os.environ["OAUTH_ISSUER"], oauth_client_id="test", require_auth="oauth"
    ) as connection:
        print(connection.execute("select count(*) from orders").fetchone()[0])
except psycopg.OperationalError as error:
    print(error)
print("\n".join(told))
