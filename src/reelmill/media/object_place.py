"""Media in an object store (S3 and what speaks it, Google Cloud Storage, Azure), as masters have them.

Workers hold no credentials: masters sign a URL for each transfer. An output is first put under a name of its attempt,
``.reelmill/attempts/<job id>.<attempt>/output``; the store copies it to its own name when the attempt has won.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
from collections.abc import AsyncGenerator, AsyncIterator, Sequence
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Literal
from urllib.parse import urlsplit

import obstore
from obstore.exceptions import AlreadyExistsError, BaseError, PermissionDeniedError, UnauthenticatedError
from obstore.store import AzureStore, GCSStore, S3Store, from_url

from reelmill.domain.attempt import AttemptKey
from reelmill.domain.failure import Failure
from reelmill.domain.media_path import CHUNKS_FOLDER, PRIVATE_FOLDER
from reelmill.errors import PlaceFault, SettingsError, StartupError, Unavailable
from reelmill.media.link import name_of
from reelmill.media.objects import Objects
from reelmill.media.publish import PublishError

if TYPE_CHECKING:
    from obstore import ObjectMeta

_ATTEMPTS = f"{PRIVATE_FOLDER}/attempts"
_CHECKS = f"{PRIVATE_FOLDER}/checks"
_OUTPUT = "output"
_TRIAL_SECONDS = 20.0
_STALE = timedelta(hours=1)
_RETRIES: Any = {"max_retries": 4, "retry_timeout": timedelta(seconds=20)}


class ObjectPlace(Objects):
    """One bucket, or what is below a prefix in it. Unavailable when the store does not answer as it should."""

    def __init__(self, url: str, endpoint: str = "") -> None:
        """``url`` is s3://, gs:// or az://BUCKET/PREFIX; ``endpoint`` is that of a store that speaks S3.

        Credentials come from the environment, as AWS_…, GOOGLE_… and AZURE_… . SettingsError when it is no such place.
        """
        self.url = url.rstrip("/")
        self._store = _connect(self.url, endpoint)
        # What Azure wants to be told with every upload; the others take it for nothing.
        self.upload_headers = {"x-ms-blob-type": "BlockBlob"} if isinstance(self._store, AzureStore) else {}

    async def open(self) -> None:
        """Write, read, sign for and remove a small object; StartupError when that cannot be, with what to do."""
        name = f"{_CHECKS}/startup-{datetime.now(UTC):%Y%m%d%H%M%S%f}"
        try:
            async with asyncio.timeout(_TRIAL_SECONDS):
                # First, because some stores make a bucket that is not there as soon as something is put into it.
                await self._list_once(_CHECKS)
                await obstore.put_async(self._store, name, b"reelmill")
                await obstore.get_async(self._store, name)
                await self._sign("GET", name, 60)
                await obstore.delete_async(self._store, name)
        except (BaseError, OSError, TimeoutError) as error:
            raise StartupError(f"cannot use the media in {self.url}: {_explain(error)}") from error

    async def read_link(self, relative: str, seconds: int) -> str:
        """A URL under which that object can be read."""
        return await self._sign("GET", relative, seconds)

    async def write_link(self, key: AttemptKey, seconds: int) -> str:
        """A URL to which the output of that attempt can be put, and nothing else."""
        return await self._sign("PUT", _output_of(key), seconds)

    async def refuse_taken_output(self, relative: str) -> None:
        """PublishError when there is an object of that name."""
        if await self._size(relative) is not None:
            raise self._taken(relative)

    async def received(self, key: AttemptKey) -> int | None:
        """The size of the output of that attempt; None when it is not there."""
        return await self._size(_output_of(key))

    async def publish(self, key: AttemptKey, relative: str, sha256: str, size: int, *, overwrite: bool) -> None:
        """Let the store copy the attempt's output to its name; may be repeated, also when the output is gone.

        Without ``overwrite`` another object of that name is never touched. PublishError: output_exists, output_lost.
        """
        output = _output_of(key)
        try:
            async with self._exchange():
                await obstore.copy_async(self._store, output, relative, overwrite=overwrite)
        except (AlreadyExistsError, FileNotFoundError, Unavailable) as error:
            if await self._is_published(relative, sha256, size):
                return
            if isinstance(error, AlreadyExistsError):
                raise self._taken(relative) from error
            if await self._size(output) is not None:
                raise
            message = "The encoded object is gone; check that no lifecycle rule removes what is below .reelmill."
            raise PublishError(Failure("platform_error", "output_lost", message)) from error

    async def remove(self, key: AttemptKey) -> None:
        """What the attempt has left goes; may be repeated."""
        await self._delete(_output_of(key))

    async def list_attempts(self) -> list[AttemptKey]:
        """The attempts of which there is something, in no order."""
        parts = [name.rpartition(".") for name in await self._folders_in(_ATTEMPTS)]
        return [AttemptKey(job, int(attempt)) for job, _, attempt in parts if job and attempt.isdecimal()]

    async def list_chunk_folders(self) -> list[str]:
        """The names of the folders in which encoded chunks wait, in no order."""
        return await self._folders_in(CHUNKS_FOLDER)

    async def remove_chunk_folder(self, name: str) -> None:
        """Remove the chunks in it; may be repeated."""
        await self._delete_below(f"{CHUNKS_FOLDER}/{name}")

    async def open_check(self, name: str, content: bytes) -> None:
        """Put an object there that is to be read; PlaceFault when the store does not take it."""
        try:
            await self._remove_stale_checks()
            async with self._exchange():
                await obstore.put_async(self._store, f"{_CHECKS}/{name}/asked", content)
        except Unavailable as error:
            raise PlaceFault(str(error)) from error

    async def check_links(self, name: str, reply: str, seconds: int) -> tuple[str, str]:
        """Where a worker reads the object of the check, and where it leaves its own."""
        here = f"{_CHECKS}/{name}"
        return await self._sign("GET", f"{here}/asked", seconds), await self._sign("PUT", f"{here}/{reply}", seconds)

    async def read_reply(self, name: str, reply: str) -> bytes | None:
        """What a worker has left; None when there is nothing."""
        with contextlib.suppress(FileNotFoundError, Unavailable):
            async with self._exchange():
                found = await obstore.get_async(self._store, f"{_CHECKS}/{name}/{reply}")
                return bytes(await found.bytes_async())
        return None

    async def close_check(self, name: str) -> None:
        """Remove all of it."""
        with contextlib.suppress(Unavailable):  # it is stale in an hour
            await self._delete_below(f"{_CHECKS}/{name}")

    async def _folders_in(self, prefix: str) -> list[str]:
        async with self._exchange():
            return [found.rstrip("/").rpartition("/")[2] for found in await self._list_once(prefix)]

    async def _delete_below(self, prefix: str) -> None:
        async with self._exchange():
            async for some in self._list(prefix):
                await obstore.delete_async(self._store, [one["path"] for one in some])

    async def _list_once(self, prefix: str) -> Sequence[str]:
        found = await obstore.list_with_delimiter_async(self._store, prefix)  # pyright: ignore[reportUnknownMemberType]
        return found["common_prefixes"]

    def _list(self, prefix: str) -> AsyncIterator[Sequence[ObjectMeta]]:
        return obstore.list(self._store, prefix)  # pyright: ignore[reportUnknownMemberType]

    async def _remove_stale_checks(self) -> None:
        async with self._exchange():
            async for some in self._list(_CHECKS):
                stale = [one["path"] for one in some if datetime.now(UTC) - one["last_modified"] > _STALE]
                if stale:
                    await obstore.delete_async(self._store, stale)

    async def _sign(self, method: Literal["GET", "PUT"], name: str, seconds: int) -> str:
        async with self._exchange():
            return await obstore.sign_async(self._store, method, name, timedelta(seconds=seconds))

    async def _size(self, name: str) -> int | None:
        try:
            async with self._exchange():
                return (await obstore.head_async(self._store, name))["size"]
        except FileNotFoundError:
            return None

    async def _delete(self, name: str) -> None:
        with contextlib.suppress(FileNotFoundError):  # Google and Azure say so, S3 does not
            async with self._exchange():
                await obstore.delete_async(self._store, name)

    async def _is_published(self, relative: str, sha256: str, size: int) -> bool:
        """Whether that object has this hash. It is read for it, which only a publishing done twice comes to."""
        if await self._size(relative) != size:
            return False
        digest = hashlib.sha256()
        async with self._exchange():
            async for piece in (await obstore.get_async(self._store, relative)).stream():
                digest.update(piece)
        return digest.hexdigest() == sha256

    def _taken(self, relative: str) -> PublishError:
        message = f"There is another object at {self.url}/{relative}; choose another output, or allow `overwrite`."
        return PublishError(Failure("user_error", "output_exists", message))

    @asynccontextmanager
    async def _exchange(self) -> AsyncGenerator[None, None]:
        try:
            yield
        except AlreadyExistsError:
            raise
        except BaseError as error:
            raise Unavailable(f"the media in {self.url} cannot be used now: {_explain(error)}") from error


def _connect(url: str, endpoint: str) -> S3Store | GCSStore | AzureStore:
    scheme = urlsplit(url).scheme
    if endpoint and scheme != "s3":
        raise SettingsError("media-endpoint is for s3:// only")
    options: dict[str, Any] = {"retry_config": _RETRIES}
    if scheme == "s3":
        # The store itself sees to it that no object is replaced that must not be.
        options["copy_if_not_exists"] = "multipart"
    if endpoint:
        options |= {"endpoint": endpoint, "client_options": {"allow_http": endpoint.startswith("http://")}}
    try:
        store = from_url(url, **options)
    except (BaseError, ValueError, TypeError) as error:
        raise SettingsError(f"media {url} cannot be: {_explain(error)}") from error
    if not isinstance(store, S3Store | GCSStore | AzureStore):
        raise SettingsError(f"media {url} is no object store; give s3://, gs:// or az://BUCKET/PREFIX")
    return store


def _output_of(key: AttemptKey) -> str:
    return f"{_ATTEMPTS}/{name_of(key)}/{_OUTPUT}"


def _explain(error: BaseException) -> str:
    said = str(error)
    if isinstance(error, PermissionDeniedError | UnauthenticatedError) or "403 Forbidden" in said:
        return "it refuses the credentials, or they may not do that; see AWS_…, GOOGLE_… or AZURE_… in the environment"
    if isinstance(error, TimeoutError):
        return f"it does not answer within {_TRIAL_SECONDS:g} seconds; check the endpoint and the credentials"
    if "NoSuchBucket" in said:
        return "there is no such bucket; make it, or name another"
    if "error sending request" in said:
        return "it cannot be reached; check media-endpoint, the region and the network"
    return said.partition("\n")[0][:300]
