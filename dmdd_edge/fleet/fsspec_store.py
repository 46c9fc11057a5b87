"""Any file system that fsspec knows as a store: S3, Google Cloud Storage, Azure, SFTP, ..."""

from __future__ import annotations

import os
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from dmdd_edge.bundle.manifest import MANIFEST_NAME
from dmdd_edge.errors import BackendError, DmddError, FleetError, OptionError
from dmdd_edge.extras import interpreter, need
from dmdd_edge.fleet.store import BLOCK, Bytes, NotThere, StoredFile
from dmdd_edge.messages.addresses import redacted
from dmdd_edge.messages.suggest import did_you_mean
from dmdd_edge.messages.text import is_plain_name
from dmdd_edge.proxy import proxy_address

_CHECK = "Check the address, the credentials and the network."
#: What a store is made with, so that one that does not answer ends in an error.
_OPTIONS: dict[str, dict[str, Any]] = {
    "s3": {"config_kwargs": {"connect_timeout": 10, "read_timeout": 30, "retries": {"max_attempts": 3}}}
}
#: Object stores, which show a file when all of it is there.
_WHOLE = {"s3", "s3a", "gs", "gcs", "az", "abfs", "abfss", "oss", "memory"}
_PROXIES = ("http_proxy", "https_proxy", "all_proxy")
#: What tells that a file was written again, best first; each store has its own name for it.
_MARKS = ("ETag", "etag", "md5Hash", "content_md5", "mtime", "LastModified", "last_modified", "created")
#: How much of a library's message is repeated.
_SHOWN = 300


class FsspecStore:
    """A file system that fsspec knows, as a store.

    Nothing but the manifest makes a version visible. An object store writes a file whole or not at all; at
    others it is written under another name and renamed. That a file is created only if it is not there yet is
    as safe as the store makes it: S3 and Google Cloud Storage decide it themselves.

    Args:
        url: such as ``s3://bucket/models``.

    Raises:
        DmddError: a package for this kind of address is missing, or the address is wrong.
    """

    def __init__(self, url: str) -> None:
        self.name = redacted(url).rstrip("/")
        use_no_other_proxy()
        with need("fleet"):
            import fsspec
        scheme = url.partition("://")[0]
        options = {"skip_instance_cache": True, "use_listings_cache": False, **_OPTIONS.get(scheme, {})}
        try:
            self._fs, root = fsspec.core.url_to_fs(url, **options)
        except ImportError as error:
            raise _missing(self.name, scheme, error) from None
        except Exception as error:
            if "Protocol not known" in str(error):
                raise _unknown(self.name, scheme, fsspec.available_protocols()) from None
            raise OptionError(f"{self.name} cannot be used as an address: {_text(error)}.", _CHECK) from None
        self._whole = scheme.lower() in _WHOLE
        self._root = str(root).rstrip("/")

    def read(self, path: str, limit: int) -> bytes | None:
        """See ``Store``."""
        try:
            with self._errors(path, "read"), self._fs.open(self._at(path), "rb") as stream:
                data: bytes = stream.read(limit + 1)
        except FileNotFoundError:
            return None
        if len(data) > limit:
            raise FleetError(f"{self.name}/{path} is larger than {limit:,} bytes.", "Push it again.")
        return data

    def read_changing(self, path: str) -> bytes | None:
        """The contents of a small file that is being written again and again; None without it.

        One request, so what is read is one version: ``read`` asks for the size first, and S3 then refuses a
        file that was written meanwhile.

        Raises:
            DmddError: the store cannot be read.
        """
        try:
            with self._errors(path, "read"):
                return bytes(self._fs.cat_file(self._at(path)))
        except FileNotFoundError:
            return None

    @contextmanager
    def opened(self, path: str, start: int) -> Iterator[tuple[int, Bytes]]:
        """See ``Store``."""
        try:
            with self._errors(path, "read"):
                stream = self._fs.open(self._at(path), "rb", block_size=8 * BLOCK)
                stream.seek(start)
        except FileNotFoundError:
            raise NotThere(f"{self.name} does not have the file {path}.", "Push the version again.") from None
        try:
            yield start, _Reader(self, stream, path)
        finally:
            stream.close()

    def versions(self, category: str | None = None) -> dict[str, list[str]]:
        """See ``Store``."""
        try:
            with self._errors("", "listed"):
                # One listing of all names: object stores answer a thousand at once.
                names = self._fs.find(self._at(category or ""))
        except FileNotFoundError:
            names = []
        found: dict[str, list[str]] = {}
        for name in names:
            parts = str(name).removeprefix(self._root).strip("/").split("/")
            if len(parts) == 3 and parts[2] == MANIFEST_NAME and all(map(is_plain_name, parts)):
                found.setdefault(parts[0], []).append(parts[1])
        return {name: sorted(found[name]) for name in sorted(found)}

    def files(self) -> Iterator[str]:
        """All files, relative to the address, folder by folder; the names of one folder are in memory.

        Raises:
            DmddError: the store cannot be listed, or nothing has this address.
        """
        try:
            with self._errors("", "listed"):
                for folder, _, names in self._fs.walk(self._at(""), on_error="raise"):
                    below = str(folder).removeprefix(self._root).strip("/")
                    for name in filter(None, names):  # some stores have an empty name for the folder itself
                        yield f"{below}/{name}" if below else str(name)
        except FileNotFoundError:
            message = f"{self.name} has no files, or lost a folder while it was listed."
            raise FleetError(message, _CHECK) from None

    def listed(self, folder: str = "") -> Iterator[StoredFile]:
        """All files below a folder with their sizes, folder by folder; none where there is no such folder.

        Raises:
            DmddError: the store cannot be listed, or lost a folder meanwhile.
        """
        top, first = self._at(folder), True
        try:
            with self._errors(folder, "listed"):
                for inside, _, infos in self._fs.walk(top, on_error="raise", detail=True):
                    first = False
                    below = str(inside).removeprefix(top).strip("/")
                    for name, info in infos.items():
                        if name:  # some stores have an empty name for the folder itself
                            path = f"{below}/{name}" if below else str(name)
                            mark = next((str(info[key]) for key in _MARKS if info.get(key)), "")
                            yield StoredFile(path, int(info.get("size") or 0), mark)
        except FileNotFoundError:
            if not first:
                message = f"{self.name}/{folder} lost a folder while it was listed."
                raise FleetError(message, "Run the command again.") from None

    def names(self, folder: str = "", *, below: bool = False) -> list[str]:
        """The names in a folder, sorted; none where there is no such folder.

        Args:
            folder: in the store.
            below: all files below it, relative to it; otherwise the files and folders in it.

        Raises:
            DmddError: the store cannot be listed.
        """
        top = self._at(folder)
        try:
            with self._errors(folder, "listed"):
                found = self._fs.find(top) if below else self._fs.ls(top, detail=False)
        except FileNotFoundError:
            return []
        names = {str(name).rstrip("/").removeprefix(top).strip("/") for name in found}
        return sorted(names - {""})

    def remove(self, path: str) -> None:
        """Remove a file, if it is there.

        Raises:
            DmddError: the store refuses.
        """
        try:
            with self._errors(path, "removed"):
                self._fs.rm_file(self._at(path))
        except FileNotFoundError:
            return

    def size(self, path: str) -> int | None:
        """The size of a file in bytes; None without it."""
        try:
            with self._errors(path, "read"):
                return int(self._fs.info(self._at(path))["size"])
        except FileNotFoundError:
            return None

    def create(self, path: str, content: bytes | Path, *, replace: bool = False) -> bool:
        """Write a file.

        Args:
            path: in the store.
            content: the contents, or the file that has them.
            replace: write it also if there is one.

        Returns:
            Whether it was written: False if there is one already.

        Raises:
            DmddError: the store refuses.
        """
        place = self._at(path)
        try:
            with self._errors(path, "written"):
                self._fs.makedirs(self._fs._parent(place), exist_ok=True)
                if self._whole:
                    self._put(place, content, "overwrite" if replace else "create")
                    return True
                if not replace and self._fs.exists(place):
                    return False
                folder, _, name = place.rpartition("/")
                part = f"{folder}/.{name}.part"
                self._put(part, content, "overwrite")
                self._fs.mv(part, place)
        except FileExistsError:
            return False
        except FileNotFoundError as error:
            raise FleetError(f"{self.name}/{path} cannot be written: {_text(error)}.", _CHECK) from None
        return True

    def _put(self, place: str, content: bytes | Path, mode: str) -> None:
        if isinstance(content, Path):
            self._fs.put_file(os.fspath(content), place, mode=mode)
        else:
            self._fs.pipe_file(place, content, mode=mode)

    def _at(self, path: str) -> str:
        return f"{self._root}/{path}".rstrip("/") if path else self._root or "/"

    @contextmanager
    def _errors(self, path: str, doing: str) -> Iterator[None]:
        """Let pass what says that a file exists or does not; the rest are errors of the store."""
        try:
            yield
        except (FileNotFoundError, FileExistsError, DmddError):
            raise
        except ImportError as error:
            raise BackendError(f"{self.name}: {_text(error)}.", f"Install it: {_pip(error.name)}") from None
        except Exception as error:  # each library has its own kinds
            where = f"{self.name}/{path}".rstrip("/")
            raise FleetError(f"{where} cannot be {doing}: {_text(error)}.", _CHECK) from None


