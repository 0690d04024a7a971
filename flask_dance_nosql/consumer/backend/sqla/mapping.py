"""What a model has to be like, so that its rows can be told apart."""

from __future__ import annotations

from typing import Any, cast

from sqlalchemy import exc, inspect
from sqlalchemy.exc import NoInspectionAvailable
from sqlalchemy.orm import Mapper, RelationshipDirection
from sqlalchemy.schema import Column, ForeignKeyConstraint, Table, UniqueConstraint
from sqlalchemy.types import String

from ....errors import ConfigurationError


def mapper_of(model: Any) -> Mapper[Any]:
    """Return the mapper of a model, or raise :class:`ConfigurationError` if it won't do."""
    try:
        mapper: Mapper[Any] = inspect(model)
    except NoInspectionAvailable:
        raise ConfigurationError(f"{model!r} is not a model of SQLAlchemy.") from None
    name = model.__name__
    if "provider" not in mapper.columns or "token" not in mapper.columns:
        raise ConfigurationError(
            f"The model {name} needs the columns provider and token, which OAuthConsumerMixin has."
        )
    if len(mapper.tables) != 1 or not isinstance(mapper.local_table, Table):
        raise ConfigurationError(
            f"The model {name} is kept in several tables (joined inheritance, or a join). Give "
            "tokens a model with one table of its own, such as class OAuth(OAuthTokenMixin, Base)."
        )
    kind = mapper.polymorphic_on
    if kind is not None and (mapper.polymorphic_identity is None or not isinstance(kind, Column)):
        raise ConfigurationError(
            f"The model {name} shares its table with others, and rows of its own have nothing that "
            "tells them: give it a polymorphic_identity, with a column as polymorphic_on."
        )
    return mapper


def kinds_of(mapper: Mapper[Any]) -> list[Any]:
    """Return the discriminators of a model's rows, its own first; none if it shares no table."""
    if mapper.polymorphic_on is None:
        return []
    own = mapper.polymorphic_identity
    same = (each for each in mapper.self_and_descendants if each.local_table is mapper.local_table)
    return [own, *(each.polymorphic_identity for each in same if each is not mapper)]


def refuse_composite_user(mapper: Mapper[Any]) -> None:
    """Raise :class:`ConfigurationError` if a user is told by several columns of the table.

    Only the foreign keys are looked at: the classes that relationships name may not be there yet.
    """
    table = cast(Table, mapper.local_table)
    constraints = table.foreign_key_constraints
    column = mapper.columns.get("user_id")
    if column is not None:
        if any(column in _columns(each) and not _is_enough(column, each) for each in constraints):
            raise _composite(mapper)
        return
    # Of several, the relationship may use another one.
    has_choice = any(len(each.elements) == 1 for each in constraints)
    if mapper.has_property("user") and constraints and not has_choice:
        raise _composite(mapper)


def user_column(mapper: Mapper[Any]) -> Column[Any] | None:
    """Return the column of the user's id, if there is one; all models have to be there by now."""
    refuse_composite_user(mapper)
    column = mapper.columns.get("user_id")
    user = mapper.relationships.get("user")
    if user is None:
        return column
    local = user.local_columns
    if user.direction is not RelationshipDirection.MANYTOONE:
        if column is not None:
            return column
        raise ConfigurationError(
            f"{mapper.class_.__name__}.user is no reference to one user, by a foreign key in the "
            "table of tokens. Give the model a user_id."
        )
    if len(local) == 1:
        return cast("Column[Any]", next(iter(local))) if column is None else column
    if column is None or (column in local and not _is_unique_there(user, column)):
        raise _composite(mapper)
    return column


def account_column(mapper: Mapper[Any]) -> Column[Any] | None:
    """Return the column that tells accounts apart, if it is one like that of the mixin.

    Others of its name are the application's own.
    """
    column = mapper.columns.get("account")
    if not isinstance(column, Column) or column.nullable or not isinstance(column.type, String):
        return None
    return column if getattr(column.default, "arg", None) == "" else None


def _composite(mapper: Mapper[Any]) -> ConfigurationError:
    return ConfigurationError(
        f"The model {mapper.class_.__name__} refers to a user by several columns, of which an id "
        "is one: users of two tenants would share a token. Refer to a column that is unique by "
        "itself, or give the model a user_id of text without a foreign key, and the backend "
        "user_id=lambda: f'{tenant_id}:{user_id}'."
    )


def _columns(constraint: ForeignKeyConstraint) -> list[Column[Any]]:
    return [element.parent for element in constraint.elements]


def _is_enough(column: Column[Any], constraint: ForeignKeyConstraint) -> bool:
    """Whether what a column of a foreign key refers to is unique by itself."""
    if len(constraint.elements) == 1:
        return True
    try:
        there = next(each.column for each in constraint.elements if each.parent is column)
    except (exc.NoReferenceError, exc.InvalidRequestError):
        # The other table is not there yet. It is asked again when the first user is looked up.
        return True
    return _is_unique(there)


def _is_unique_there(user: Any, column: Column[Any]) -> bool:
    return all(_is_unique(there) for here, there in user.local_remote_pairs if here is column)


def _is_unique(column: Column[Any]) -> bool:
    table = column.table
    unique: list[Any] = [c for c in table.constraints if isinstance(c, UniqueConstraint)]
    whole = (each for each in table.indexes if each.dialect_options["postgresql"]["where"] is None)
    unique += [index for index in whole if index.unique]
    alone = [table.primary_key, *unique]
    return any(list(each.columns) == [column] for each in alone)
