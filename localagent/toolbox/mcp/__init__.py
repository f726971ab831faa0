"""Tools of MCP servers, over standard input and output or HTTP, by the official SDK.

The SDK takes more than a second to load: only `owner`, `pipe`, `remote`, `login` and `results` know it, and these are loaded when a
server is spoken to. What a server offers is known from before (`store.mcp_known`).
"""