class _Reader:
    def __init__(self, store: FsspecStore, stream: Bytes, path: str) -> None:
        self._store, self._stream, self._path = store, stream, path

    def read(self, count: int, /) -> bytes:
        try:
            with self._store._errors(self._path, "read to its end"):
                return self._stream.read(count)
        except FileNotFoundError:
            raise NotThere(
                f"{self._store.name} does not have the file {self._path} any more.", "Push the version again."
            ) from None


def use_no_other_proxy() -> None:
    """Make ``DMDD_PROXY`` the only proxy of this process, or none: libraries read the common variables."""
    proxy = proxy_address()
    for name in _PROXIES:
        for spelling in (name, name.upper()):
            os.environ.pop(spelling, None)
        if proxy is not None:
            os.environ[name] = os.environ[name.upper()] = proxy


def _unknown(name: str, scheme: str, known: Collection[str]) -> OptionError:
    meant = did_you_mean(scheme, known)
    return OptionError(
        f"{name} cannot be used as an address: fsspec knows no {scheme}://.",
        f"{meant} Give a folder, or an address such as s3://BUCKET/FOLDER.".lstrip(),
    )


def _missing(name: str, scheme: str, error: ImportError) -> DmddError:
    from fsspec.registry import known_implementations

    needed = error.name or getattr(error.__cause__, "name", None)
    package = needed or known_implementations.get(scheme, {}).get("class", scheme).partition(".")[0]
    return BackendError(
        f"{name} needs the package {package}, which is not installed here.", f"Install it: {_pip(package)}"
    )


def _pip(package: str | None) -> str:
    return f"{interpreter()} -m pip install {package or 'fsspec'}"


def _text(error: BaseException) -> str:
    text = " ".join(redacted(str(error)).split())[:_SHOWN].strip(" .")
    return f"{type(error).__name__}: {text}" if text else type(error).__name__
