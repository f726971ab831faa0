"""The terminal app in a browser on this machine: pages, one websocket a tab, and an app behind each."""
