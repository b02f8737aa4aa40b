"""Where weights come from: a file of the user's, the caches of other libraries, the hubs."""

from __future__ import annotations

import os
import sys
import threading
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple, Protocol
from urllib.parse import urlsplit

from engine.encoders.base import quiet
from engine.errors import EncoderUnavailable

HOSTS = ("https://huggingface.co", "https://download.pytorch.org")
# torch.hub has no switch of its own: who keeps one hub offline means the machine.
OFFLINE = ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE")


class Remote(Protocol):
    """Weights that a hub publishes."""

    @property
    def origin(self) -> str:
        """Return where a person finds them."""
        ...

    @property
    def host(self) -> str | None:
        """Return the address of the host that must answer for a download; None where there is no download."""
        ...

    def cached(self) -> Path | None:
        """Return the file in the user's ordinary cache, if it is there."""
        ...

    def download(self) -> Path:
        """Fetch the file into the user's ordinary cache."""
        ...


@dataclass(frozen=True, slots=True)
class TorchFile:
    """A file that torch.hub would keep under `TORCH_HOME/hub/checkpoints`."""

    url: str

    @property
    def origin(self) -> str:
        return self.url

    @property
    def host(self) -> str:
        return _host(self.url)

    def _path(self) -> Path:
        # What torch.hub.get_dir() says, without importing torch.
        cache = Path(os.environ.get("XDG_CACHE_HOME", "~/.cache")) / "torch"
        home = Path(os.environ.get("TORCH_HOME", cache)).expanduser()
        return home / "hub" / "checkpoints" / self.url.rpartition("/")[2]

    def cached(self) -> Path | None:
        path = self._path()
        return path if path.is_file() else None

    def download(self) -> Path:
        from torch.hub import download_url_to_file

        path = self._path()
        path.parent.mkdir(parents=True, exist_ok=True)
        # The name ends in the first digits of the file's sha256, as torch.hub expects: resnet50-11ad3fa6.pth
        prefix = path.stem.rpartition("-")[2]
        is_hash = len(prefix) >= 8 and set(prefix) <= set("0123456789abcdef")
        download_url_to_file(self.url, str(path), prefix if is_hash else None, progress=sys.stderr.isatty())
        return path


@dataclass(frozen=True, slots=True)
class HuggingFaceFile:
    """The first of `names` that a Hugging Face repository holds."""

    repo: str
    names: tuple[str, ...]

    @property
    def origin(self) -> str:
        return f"{self.host}/{self.repo}"

    @property
    def host(self) -> str:
        # A mirror can stand in for it.
        return os.environ.get("HF_ENDPOINT", "https://huggingface.co").rstrip("/")

    def cached(self) -> Path | None:
        from huggingface_hub import try_to_load_from_cache

        found = (try_to_load_from_cache(self.repo, name) for name in self.names)
        return next((Path(path) for path in found if isinstance(path, str)), None)

    def download(self) -> Path:
        from huggingface_hub import hf_hub_download
        from huggingface_hub.errors import EntryNotFoundError
        from huggingface_hub.utils import disable_progress_bars

        if not sys.stderr.isatty():
            disable_progress_bars()
        for name in self.names[:-1]:
            try:
                return Path(hf_hub_download(self.repo, name))
            except EntryNotFoundError:
                continue
        return Path(hf_hub_download(self.repo, self.names[-1]))


class Hub:
    """Which hubs answer. Finding out costs at most `seconds` in all, once."""

    def __init__(self, hosts: tuple[str, ...] = HOSTS, *, seconds: float = 5.0) -> None:
        self.hosts = hosts
        self.seconds = seconds
        self._answers: dict[str, bool] = {}

    def reachable(self, host: str) -> bool:
        """Return whether `host` (scheme and name) answers HTTP at all; False at once where hubs are switched off."""
        if any(os.environ.get(name, "").upper() in ("1", "ON", "YES", "TRUE") for name in OFFLINE):
            return False
        if host not in self._answers:
            self._ask({host, *self.hosts} - self._answers.keys())
        return self._answers[host]

    def _ask(self, hosts: set[str]) -> None:
        """Knock at all `hosts` at once and write down who answered before the time ran out."""
        started, answered = time.monotonic(), set[str]()

        def knock(host: str) -> None:
            if _answers(host, timeout=max(self.seconds, 0.1)):
                answered.add(host)

        # Name resolution can hang beyond every socket time-out; a daemon thread can be left behind.
        threads = [threading.Thread(target=knock, args=(host,), daemon=True) for host in hosts]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(max(0.0, started + self.seconds - time.monotonic()))
        self._answers |= {host: host in answered for host in hosts}
        self.seconds = max(0.0, self.seconds - (time.monotonic() - started))


def _host(address: str) -> str:
    parts = urlsplit(address)
    return f"{parts.scheme}://{parts.netloc}"


def _answers(host: str, *, timeout: float) -> bool:
    try:
        urllib.request.urlopen(urllib.request.Request(host, method="HEAD"), timeout=timeout).close()
    except urllib.error.HTTPError:
        return True  # An answer, if not a friendly one.
    except (OSError, ValueError):
        return False
    return True


HUB = Hub()


class Availability(NamedTuple):
    """Whether an encoder can run here, why, and what to type if it cannot."""

    ok: bool
    reason: str
    remedy: str | None = None


def look(spec: str, file: Path | None, remote: Remote | None, hub: Hub) -> Availability:
    """Return whether weights for `spec` are on this machine or can be fetched."""
    remedy = f"engine embed --encoder {spec} --weights FILE"
    if file is not None:
        found = file.is_file()
        return Availability(found, f"weights {'in' if found else 'missing:'} {file}", None if found else remedy)
    if remote is None:
        return Availability(False, f"no weights are published for {spec}", remedy)
    if cached := remote.cached():
        return Availability(True, f"weights in {cached}")
    remedy = f"{remedy}, with FILE from {remote.origin}"
    if remote.host is None:
        return Availability(False, "no weights on this machine", remedy)
    if hub.reachable(remote.host):
        return Availability(True, f"weights can be downloaded from {remote.host}")
    return Availability(False, f"no weights on this machine, and {remote.host} does not answer", remedy)


def obtain(spec: str, file: Path | None, remote: Remote | None, hub: Hub) -> Path:
    """Return the weights file of `spec`, downloaded if need be; raise `EncoderUnavailable` with the remedy."""
    if file is not None:
        return file
    seen = look(spec, file, remote, hub)
    if not seen.ok or remote is None:
        raise EncoderUnavailable(f"encoder {spec!r} cannot run: {seen.reason}", seen.remedy)
    if cached := remote.cached():
        return cached
    try:
        with quiet():
            return remote.download()
    except Exception as error:  # Two download libraries, each with its own and its network stack's exceptions.
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise EncoderUnavailable(
            f"the weights of {spec!r} could not be downloaded: {reason}",
            f"engine embed --encoder {spec} --weights FILE, with FILE from {remote.origin}",
        ) from error
