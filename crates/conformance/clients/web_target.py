"""A target that speaks HTTP/1.1: what it is asked for, it tells; prints its port."""

import gzip
import http.server
import json
import os
import subprocess
import time
import zlib

PEOPLE = [
    {"id": 1, "full_name": "Lotte Elmgren", "email": "lotte@corp.example", "tier": "gold"},
    {"id": 2, "full_name": "Linus Glenmore", "email": "linus@corp.example", "tier": "standard"},
]
SECRET = os.environ["SECRET"]
HEARD = []


def is_signed(method, url, headers, body):
    """Whether AWS would take the signature that a request brings, by AWS's own library."""
    from botocore.auth import S3SigV4Auth, SigV4Auth
    from botocore.awsrequest import AWSRequest
    from botocore.credentials import Credentials

    scope, names, brought = (part.split("=", 1)[1] for part in headers["authorization"].split(" ", 1)[1].split(", "))
    key, _, region, service, _ = scope.split("/")
    named = {name: headers[name] for name in names.split(";")}
    request = AWSRequest(method, url, named, body)
    request.context["timestamp"] = headers["x-amz-date"]
    kind = S3SigV4Auth if service == "s3" else SigV4Auth
    auth = kind(Credentials(key, SECRET, headers.get("x-amz-security-token")), service, region)
    canonical = auth.canonical_request(request)
    return key == "AKIDGATEHOUSE" and auth.signature(auth.string_to_sign(request, canonical), request) == brought


class Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def log_message(self, *_):
        pass

    def read_body(self):
        if self.headers.get("transfer-encoding") == "chunked":
            parts = []
            while length := int(self.rfile.readline().split(b";")[0], 16):
                parts.append(self.rfile.read(length))
                self.rfile.readline()
            while self.rfile.readline().strip():
                pass
            return b"".join(parts)
        return self.rfile.read(int(self.headers.get("content-length", 0)))

    def send(self, body, content_type="application/json", status=200, **fields):
        self.send_response(status)
        if content_type:
            self.send_header("content-type", content_type)
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def chunked(self, content_type, parts, pause=0.0):
        self.send_response(200)
        self.send_header("content-type", content_type)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for part in parts:
            self.wfile.write(b"%x\r\n%s\r\n" % (len(part), part))
            self.wfile.flush()
            time.sleep(pause)
        self.wfile.write(b"0\r\n\r\n")

    def git(self, body):
        path, _, query = self.path.partition("?")
        environment = {
            **os.environ,
            "GIT_PROJECT_ROOT": os.environ["GIT_ROOT"],
            "GIT_HTTP_EXPORT_ALL": "1",
            "PATH_INFO": path.removeprefix("/git"),
            "QUERY_STRING": query,
            "REQUEST_METHOD": self.command,
            "REMOTE_USER": "tests",
            "CONTENT_TYPE": self.headers.get("content-type", ""),
            "CONTENT_LENGTH": str(len(body)),
            "HTTP_CONTENT_ENCODING": self.headers.get("content-encoding", ""),
            "GIT_PROTOCOL": self.headers.get("git-protocol", ""),
        }
        done = subprocess.run(["git", "http-backend"], input=body, env=environment, capture_output=True, check=True)
        head, _, answer = done.stdout.partition(b"\r\n\r\n")
        fields = dict(line.split(": ", 1) for line in head.decode().split("\r\n"))
        status = int(fields.pop("Status", "200").split()[0])
        self.send(answer, fields.pop("Content-Type", None), status, **fields)

    def handle_all(self):
        body = self.read_body()
        if self.path.startswith("/signed/"):
            url = f"http://{self.headers['host']}{self.path}"
            signed = is_signed(self.command, url, self.headers, body)
            if self.path.startswith("/signed/upload"):
                # As a store answers: an SDK takes nothing else.
                HEARD.append(json.dumps({"signed": signed, "body": body.decode(), "fields": dict(self.headers)}))
                return self.send(b"", None, etag='"1"')
            return self.send(json.dumps({"signed": signed, "path": self.path, "fields": self.headers.items()}).encode())
        if self.path.startswith("/git/"):
            return self.git(body)
        people = json.dumps(PEOPLE).encode()
        match self.path.split("?")[0]:
            case "/heard":
                HEARD.extend([body.decode()] if body else [])
                self.send(json.dumps(HEARD).encode())
            case "/taken":
                HEARD.append(body.decode())
                self.send(b"{}")
            case "/count":
                self.send(json.dumps({"bytes": len(body)}).encode())
            case "/people":
                people = json.dumps(PEOPLE * int((self.path.split("times=") + ["1"])[1] or 1)).encode()
                self.send(people, etag='"1"', x_contact="lotte@corp.example")
            case "/tagged":
                person, said = json.dumps(PEOPLE[0]).encode(), {"etag": '"1"', "content_digest": "sha-256=:AA==:"}
                if self.command == "PUT":
                    self.send(b"{}", status=200 if self.headers["if-match"] == '"1"' else 412)
                elif self.headers["if-none-match"] == '"1"':
                    self.send_response(304)
                    self.send_header("etag", '"1"')
                    self.end_headers()
                elif self.headers["range"]:
                    self.send(person[:9], status=206, content_range=f"bytes 0-8/{len(person)}", **said)
                else:
                    self.send(person, accept_ranges="bytes", **said)
            case "/people.gz":
                self.send(gzip.compress(people, mtime=0), content_encoding="gzip")
            case "/people.zz":
                self.send(zlib.compress(people), content_encoding="deflate")
            case "/people.csv":
                rows = [list(PEOPLE[0])] + [list(person.values()) for person in PEOPLE]
                self.send("".join(",".join(map(str, row)) + "\r\n" for row in rows).encode(), "text/csv")
            case "/people.txt":
                self.send(b"Lotte is at lotte@corp.example\n" * 3, "text/plain; charset=utf-8")
            case "/split":
                self.chunked("application/json", [people[at : at + 3] for at in range(0, len(people), 3)])
            case "/lines":
                text = b"".join(json.dumps(person).encode() + b"\n" for person in PEOPLE)
                self.chunked("application/x-ndjson", [text[at : at + 5] for at in range(0, len(text), 5)])
            case "/events":
                events = [b"data: " + json.dumps(person).encode() + b"\n\n" for person in PEOPLE]
                self.chunked("text/event-stream", events, 0.2)
            case "/endless":
                events = (b"data: {}\n\n" for _ in range(1200))
                self.chunked("text/event-stream", events, 0.05)
            case "/escaped":
                self.send(b'{"note": "lotte\\u0040corp.example", "\\u0065mail": "x@y.example"}')
            case "/echo":
                self.send(json.dumps({"email": "lotte@corp.example", "said": [body.decode(), dict(self.headers)]}).encode())
            case "/as":
                self.send(body, self.headers["x-as"])
            case "/nested":
                self.send(json.dumps({"log": json.dumps({"full_name": "lotte@corp.example", "n": [json.dumps(PEOPLE)]})}).encode())
            case "/call":
                self.send(b"/**/show(" + people + b");", "text/javascript")
            case "/twice":
                self.send_response(200)
                body = gzip.compress(people)
                for name in ["content-encoding"] * 2:
                    self.send_header(name, "gzip")
                self.send_header("content-type", "text/plain")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)
            case "/wide":
                self.send(people.decode().encode("utf-16"), "text/plain")
            case "/wide.csv":
                self.send("full_name\nLotte\n".encode("utf-16-le"), "text/csv; charset=utf-16le")
            case "/picture":
                self.send(b"\x89PNG\r\n\x1a\n" + bytes(64), "image/png")
            case "/untyped":
                self.send(b"lotte@corp.example", None)
            case "/part":
                self.send(people[:40], status=206, content_range="bytes 0-39/200")
            case "/broken":
                self.send(b'{"email": "lotte@corp.example"')
            case "/bomb":
                self.send(gzip.compress(b"[" + b"0," * (64 << 20) + b"0]"), content_encoding="gzip")
            case "/moved":
                host, port = self.server.server_address
                self.send(b"", None, 302, location=f"http://{host}:{port}/people", set_cookie="seen=1; Path=/; HttpOnly")
            case "/hints":
                for _ in range(int((self.path.split("=") + ["1"])[1])):
                    self.wfile.write(b"HTTP/1.1 103 Early Hints\r\nlink: <style.css>; rel=preload\r\nx-contact: lotte@corp.example\r\n\r\n")
                self.wfile.write(b"HTTP/1.1 102 Processing\r\n\r\n")
                self.send(b"hinted", "text/plain")
            case "/pages":
                host, port = self.server.server_address
                here = f"http://{host}:{port}"
                page = {"next": f"{here}/pages?page=2", "other": f"{here}1/pages", "email": "lotte@corp.example"}
                text, coding = json.dumps(page).encode(), {}
                if "coded" in self.path and "gzip" in self.headers.get("accept-encoding", ""):
                    text, coding = gzip.compress(text, mtime=0), {"content_encoding": "gzip"}
                self.send(text, **coding, link=f'<{here}/pages?page=2>; rel="next", </pages>; rel="first"')
            case "/empty":
                self.send_response(204)
                self.end_headers()
            case "/secret":
                self.send(json.dumps({"you sent": SECRET}).encode(), x_sent=SECRET)
            case "/big":
                count = int(self.path.split("=")[1])
                self.send(bytes(count), "application/octet-stream")
            case "/numbers":
                self.send(b'{"email": [' + b"1," * int(self.path.split("=")[1]) + b"1]}")
            case "/silent":
                # Until whoever asked is gone.
                self.rfile.read(1)
                self.close_connection = True
            case "/off":
                self.wfile.write(b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\ncontent-type: text/plain\r\n\r\nhalf")
                self.close_connection = True
            case _:
                fields = [[name.lower(), value] for name, value in self.headers.items()]
                told = {"method": self.command, "path": self.path, "fields": fields, "body": body.decode("latin-1")}
                self.send(json.dumps(told).encode())

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = do_PURGE = handle_all


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler)
print(server.server_address[1], flush=True)
server.serve_forever()
