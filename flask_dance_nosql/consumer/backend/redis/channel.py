"""What a process hears from others, on a channel of Redis, of their writes."""

from __future__ import annotations

import logging
import secrets
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import msgspec

from ..cache.base import Name
from ..store.document import TokenKey
from ..store.driver import require

if TYPE_CHECKING:
    import redis

    from ..cache.local import LocalCache
else:
    redis = require("redis", feature="InvalidatedCache", package="redis", extra="redis")

log = logging.getLogger(__name__)

BEAT_SECONDS = 3.0
"""How often it is tried whether messages arrive."""

TRUST_SECONDS = 10.0
"""How long what is kept may be served after the last such try that succeeded was begun."""

RETRY_SECONDS = 1.0
_TIMEOUT_SECONDS = 2.0
_POLL_SECONDS = 0.25
_QUIET_SECONDS = 60.0
_NEVER = float("-inf")


class Written(msgspec.Struct, tag=True):
    """Says that something was written."""

    sender: str
    place: str
    provider: str
    user_id: str | None


class Beat(msgspec.Struct, tag=True):
    """What a process sends to itself, to learn whether messages arrive."""

    sender: str
    number: int


_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Written | Beat).decode


class Subscription:
    """Forgets what others have written, and tells whether it hears of that.

    A thread listens. Messages arrive in the order in which the server took them: when a beat is
    back, everything is known that was said before the beat was sent. When the connection is lost,
    and again when there is a new one, all that is kept is forgotten, and the tickets of readers
    with it: who can tell what was said meanwhile?

    Args:
        kept: What is kept in this process.
        channel: The channel's name.
        timer: Returns the time in seconds.
    """

    def __init__(self, kept: LocalCache, channel: str, timer: Callable[[], float]) -> None:
        self._kept = kept
        self._channel = channel
        self._timer = timer
        self._sender = secrets.token_hex(8)
        self._thread: threading.Thread | None = None
        self._ending = threading.Event()
        self._until = _NEVER
        self._number = 0
        self._sent = self._next_beat = _NEVER
        self._warned: dict[str, float] = {}

    def is_live(self) -> bool:
        """Whether what is kept may be served."""
        return self._timer() < self._until

    def can_begin(self) -> bool:
        """Whether the thread was neither started nor told to end."""
        return self._thread is None and not self._ending.is_set()

    def begin(self, client: redis.Redis) -> None:
        """Start the thread, which takes its connection's settings from a client."""
        thread = threading.Thread(
            target=self._run, args=(client,), name="flask-dance-invalidation", daemon=True
        )
        thread.start()
        self._thread = thread

    def end(self) -> None:
        """Tell the thread to end."""
        self._ending.set()

    def join(self) -> None:
        """Wait for the end of the thread, for some seconds at most."""
        if self._thread is not None:
            self._thread.join(2 * _TIMEOUT_SECONDS)

    def tell(self, client: redis.Redis, name: Name) -> None:
        """Tell the others that something was written."""
        place, key = name
        self._publish(client, Written(self._sender, place, key.provider, key.user_id))

    def warn(self, what: str, error: Exception) -> None:
        """Log what could not be done, each at most once a minute."""
        now = time.monotonic()
        if now - self._warned.get(what, _NEVER) >= _QUIET_SECONDS:
            self._warned[what] = now
            # The message of an error may have something in it that is nobody's business.
            log.warning("The invalidation of tokens could not %s (%s).", what, type(error).__name__)

    def _run(self, client: redis.Redis) -> None:
        while not self._ending.is_set():
            try:
                self._listen(client)
            except Exception as error:  # noqa: BLE001 - whatever it is, the next attempt may do
                self.warn("listen, so nothing is kept", error)
            self._ending.wait(RETRY_SECONDS)

    def _listen(self, client: redis.Redis) -> None:
        # By this, which nobody hears, a client of a cluster learns who has the channel now.
        self._send_beat(client, _NEVER)
        connection = own_connection(client, self._channel)
        try:
            connection.connect()
            connection.send_command("SUBSCRIBE", self._channel)
            self._hear(client, connection)
        finally:
            self._until = _NEVER
            self._kept.clear()
            connection.disconnect()

    def _hear(self, client: redis.Redis, connection: Any) -> None:
        begun, self._next_beat = self._timer(), float("inf")
        while not self._ending.is_set():
            if connection.can_read(timeout=_POLL_SECONDS):
                self._take(*connection.read_response())
            now = self._timer()
            if now >= max(begun + TRUST_SECONDS, self._until):
                raise TimeoutError("Messages do not arrive")
            if now >= self._next_beat:
                self._next_beat = now + BEAT_SECONDS
                self._send_beat(client, now)

    def _send_beat(self, client: redis.Redis, now: float) -> None:
        self._number, self._sent = self._number + 1, now
        self._publish(client, Beat(self._sender, self._number))

    def _take(self, kind: bytes, _: object, content: Any) -> None:
        if kind == b"subscribe":
            self._kept.clear()
            self._next_beat = _NEVER
        elif kind == b"message":
            try:
                self._understand(_decode(content))
            except Exception as error:  # noqa: BLE001 - anybody may send anything
                self.warn("read a message", error)

    def _understand(self, message: Written | Beat) -> None:
        own = message.sender == self._sender
        if isinstance(message, Written):
            if not own:
                key = TokenKey(message.provider, message.user_id)
                self._kept.forget((message.place, key))
        elif own and message.number == self._number:
            self._until = self._sent + TRUST_SECONDS

    def _publish(self, client: redis.Redis, message: Written | Beat) -> None:
        client.publish(self._channel, _encode(message))


def own_connection(client: Any, channel: str) -> Any:
    """Return a connection to where a client publishes, with short patience and no second attempt.

    A ``PubSub`` of redis-py connects again by itself, and does not say that it has.
    """
    if hasattr(client, "get_node_from_key"):
        client = client.get_redis_connection(client.get_node_from_key(channel))
    pool = client.connection_pool
    # What a pool adds for itself would tie the connection to it.
    options = {
        name: value
        for name, value in pool.connection_kwargs.items()
        if not name.startswith(("maint_", "oss_", "orig_", "retry"))
    }
    options |= {"retry": redis.retry.Retry(redis.backoff.NoBackoff(), 0), "protocol": 2}
    options |= {"decode_responses": False, "health_check_interval": 0}
    options["socket_timeout"] = _TIMEOUT_SECONDS
    if "path" not in options:
        options["socket_connect_timeout"] = _TIMEOUT_SECONDS
    return pool.connection_class(**options)
