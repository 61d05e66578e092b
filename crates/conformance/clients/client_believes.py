"""Clients of Python, each of which finds in its own way whom it believes: they ask the address in BASE."""

import os
import urllib.request

import httpx
import requests

BASE = os.environ["BASE"]
with urllib.request.urlopen(BASE, timeout=30) as answer:
    print("urllib", answer.status)
print("requests", requests.get(BASE, timeout=30).status_code)
print("httpx", httpx.get(BASE, timeout=30).status_code)
