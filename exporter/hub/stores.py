"""One class for each way to reach an artifact: plain HTTP, what fsspec knows, and a model hub."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Protocol, cast
from urllib.parse import quote

from exporter.errors import MissingExtraError, MissingFileError, TransferError, UnreachableError
from exporter.hub import web
from exporter.hub.address import Address, is_commit

Files = Mapping[str, Path | bytes]
"""What is pushed, by name below the artifact: a file of this machine, or bytes."""

_PATIENCE = 60.0  # seconds


class Store(Protocol):
    """Where one artifact lives."""

    def read(self, name: str, limit: int) -> Iterator[bytes]:
        """The bytes of a file, piece by piece; no more than ``limit`` of them.

        Raises:
            MissingFileError: There is none.
            UnreachableError: The place cannot be reached, or breaks off.
            TransferError: It is larger, or cannot be read for another reason.
        """

    def has(self, name: str) -> bool:
        """Whether it is there already."""

    def write(self, files: Files, note: str) -> str:
        """Put files there, the manifest after all others.

        Args:
            files: What is pushed.
            note: What this is, in a line, where the place keeps a history.

        Returns:
            The address that names what was pushed.
        """


def open_store(address: Address, *, public: bool = False) -> Store:
    """What reaches an address; nothing is reached yet.

    Args:
        address: The address.
        public: Whether a repository that a push has to make may be seen by everybody.

    Raises:
        MissingExtraError: The package that reaches it is not installed.
        TransferError: Nothing reaches addresses of this kind.
    """
    if address.is_web:
        return _Web(address)
    if address.scheme == "hf":
        return _Hub(address, public=public)
    return _FileSystem(address)


class _Web:
    """A folder behind a plain HTTP server."""

    def __init__(self, address: Address) -> None:
        self._address = address

    def read(self, name: str, limit: int) -> Iterator[bytes]:
        return web.read(f"{self._address.text}/{quote(name)}", limit)

    def has(self, name: str) -> bool:  # noqa: ARG002
        return False

    def write(self, files: Files, note: str) -> str:  # noqa: ARG002
        raise TransferError(
            f"{self._address.text}: plain HTTP can be pulled from, not pushed to. Push to hf://, "
            "s3://, gs:// or file://, or copy the artifact's folder to where the server has it."
        )


class _FileSystem:
    """A folder of whatever fsspec knows: s3, gs, file and others."""

    def __init__(self, address: Address) -> None:
        try:
            import fsspec
        except ImportError as error:
            raise _missing(address, "fsspec") from error
        self._address = address
        # Only a folder of this machine is made on the way; elsewhere it would make buckets.
        options = {"auto_mkdir": True} if address.scheme in ("file", "local") else {}
        try:
            found, self._root = fsspec.core.url_to_fs(address.text, **options)
        except ImportError as error:
            raise MissingExtraError(
                f"{address.text}: {address.scheme}:// needs a package more: {web.one_line(error)}."
            ) from error
        except Exception as error:  # each file system has errors of its own
            raise TransferError(f"{address.text}: {web.one_line(error)}.") from error
        self._files: Any = found

    def _path(self, name: str) -> str:
        return f"{self._root.rstrip('/')}/{name}"

    def read(self, name: str, limit: int) -> Iterator[bytes]:
        where = f"{self._address.text}/{name}"
        try:
            with self._files.open(self._path(name), "rb") as file:
                yield from web.bounded(cast(IO[bytes], file), where, limit)
        except TransferError:
            raise
        except FileNotFoundError as error:
            raise MissingFileError(f"{where}: no such file.") from error
        except PermissionError as error:
            raise TransferError(f"{where}: refused: {web.one_line(error)}.") from error
        except Exception as error:
            raise UnreachableError(f"{where}: cannot be read: {web.one_line(error)}.") from error

    def has(self, name: str) -> bool:
        try:
            return bool(self._files.exists(self._path(name)))
        except Exception as error:
            raise UnreachableError(f"{self._address.text}: {web.one_line(error)}.") from error

    def write(self, files: Files, note: str) -> str:  # noqa: ARG002
        for name, content in files.items():
            try:
                if isinstance(content, bytes):
                    self._files.pipe_file(self._path(name), content)
                else:
                    self._files.put_file(str(content), self._path(name))
            except Exception as error:
                raise TransferError(
                    f"{self._address.text}/{name}: cannot be written: {web.one_line(error)}. The "
                    "manifest comes last: what is there now is not taken for a new artifact."
                ) from error
        return self._address.text


class _Hub:
    """A folder of a model repository of Hugging Face, read at one commit."""

    def __init__(self, address: Address, *, public: bool) -> None:
        try:
            import huggingface_hub
        except ImportError as error:
            raise _missing(address, "huggingface_hub") from error
        self._address, self._public = address, public
        self._library: Any = huggingface_hub
        self._api = huggingface_hub.HfApi()
        self._commit = address.revision if address.fixed else None

    def _path(self, name: str) -> str:
        return f"{self._address.path}/{name}".lstrip("/")

    def read(self, name: str, limit: int) -> Iterator[bytes]:
        commit = self._commit or self._resolve()
        url = self._library.hf_hub_url(
            self._address.repository, self._path(name), revision=commit, endpoint=self._api.endpoint
        )
        return web.read(url, limit, self._library.utils.build_hf_headers())

    def _resolve(self) -> str:
        """The commit of the revision: all files are read of one, whoever pushes meanwhile."""
        try:
            info = self._api.model_info(
                self._address.repository, revision=self._address.revision, timeout=_PATIENCE
            )
        except Exception as error:
            raise self._refused(error, "cannot be reached") from error
        if not is_commit(info.sha or ""):
            raise TransferError(f"{self._address.text}: expected a commit, got {info.sha!r:.60}.")
        self._commit = str(info.sha)
        return self._commit

    def has(self, name: str) -> bool:
        try:
            return bool(
                self._api.file_exists(
                    self._address.repository, self._path(name), revision=self._address.revision
                )
            )
        except Exception as error:
            raise self._refused(error, "cannot be reached") from error

    def write(self, files: Files, note: str) -> str:
        if self._address.fixed:
            raise TransferError(
                f"{self._address.text}: a commit cannot be pushed to. Name a branch, or none."
            )
        additions = [
            self._library.CommitOperationAdd(self._path(name), content)
            for name, content in files.items()
        ]
        repository, branch = self._address.repository, self._address.revision
        self._library.utils.disable_progress_bars()
        try:
            self._api.create_repo(repository, private=not self._public, exist_ok=True)
            if branch is not None:
                self._api.create_branch(repository, branch=branch, exist_ok=True)
            # One commit: whoever reads meanwhile sees the artifact before or this one.
            made = self._api.create_commit(
                repository, additions, commit_message=note, revision=branch
            )
        except Exception as error:
            raise self._refused(error, "cannot be pushed to") from error
        inside = f"/{self._address.path}" if self._address.path else ""
        return f"hf://{repository}@{made.oid}{inside}"

    def _refused(self, error: Exception, what: str) -> TransferError:
        answer = getattr(error, "response", None)
        code = getattr(answer, "status_code", None)
        text = f"{self._address.text}: {what}: {web.one_line(error)}."
        if code in (401, 403, 404):
            return TransferError(f"{text} Is it spelt so, and does HF_TOKEN allow it?")
        if code is not None and code < 500:
            return TransferError(text)
        return UnreachableError(text)


def _missing(address: Address, package: str) -> MissingExtraError:
    return MissingExtraError(
        f"{address.text}: {address.scheme}:// needs {package}. Run: pip install 'protohead[hub]'"
    )
