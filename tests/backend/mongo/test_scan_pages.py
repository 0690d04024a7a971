"""How a walk over a collection reads it."""

from __future__ import annotations

from typing import Any

import pytest
from pymongo.collection import Collection

from flask_dance_nosql.consumer.backend import Shard, TokenKey
from flask_dance_nosql.consumer.backend.mongo.store import MongoStore
from flask_dance_nosql.consumer.backend.store.base import SCAN_BATCH
from flask_dance_nosql.testing import make_document

from ...servers import MongoCommands

COUNT = 4 * SCAN_BATCH + 10


def test_walk_outlives_its_cursor(
    mongo_collection: Collection[dict[str, Any]],
    mongo_commands: MongoCommands,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It goes on where it was, of a part, too; and what others have put there is found."""
    store = MongoStore(mongo_collection, create_indexes=False)
    store.save(make_document(TokenKey("acme", "first"), {"access_token": "at"}))
    template = mongo_collection.find_one()
    assert template is not None
    rows = [
        {**template, "_id": TokenKey("acme", f"{n:05}").text, "user_id": f"{n:05}"}
        for n in range(1, COUNT)
    ]
    mongo_collection.insert_many([*rows, {**template, "_id": 7}, {"_id": 8, "n": 1}])
    opened: list[Any] = []
    find = Collection.find

    def note(*args: Any, **options: Any) -> Any:
        opened.append(find(*args, **options))
        return opened[-1]

    monkeypatch.setattr(Collection, "find", note)

    def walked(shard: Shard | None = None) -> list[Any]:
        opened.clear()
        mongo_commands.clear()
        walk = store.records(None, None, shard)
        found = [next(walk)]
        # As a server does when a cursor is not used for ten minutes.
        left = opened[0].cursor_id
        assert left
        mongo_collection.database.command("killCursors", mongo_collection.name, cursors=[left])
        return [*found, *walk]

    found = walked()
    # A batch, the cursor that is gone, four batches of what is left, and what others have put.
    expected = ["find", "killCursors", "getMore", "find", *["getMore"] * 3, "find"]
    assert mongo_commands.names == expected
    assert len(found) == len({each.key for each in found}) == COUNT + 1
    assert sum(each.key is None for each in found) == 1
    parts = [walked(Shard(number, 2)) for number in (1, 2)]
    assert {each.key for part in parts for each in part} == {each.key for each in found}
    assert sum(map(len, parts)) == len(found)
    assert len(list(store.records("acme"))) == COUNT + 1
