"""requests and httpx: the same calls, and what comes of them, to the address in BASE as whoever the environment says."""

import hashlib
import json
import os

import httpx
import requests

BASE = os.environ["BASE"]
AUTH = tuple(os.environ["BASIC"].split(":", 1)) if "BASIC" in os.environ else None
MULTIPART = b'--x\r\ncontent-disposition: form-data; name="f"; filename="a"\r\n\r\n' + bytes(range(64)) + b"\r\n--x--\r\n"
# What differs between the ways by nature.
VARYING = {"authorization", "host", "accept-encoding", "connection", "transfer-encoding", "content-length"}


def told(answer):
    said = answer.json()
    said["fields"] = sorted(field for field in said["fields"] if field[0] not in VARYING)
    said["path"] = said["path"].removeprefix("/http/api")
    return json.dumps(said, sort_keys=True)


def digest(data):
    return f"{len(data)} {hashlib.sha256(data).hexdigest()[:16]}"


def parts():
    yield b"one, "
    yield b"two, "
    yield "drei \u00e4".encode()


def show(name, client, stream):
    print(name, "get", told(client.get(f"{BASE}/told?a=1&a=2&b=%20x", headers={"x-own": "1"})))
    print(name, "json", told(client.post(f"{BASE}/told", json={"a": [1, 2.5, None, "\u00e4"]})))
    print(name, "form", told(client.put(f"{BASE}/told", data={"a": "1 2", "b": "&="})))
    print(name, "file", told(client.post(f"{BASE}/told", headers={"content-type": "multipart/form-data; boundary=x"}, **stream(MULTIPART))))
    print(name, "chunked", told(client.post(f"{BASE}/told", **stream(parts()))))
    print(name, "delete", told(client.delete(f"{BASE}/told")))
    for path in ["people", "people.gz", "people.zz", "people.txt", "split", "lines", "events", "escaped", "picture", "big?n=3000000"]:
        answer = client.get(f"{BASE}/{path}")
        print(name, path, answer.status_code, answer.headers.get("content-type"), digest(answer.content))
    for path, fields in [("part", {"range": "bytes=0-39"}), ("empty", {}), ("people", {"if-none-match": '"1"'})]:
        answer = client.get(f"{BASE}/{path}", headers=fields)
        print(name, path, answer.status_code, answer.headers.get("content-range"), answer.headers.get("etag"))
    answer = client.head(f"{BASE}/people")
    print(name, "head", answer.status_code, answer.headers.get("content-length"), digest(answer.content))
    answer = client.options(f"{BASE}/told")
    print(name, "options", answer.status_code)


with requests.Session() as session:
    session.auth = AUTH
    show("requests", session, lambda body: {"data": body})
with httpx.Client(auth=AUTH, timeout=60) as client:
    show("httpx", client, lambda body: {"content": body})
with httpx.Client(auth=AUTH, timeout=60, http2=True) as client:
    show("httpx2", client, lambda body: {"content": body})
