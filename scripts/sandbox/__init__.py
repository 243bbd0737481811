"""An offline stand-in for the song service: its own process, real HTTP, real MP3s, and faults on demand.

`python -m scripts.sandbox --port 9000` runs it; `scripts.sandbox.server.start()` runs it from Python. What it takes as
an order stands in orders.py, what it can break in faults.py, what happened at GET /ledger.
"""
