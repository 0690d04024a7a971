"""A view that tells load balancers whether the stores of an application answer."""

from __future__ import annotations

import logging
import threading
from collections.abc import Hashable
from typing import Any

from flask import Blueprint, Flask, Response, current_app, jsonify

from .. import clock
from ..consumer.app_backends import AppStore, app_stores
from ..consumer.backend.options import checked_seconds
from ..consumer.backend.store.base import TokenStore
from ..consumer.backend.store.wrapper import StoreWrapper
from ..errors import BackendUnavailable, ConfigurationError, FlaskDanceNoSQLError
from ..process import PerProcess

log = logging.getLogger(__name__)


class HealthCheck(Blueprint):
    """A blueprint with a view for the probes of load balancers and orchestrators.

    It asks each store of the app's OAuth blueprints for a sign of life::

        app.register_blueprint(HealthCheck())

    ``GET /healthz`` is then 200 and ``{"status": "ok"}``, or 503 with the names of the blueprints
    whose stores do not answer, and of the stores' classes. It needs no session and no sign-in, and
    tells neither addresses nor errors; those are in the log. See :doc:`/health`.

    Args:
        name: The blueprint's name.
        url: The path of the view.
        timeout: How many seconds a store has for its answer. The view answers then in any case.
            What still waits for the store ends by the time limits of its driver, and no other one
            is begun meanwhile.
        keep: For how many seconds an answer stands, so that the probes of many cost one question.
        **kwargs: Further arguments of :class:`flask.Blueprint`.

    Raises:
        ConfigurationError: If ``timeout`` or ``keep`` is no number of seconds.

    .. versionadded:: 1.0
    """

    def __init__(
        self,
        name: str = "health",
        *,
        url: str = "/healthz",
        timeout: float = 2.0,
        keep: float = 1.0,
        **kwargs: Any,
    ) -> None:
        self._timeout = checked_seconds("timeout", timeout)
        if not self._timeout:
            raise ConfigurationError("timeout is a number of seconds above 0.")
        self._questions = Questions(checked_seconds("keep", keep), self._timeout)
        super().__init__(name, __name__, **kwargs)
        # An endpoint without methods of its own would answer OPTIONS, too.
        self.add_url_rule(
            url, "show", self._show, methods=["GET", "HEAD"], provide_automatic_options=False
        )

    def _show(self) -> Response:
        app = current_app._get_current_object()  # type: ignore[attr-defined] # it is a proxy
        asked = [(each, self._questions.ask(app, each.backend.store)) for each in app_stores()]
        down = [_told(each) for each, question in asked if not question.wait()]
        told: dict[str, Any] = {"status": "unavailable", "stores": down}
        response = jsonify(told if down else {"status": "ok"})
        response.status_code = 503 if down else 200
        response.headers["Cache-Control"] = "no-store"
        return response


def _told(each: AppStore) -> dict[str, Any]:
    return {"store": _class_of(each.backend.store), "providers": list(each.blueprints)}


def _class_of(store: TokenStore) -> str:
    while isinstance(store, StoreWrapper):
        store = store.inner
    return type(store).__name__


def _place_of(store: TokenStore) -> Hashable:
    """Return where a store is, or what names it alone where only a request tells."""
    try:
        return store.place
    except BackendUnavailable:
        raise
    except Exception:  # noqa: BLE001 - it may be an application's function, for a tenant
        return id(store)


class Question:
    """Whether a store answers: asked by one thread, and waited for by any number.

    Args:
        timeout: How many seconds it has, from now.
    """

    def __init__(self, timeout: float) -> None:
        self._deadline = clock.monotonic() + timeout
        self._is_done = threading.Event()
        self._is_up = False
        self.ended: float | None = None

    def end(self, is_up: bool) -> None:
        """Give the answer. One that comes too late counts as none."""
        self.ended = clock.monotonic()
        self._is_up = is_up and self.ended <= self._deadline
        self._is_done.set()

    def wait(self) -> bool:
        """Return whether the store has answered, once that is known or the time is up."""
        self._is_done.wait(max(0.0, self._deadline - clock.monotonic()))
        return self._is_up


class Questions:
    """Asks stores whether they answer, each by one thread at a time.

    Args:
        keep: For how many seconds an answer stands.
        timeout: How many seconds a store has for it.
    """

    def __init__(self, keep: float, timeout: float) -> None:
        self._keep = keep
        self._timeout = timeout
        # Neither a lock that is held at a fork, nor a thread that is not there, must go along.
        self._mutexes = PerProcess(threading.Lock)
        self._asked: PerProcess[dict[Hashable, Question]] = PerProcess(dict)

    def ask(self, app: Flask, store: TokenStore) -> Question:
        """Return the question of a store: the open one, that just answered, or a new one."""
        # Where the store is may take a connection to tell, so that the thread finds it out.
        question, is_new = self._question(id(store))
        if is_new:
            try:
                threading.Thread(
                    target=self._work, args=(app, store, question), daemon=True
                ).start()
            except RuntimeError:
                log.warning("No thread can be started to ask %s.", _class_of(store))
                question.end(False)
        return question

    def _question(self, name: Hashable) -> tuple[Question, bool]:
        with self._mutexes.get():
            asked, now = self._asked.get(), clock.monotonic()
            for each, known in list(asked.items()):
                if known.ended is not None and now - known.ended >= self._keep:
                    del asked[each]
            if name in asked:
                return asked[name], False
            question = asked[name] = Question(self._timeout)
            return question, True

    def _work(self, app: Flask, store: TokenStore, question: Question) -> None:
        is_up = False
        try:
            with app.app_context():
                # Several backends may have one place.
                shared, is_new = self._question(_place_of(store))
                if is_new or shared is question:
                    try:
                        store.ping()
                        is_up = True
                    finally:
                        shared.end(is_up)
                else:
                    is_up = shared.wait()
        except FlaskDanceNoSQLError as error:
            log.warning("A store does not answer: %s", error)
        except Exception as error:  # noqa: BLE001 - whatever it is, there was no answer
            log.warning("%s does not answer: %s", _class_of(store), type(error).__name__)
        finally:
            question.end(is_up)
