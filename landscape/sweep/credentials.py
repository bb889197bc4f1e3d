"""Who may speak to the scheduler and the workers of a sweep: who holds its certificates.

Whoever reaches a scheduler of Dask can run code as its owner, and other users of a machine reach 127.0.0.1 too. So every connection
is TLS with certificates on both sides: given ones, or a temporary pair that lives in the memory of this process and its workers.
"""

import ipaddress
import os
import secrets
import shlex
import socket
import ssl
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import Any

from landscape.errors import InputError
from landscape.plain_file import Damaged, read_ordinary
from landscape.sweep.settings import EngineSettings as Settings

LOOPBACK = "127.0.0.1"
_LONGEST = 1_000_000  # bytes of a file with certificates
# what the pages of the scheduler may serve: nothing that hands on to another port, nothing that runs what it is sent
_PAGES = ("prometheus", "info", "json")
_ROLES = ("client", "scheduler", "worker")
_OWN = "landscape-tls-"  # folders of certificates for SLURM jobs


def is_loopback(host: str) -> bool:
    """Whether a host has addresses, and all of them are of this machine alone."""
    try:
        found = {ipaddress.ip_address(str(answer[4][0]).partition("%")[0]) for answer in socket.getaddrinfo(host, None)}
    except (OSError, ValueError):
        return False
    return bool(found) and all(address.is_loopback for address in found)


def require_encryption(settings: Settings) -> None:
    """Refuses a running scheduler that is reached over a network without TLS, or without the certificates that it needs.

    Raises:
        InputError: If so.
    """
    scheme, _, place = settings.kind.rpartition("://")
    if not scheme:
        return
    host = place.rpartition(":")[0].strip("[]")
    if scheme == "tls" and settings.tls is None:
        raise InputError(f"expected tls = [authority, certificate, key] in the engine section for {settings.kind}, got none")
    if scheme == "tcp" and settings.tls is not None:
        raise InputError(f"expected an address tls://{place} with tls = [..], got {settings.kind}: it would not be encrypted")
    if scheme == "tcp" and not is_loopback(host):
        raise InputError(
            f"expected a scheduler with TLS on another machine, got {settings.kind}: start it with TLS, give tls = [..]"
        )


def credentials(settings: Settings) -> Any:
    """Returns the certificates of every connection: the given ones, or a pair of this sweep's own.

    A running scheduler on this machine, `tcp://127.0.0.1:PORT`, has none: None.

    Raises:
        InputError: If a file cannot be used, or a package is missing.
    """
    from distributed.security import Security

    if settings.tls is not None:
        return _given(settings.tls)
    if settings.kind not in ("local", "slurm"):
        return None
    try:
        return Security.temporary()
    except ImportError as error:
        raise InputError(
            "expected the package cryptography for TLS between the processes of a sweep: pip install 'landscape-dufm[batch]', "
            "or use --workers 0"
        ) from error


def _given(paths: tuple[str, str, str]) -> Any:
    from distributed.security import Security

    for path in paths:
        try:
            read_ordinary(Path(path), _LONGEST)
        except Damaged as error:
            raise InputError(f"expected a file of certificates in tls = [..], got {path}: {error}") from error
    authority, certificate, key = (str(Path(path).absolute()) for path in paths)
    pairs = {f"tls_{role}_{part}": {"cert": certificate, "key": key}[part] for role in _ROLES for part in ("cert", "key")}
    security = Security(tls_ca_file=authority, require_encryption=True, **pairs)
    try:
        for role in _ROLES:
            security.get_connection_args(role)
    except (ssl.SSLError, OSError) as error:
        raise InputError(f"expected tls = [authority, certificate, key] as PEM files that fit, got {paths[1]}: {error}") from error
    return security


def guarded_scheduler(page: str) -> Any:
    """Returns Dask's scheduler with pages that only who knows a secret path reads, whatever pages there are.

    Args:
        page: The secret path; every page outside it is not found, the list of pages too.
    """
    import distributed
    from tornado.web import ErrorHandler

    base: Any = distributed.Scheduler

    class Guarded(base):  # type: ignore[misc]
        """Its list of pages, /sitemap.json, would tell the path to everyone."""

        def start_http_server(self, *arguments: Any, **options: Any) -> None:
            super().start_http_server(*arguments, **options)
            pages: Any = self.http_application
            find = pages.find_handler

            def found(request: Any, **more: Any) -> Any:
                if request.path.startswith(f"/{page}/"):
                    return find(request, **more)
                return pages.get_handler_delegate(request, ErrorHandler, {"status_code": 404})

            pages.find_handler = found  # before the first request: the loop that would hear one runs this

    return Guarded


def dashboard_settings() -> tuple[str, dict[str, Any]]:
    """Returns a secret path for the scheduler's pages, and Dask's settings that serve them there, and none by workers."""
    page = secrets.token_urlsafe(24)
    return page, {
        "distributed.dashboard.link": f"{{scheme}}://{{host}}:{{port}}/{page}/status",
        "distributed.scheduler.http.routes": [
            *(f"distributed.http.scheduler.{name}" for name in _PAGES),
            "distributed.http.statics",
        ],
        "distributed.worker.http.routes": [],
    }


def written_for_jobs(security: Any, folder: Path) -> dict[str, str | None]:
    """Writes the certificates of a worker where only their owner reads them, and returns their paths, quoted for a shell.

    Args:
        security: Security of `credentials`; what it has as files stays where it is.
        folder: Folder that the jobs see too. What earlier sweeps left there is removed.

    Raises:
        InputError: If they cannot be written.
    """
    forget_jobs(folder)
    try:
        place = Path(tempfile.mkdtemp(prefix=_OWN, dir=folder))
        paths: dict[str, str | None] = {}
        for name, value in security.get_tls_config_for_role("worker").items():
            if value is not None and "\n" in value:
                with open(place / f"{name}.pem", "x", opener=_private) as file:
                    file.write(value)
                value = str(place / f"{name}.pem")
            paths[name] = None if value is None else shlex.quote(value)
        return paths
    except OSError as error:
        raise InputError(f"cannot write certificates in {folder}: {error.strerror or error}") from error


def forget_jobs(folder: Path) -> None:
    """Removes what `written_for_jobs` has written into a folder."""
    for place in folder.glob(f"{_OWN}*"):
        with suppress(OSError):
            for file in place.iterdir():
                file.unlink()
            place.rmdir()


def _private(path: str, flags: int) -> int:
    return os.open(path, flags, 0o600)
