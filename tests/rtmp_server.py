"""A real RTMP server for tests: nginx with its RTMP module, which records all that it is sent."""

from __future__ import annotations

import asyncio
import contextlib
import signal
import socket
import ssl
import subprocess
import time
from collections.abc import AsyncGenerator, Generator, Sequence
from pathlib import Path

from reelmill.bus.server_config import ServerCertificate
from reelmill.worker.inventory import find_ffmpeg
from tests.nats_server import free_port

NGINX = Path("/usr/sbin/nginx")
MODULE = Path("/usr/lib/nginx/modules/ngx_rtmp_module.so")

SDR = (*("-c:v", "libx264", "-preset", "ultrafast", "-tune", "zerolatency", "-g", "25", "-pix_fmt", "yuv420p"),)
HDR = (
    *("-c:v", "libx265", "-preset", "ultrafast", "-x265-params", "log-level=error:keyint=25:repeat-headers=1"),
    *("-pix_fmt", "yuv420p10le", "-vf", "setparams=color_primaries=bt2020:color_trc=smpte2084:colorspace=bt2020nc"),
)
MONO = ("-c:a", "aac", "-ac", "1")
STEREO_44100 = ("-c:a", "aac", "-ac", "2", "-ar", "44100")

_CONFIG = """
load_module {module};
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/error.log info;
events {{ worker_connections 64; }}
rtmp {{ server {{
    listen 127.0.0.1:{port};
    application live {{ live on; record all; record_path {folder}/recorded; record_unique on; }}
}} }}
"""


class RtmpServer:
    """One server on a port that it keeps when it is started again. Streams go to ``url(name)``."""

    def __init__(self, folder: Path) -> None:
        self.port = free_port()
        self.folder = folder / f"rtmp-{self.port}"
        (self.folder / "recorded").mkdir(parents=True)
        (self.folder / "recorded").chmod(0o777)
        self._config = self.folder / "nginx.conf"
        self._config.write_text(_CONFIG.format(module=MODULE, folder=self.folder, port=self.port))
        self._process: subprocess.Popen[bytes] | None = None

    def url(self, name: str, application: str = "live") -> str:
        return f"rtmp://127.0.0.1:{self.port}/{application}/{name}"

    def start(self) -> None:
        """Return when it takes connections."""
        argv = [NGINX, "-p", self.folder, "-c", self._config, "-e", self.folder / "error.log"]
        self._process = subprocess.Popen(argv)
        deadline = time.monotonic() + 10
        while True:
            with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", self.port)):
                return
            assert self._process.poll() is None, (self.folder / "error.log").read_text()
            assert time.monotonic() < deadline, "nginx does not listen"
            time.sleep(0.02)

    def stop(self) -> None:
        """End it at once; harmless when it does not run."""
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def freeze(self) -> None:
        """Let it stand still: its connections stay, and it takes nothing."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def recordings(self, name: str) -> list[Path]:
        """What it recorded of a stream, a file for each connection, the first one first."""
        return sorted((self.folder / "recorded").glob(f"{name}-*.flv"), key=lambda path: path.stat().st_mtime)

    def try_to_play(self, name: str, seconds: float = 5) -> bool:
        """Whether a reader that comes now gets a picture within so many seconds."""
        impatient = ("-analyzeduration", "200000", "-probesize", "100000")  # it would look for sound for seconds
        options = ("-v", "error", "-nostdin", "-rtmp_live", "live", *impatient)
        argv = [find_ffmpeg().path, *options, "-i", self.url(name), "-frames:v", "1", "-f", "null", "-"]
        try:
            return subprocess.run(argv, timeout=seconds, capture_output=True, check=False).returncode == 0
        except subprocess.TimeoutExpired:
            return False


@contextlib.contextmanager
def rtmp_server(folder: Path) -> Generator[RtmpServer]:
    """A server that runs, and is gone behind the block."""
    server = RtmpServer(folder)
    server.start()
    try:
        yield server
    finally:
        server.stop()


@contextlib.asynccontextmanager
async def tls_in_front_of(server: RtmpServer, certificate: ServerCertificate) -> AsyncGenerator[int]:
    """The port where the same server is reached by TLS: nginx's module has none of its own."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate.cert, certificate.key)

    async def pass_on(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(OSError):
            while words := await reader.read(65536):
                writer.write(words)
                await writer.drain()
        writer.close()

    async def connect(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back, forth = await asyncio.open_connection("127.0.0.1", server.port)
        await asyncio.gather(pass_on(reader, forth), pass_on(back, writer))

    async with await asyncio.start_server(connect, "127.0.0.1", 0, ssl=context) as front:
        yield front.sockets[0].getsockname()[1]


@contextlib.contextmanager
def publisher(
    url: str,
    seconds: float = 600,
    *,
    picture: Sequence[str] = SDR,
    sound: Sequence[str] = MONO,
) -> Generator[subprocess.Popen[bytes]]:
    """An ffmpeg that sends test pictures to the URL, in real time; gone behind the block. It lacks what is empty."""
    options = ["-v", "error", "-nostdin"]
    if picture:
        options += ["-re", "-f", "lavfi", "-i", "testsrc2=size=320x240:rate=25"]
    if sound:
        options += ["-re", "-f", "lavfi", "-i", "sine=r=48000"]
    form = ("-f", "mpegts" if url.startswith("srt:") else "flv")
    process = subprocess.Popen([find_ffmpeg().path, *options, *sound, *picture, "-t", str(seconds), *form, url])
    try:
        yield process
    finally:
        process.kill()
        process.wait()
