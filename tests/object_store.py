"""A real object store for tests: SeaweedFS, from the wheel. It speaks S3 and checks every signature."""

from __future__ import annotations

import contextlib
import json
import shutil
import subprocess
import sys
import time
from collections.abc import Generator
from pathlib import Path
from typing import Any

import httpx2
import obstore
from obstore.exceptions import BaseError
from obstore.store import S3Store

from tests.nats_server import free_port

BINARY = shutil.which("weed", path=str(Path(sys.executable).parent))
BUCKET = "media"
CREDENTIALS = {"AWS_ACCESS_KEY_ID": "FARMKEY", "AWS_SECRET_ACCESS_KEY": "farm-secret", "AWS_REGION": "us-east-1"}


class ObjectStore:
    """One server with one bucket, on ports of its own. ``endpoint`` is what masters are told."""

    def __init__(self, folder: Path) -> None:
        self._ports: list[int] = []
        self.endpoint = f"http://127.0.0.1:{self._port()}"
        self._folder = folder
        self._log = folder / "weed.log"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Return when it takes objects."""
        assert BINARY is not None, "weed is not there; scripts/setup installs it"
        keys = {"accessKey": CREDENTIALS["AWS_ACCESS_KEY_ID"], "secretKey": CREDENTIALS["AWS_SECRET_ACCESS_KEY"]}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        config = self._folder / "s3.json"
        config.write_text(json.dumps({"identities": [{"name": "farm", "credentials": [keys], "actions": actions}]}))
        ports = [f"-{part}.port.grpc={self._port()}" for part in ("master", "volume", "filer", "s3")]
        ports += [f"-{part}.port={self._port()}" for part in ("master", "volume", "filer")]
        own = [f"-dir={self._folder}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-filer", "-s3", *ports]
        s3 = [f"-s3.port={self.endpoint.rpartition(':')[2]}", f"-s3.config={config}", "-volume.max=20"]
        s3 += ["-s3.port.iceberg=0", "-s3.port.lance=0"]  # they have one port for all servers of a machine
        with self._log.open("wb") as log:
            self._process = subprocess.Popen(
                [BINARY, "server", *own, *s3, "-master.volumeSizeLimitMB=64"],
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        deadline = time.monotonic() + 60
        while not self._is_ready():
            assert self._process.poll() is None, self._log.read_text()
            assert time.monotonic() < deadline, self._log.read_text()
            time.sleep(0.1)

    def _port(self) -> int:
        self._ports.append(free_port())
        return self._ports[-1]

    def _is_ready(self) -> bool:
        try:
            httpx2.get(self.endpoint, timeout=2)
            obstore.put(self.client("ready"), "ready", b"")
        except (httpx2.TransportError, BaseError):
            return False
        return True

    def client(self, prefix: str, **config: Any) -> S3Store:
        """What is below the prefix, with the farm's own credentials unless told otherwise."""
        own: dict[str, Any] = {
            "endpoint": self.endpoint,
            "access_key_id": CREDENTIALS["AWS_ACCESS_KEY_ID"],
            "secret_access_key": CREDENTIALS["AWS_SECRET_ACCESS_KEY"],
            "region": CREDENTIALS["AWS_REGION"],
            "client_options": {"allow_http": True},
            "retry_config": {"max_retries": 0},
        }
        return S3Store(BUCKET, prefix=prefix, **own | config)

    def stop(self) -> None:
        """End it; harmless when it is not there."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None
            for port in self._ports:
                for socket in Path("/tmp").glob(f"seaweedfs-*-{port}.sock"):  # where it leaves them
                    socket.unlink()


@contextlib.contextmanager
def object_store(folder: Path) -> Generator[ObjectStore, None, None]:
    """A store for the length of the block."""
    store = ObjectStore(folder)
    store.start()
    try:
        yield store
    finally:
        store.stop()
