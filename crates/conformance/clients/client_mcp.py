"""MCP's official client in Python, at URL and with AUTHORIZATION: the same report as that of client_mcp.mjs."""

import asyncio
import json
import os
import sys

import httpx2
import mcp_types as types
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

report = {"asked": []}


def asked(params):
    report["asked"].append(params.model_dump(mode="json", exclude_none=True, exclude={"meta"}))


async def elicited(_, params):
    asked(params)
    return types.ElicitResult(action="accept", content={"ok": True})


async def sampled(_, params):
    asked(params)
    said = types.TextContent(type="text", text="four")
    return types.CreateMessageResult(role="assistant", model="lab-model", content=said, stop_reason="endTurn")


async def step(name, action):
    try:
        result = await action
        report[name] = result.model_dump(mode="json", by_alias=True, exclude_none=True)
    except MCPError as error:
        report[name] = {"error": {"code": error.error.code, "message": error.error.message}}


async def main():
    authorization = os.environ.get("AUTHORIZATION")
    headers = {"authorization": authorization} if authorization else {}
    async with httpx2.AsyncClient(headers=headers, timeout=30) as http:
        transport = streamable_http_client(os.environ["URL"], http_client=http)
        async with Client(
            transport,
            mode=os.environ.get("MODE", "auto"),
            elicitation_callback=elicited,
            sampling_callback=sampled,
        ) as client:
            report["version"] = client.protocol_version
            report["server"] = client.server_info.model_dump(mode="json", exclude_none=True)
            report["instructions"] = client.instructions
            await step("tools", client.list_tools())
            await step("add", client.call_tool("add", {"a": 2, "b": 3}))
            await step("customer", client.call_tool("customer", {"id": 7}))
            await step("dropTable", client.call_tool("drop_table", {"name": "orders"}))
            await step("resources", client.list_resources())
            await step("templates", client.list_resource_templates())
            await step("notes", client.read_resource("file:///notes.txt"))
            await step("customerFile", client.read_resource("file:///customers/7.txt"))
            await step("prompts", client.list_prompts())
            await step("summarize", client.get_prompt("summarize", {"topic": "tides"}))
            await step("ask", client.call_tool("ask"))
            await step("think", client.call_tool("think"))
    json.dump(report, sys.stdout, indent=2)


asyncio.run(main())
