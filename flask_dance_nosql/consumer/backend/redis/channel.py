"""What a process hears from others, on a channel of Redis, of their writes."""

from __future__ import annotations

import logging
import secrets
import time
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from threading import Event, Lock, Thread
from typing import Any

import msgspec

from ....errors import ConfigurationError
from ..cache.base import Name
from ..cache.local import LocalCache
from ..store.document import TokenKey
from ..store.driver import DriverSource
from .client import own_connection

log = logging.getLogger(__name__)
THREAD = "flask-dance-invalidation"

# How often a process sends itself a message, to learn whether messages arrive.
BEAT_SECONDS = 3.0
# How long entries may be served after the last such message that came back was sent.
TRUST_SECONDS = 10.0
_TIMEOUT_SECONDS, _RETRY_SECONDS, _POLL_SECONDS, _QUIET_SECONDS = 2.0, 1.0, 0.25, 60.0


class Written(msgspec.Struct, tag=True):
    """Tells other processes that a token was written or deleted."""

    sender: str
    place: str
    provider: str
    user_id: str | None
    account: str | None = None


class Beat(msgspec.Struct, tag=True):
    """A message of a process to itself."""

    sender: str
    number: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Written | Beat).decode


@dataclass(eq=False, repr=False)
class Subscription:
    """Forgets what other processes have written, and tells whether it hears of their writes.

    A thread listens. Redis delivers messages in order: when a beat is back, all that others had
    published before it was sent has been heard. When a connection is lost, and again when there is
    a new one, every entry and every ticket is dropped, since messages may have been missed. The
    thread ends when nobody has the cache any more.
    """

    cache: weakref.ref[LocalCache]
    channel: str
    timer: Callable[[], float]

    def __post_init__(self) -> None:
        self._sender = secrets.token_hex(8)
        self._starting = Lock()
        self._tried_at = float("-inf")
        self._thread: Thread | None = None
        self._ended = Event()
        self.heard = Event()
        self.trusted_until: float | None = None
        self._warned: dict[str, float] = {}

    def is_live(self) -> bool:
        """Whether entries may be served: a beat has been back in the last seconds."""
        return (until := self.trusted_until) is not None and self.timer() < until

    def begin(self, source: DriverSource[Any]) -> None:
        """Start the thread, unless it was started or ended before, or has just failed to start."""
        # Nobody waits for this lock: it is held while a client connects.
        if self._thread or self._ended.is_set() or not self._starting.acquire(blocking=False):
            return
        try:
            now = self.timer()
            if self._thread is None and now >= self._tried_at + _RETRY_SECONDS:
                self._tried_at = now
                # Here and not in the thread, where there is no app context for a function or proxy.
                thread = Thread(target=self._run, args=(source.get(),), name=THREAD, daemon=True)
                thread.start()
                self._thread = thread
        except ConfigurationError:
            raise
        except Exception as error:  # noqa: BLE001 - a cluster's URL is opened by connecting
            self._warn("begin, so nothing is kept", error)
        finally:
            self._starting.release()

    def end(self) -> None:
        """End the thread, waiting for it some seconds at most, and start none any more."""
        self._ended.set()
        if self._thread is not None:
            self._thread.join(2 * _TIMEOUT_SECONDS)

    def tell(self, source: DriverSource[Any], name: Name) -> None:
        """Tell the others that something was written."""
        place, key = name
        message = Written(self._sender, place, key.provider, key.user_id, key.account)
        try:
            source.get().publish(self.channel, _encode(message))
        except Exception as error:  # noqa: BLE001 - the write itself is done
            self._warn("tell other processes of a write", error)

    def _run(self, client: Any) -> None:
        while self.cache() is not None and not self._ended.is_set():
            try:
                self._listen(client)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may do
                self._warn("listen, so nothing is kept", error)
                self._ended.wait(_RETRY_SECONDS)

    def _listen(self, client: Any) -> None:
        # Nobody hears this one. A cluster's client learns by it which node has the channel now.
        client.publish(self.channel, _encode(Beat(self._sender, 0)))
        connection = own_connection(client, self.channel, _TIMEOUT_SECONDS)
        number, sent_at, is_subscribed = 0, self.timer(), False
        deadline = sent_at + TRUST_SECONDS
        try:
            connection.connect()
            connection.send_command("SUBSCRIBE", self.channel)
            while self.cache() is not None and not self._ended.is_set():
                if connection.can_read(timeout=_POLL_SECONDS):
                    kind, _, content = connection.read_response()
                    if kind == b"subscribe":
                        self._forget()
                        is_subscribed = True
                    elif kind == b"message" and self._take(content) == Beat(self._sender, number):
                        self.trusted_until = deadline = sent_at + TRUST_SECONDS
                        self.heard.set()
                now = self.timer()
                if now >= deadline:
                    raise TimeoutError("Messages do not arrive")
                if is_subscribed and (number == 0 or now >= sent_at + BEAT_SECONDS):
                    number, sent_at = number + 1, now
                    client.publish(self.channel, _encode(Beat(self._sender, number)))
        finally:
            self.trusted_until = None
            self.heard.clear()
            self._forget()
            connection.disconnect()

    def _take(self, content: Any) -> Written | Beat | None:
        """Forget what a message says was written, and return the message, if it is one."""
        try:
            message: Written | Beat = _decode(content)
            if isinstance(message, Written) and message.sender != self._sender:
                key = TokenKey(message.provider, message.user_id, message.account)
                self._forget((message.place, key))
        except Exception as error:  # noqa: BLE001 - anybody may send anything
            self._warn("read a message", error)
            return None
        return message

    def _forget(self, name: Name | None = None) -> None:
        cache = self.cache()
        if cache is not None:
            cache.clear() if name is None else cache.forget(name)

    def _warn(self, what: str, error: Exception) -> None:
        """Log what failed, each kind at most once a minute."""
        now = time.monotonic()
        if now - self._warned.get(what, float("-inf")) >= _QUIET_SECONDS:
            self._warned[what] = now
            # The error's message may hold something secret.
            log.warning("The invalidation of tokens could not %s (%s).", what, type(error).__name__)
