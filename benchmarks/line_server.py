"""The peer of the collector: gzipped lines of JSON, posted, landed durably, appended to a Delta table every second.

``python line_server.py FOLDER`` serves on loopback with the collector's own server, and says where.
"""

from __future__ import annotations

import gzip
import json
import sys
import threading
from itertools import count
from typing import TYPE_CHECKING

import pyarrow as pa
from deltalake import write_deltalake
from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from edgerun_sync.collector.files import Files
from edgerun_sync.collector.http.server import Server

if TYPE_CHECKING:
    from starlette.requests import Request

COMMIT_S = 1.0


class LineServer:
    """Takes lines in, and appends them to a table."""

    def __init__(self, folder: str) -> None:
        self._folder = folder
        self._objects = Files(f"{folder}/landed")
        self._numbers = count()
        self._waiting: list[dict[str, object]] = []
        self._lock = threading.Lock()
        self._committed = 0

    def app(self) -> Starlette:
        return Starlette(routes=[Route("/lines", self._post, methods=["POST"]), Route("/committed", self._count)])

    async def _post(self, request: Request) -> Response:
        body = await request.body()
        await run_in_threadpool(self._land, body)
        return Response(status_code=201)

    async def _count(self, _: Request) -> Response:
        return JSONResponse(self._committed)

    def _land(self, body: bytes) -> None:
        events = [json.loads(line) for line in gzip.decompress(body).splitlines()]
        self._objects.put_new(f"{next(self._numbers)}", body)
        with self._lock:
            self._waiting += events

    def commit(self) -> None:
        """Append what waits again and again."""
        stop = threading.Event()
        while not stop.wait(COMMIT_S):
            with self._lock:
                events, self._waiting = self._waiting, []
            if events:
                write_deltalake(f"{self._folder}/table", pa.Table.from_pylist(events), mode="append")
                self._committed += len(events)


if __name__ == "__main__":
    lines = LineServer(sys.argv[1])
    server = Server(lines.app(), "127.0.0.1", 0)
    threading.Thread(target=lines.commit, daemon=True).start()
    print(f"collector at http://127.0.0.1:{server.address[1]}, data in {sys.argv[1]}", flush=True)
    server.run()
