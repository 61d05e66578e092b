"""An MCP server of the official SDK for Python, which speaks without sessions too (revision 2026-07-28); prints its port."""

import socket
from typing import Annotated

import uvicorn
from mcp.server.mcpserver import Elicit, MCPServer, Resolve, Sample
from mcp_types import CreateMessageResult, SamplingMessage, TextContent
from pydantic import BaseModel

server = MCPServer("lab", version="1.0.0", instructions="A server for tests.")


class Customer(BaseModel):
    id: int
    email: str
    note: str


class Consent(BaseModel):
    ok: bool


@server.tool(description="Adds two numbers")
def add(a: int, b: int) -> int:
    return a + b


@server.tool(description="Reads a customer")
def customer(id: int) -> Customer:
    return Customer(id=id, email="ada@corp.example", note="prefers mail to ada@corp.example")


@server.tool(description="Drops a table")
def drop_table(name: str) -> str:
    return "dropped"


def consent() -> Elicit[Consent]:
    return Elicit("May I go on?", Consent)


def thought() -> Sample:
    question = SamplingMessage(role="user", content=TextContent(type="text", text="What is two and two?"))
    return Sample([question], max_tokens=20)


@server.tool(description="Asks the user")
def ask(said: Annotated[Consent, Resolve(consent)]) -> str:
    return f"may: {said.ok}"


@server.tool(description="Asks the client's model")
def think(said: Annotated[CreateMessageResult, Resolve(thought)]) -> str:
    return f"thought: {said.content.text}"


@server.tool(description="Is nobody's", name="hidden")
def hidden() -> str:
    return "seen"


@server.resource("file:///notes.txt", mime_type="text/plain")
def notes() -> str:
    return "write to ada@corp.example"


@server.prompt(description="Summarizes a topic")
def summarize(topic: str) -> str:
    return f"Summarize {topic}."


with socket.socket() as listener:
    listener.bind(("127.0.0.1", 0))
    print(listener.getsockname()[1], flush=True)
    uvicorn.Server(uvicorn.Config(server.streamable_http_app(), log_level="warning")).run(sockets=[listener])
