"""What another user of the machine would try: run as a program, with ports; prints one line for each door that opens.

    python intruder.py USER PORT ..

It begins as root, because others may not read the libraries, and is the other user before it tries the first door.
"""

import asyncio
import http.client
import os
import sys
import urllib.error
import urllib.request
from typing import Any

from distributed.comm.core import connect
from distributed.security import Security

PAGES = ("", "status", "sitemap.json", "info/main/workers.html", "json/counts.json", "health", "metrics", "statics/css/base.css")


async def speak(address: str, **credentials: Any) -> bool:
    """Whether a server of Dask answers a question there."""
    try:
        async with asyncio.timeout(6):
            comm = await connect(address, timeout=3, **credentials)
            await comm.write({"op": "identity", "reply": True})
            answer = await comm.read()
            comm.abort()
    except (OSError, TimeoutError, ValueError, RuntimeError):
        return False
    return isinstance(answer, dict)


def read(port: int) -> list[str]:
    """Returns the pages of a port; of one that answers nothing to the first question no others are asked."""
    found = []
    for page in PAGES:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/{page}", timeout=2):
                found.append(f"page {port}/{page}")
        except urllib.error.HTTPError:
            continue
        except (OSError, http.client.HTTPException):
            break
    return found


async def try_all(ports: list[int]) -> list[str]:
    """Returns the doors that open."""
    own = Security.temporary().get_connection_args("client")
    doors = {f"tcp {port}": speak(f"tcp://127.0.0.1:{port}") for port in ports}
    doors |= {f"tls {port}": speak(f"tls://127.0.0.1:{port}", **own) for port in ports}
    opened = [name for name, found in zip(doors, await asyncio.gather(*doors.values()), strict=True) if found]
    return [*opened, *(page for port in ports for page in read(port))]


if __name__ == "__main__":
    user, *ports = map(int, sys.argv[1:])
    os.setgroups([])
    os.setgid(user)
    os.setuid(user)
    for door in asyncio.run(try_all(ports)):
        print(door)
