"""What the recommender is asked: users, and filters that say which items."""

from typing import Annotated, Any, Generic, TypeVar

from msgspec import Meta

from flows.arrays import Ids
from flows.contract import Form
from flows.tables import Table

MOST = 1000  # items for a user, and users of a request
MOST_ITEMS = 20_000  # for all users of a request
# Vertex AI's gRPC calls carry every number as a double: 10 may arrive as 10.0.
Whole = int | Annotated[float, Meta(multiple_of=1)]
Count = Annotated[int, Meta(ge=1, le=MOST)] | Annotated[float, Meta(ge=1, le=MOST, multiple_of=1)]
User = TypeVar("User")
Item = TypeVar("Item")


class Filters(Table, Generic[Item]):
    """How many items, and which: a request's parameters, for all of its users.

    `exclude` are never answered, `only` are all that may be, `new` leaves out what the user has bought
    before. Items that the model does not know change nothing.
    """

    count: Count = 10
    exclude: list[Item] = []
    only: list[Item] | None = None
    new: bool = False


class Asked(Table, Generic[User, Item], omit_defaults=True):
    """A user with filters of its own; what is not given is as the parameters say."""

    user: User
    count: Count | None = None
    exclude: list[Item] | None = None
    only: list[Item] | None = None
    new: bool | None = None

    def filters(self, usual: Filters[Item]) -> Filters[Item]:
        """The filters for this user."""
        own = {name: getattr(self, name) for name in Filters.__struct_fields__}
        given = {name: value for name, value in own.items() if value is not None}
        return Filters(**{name: given.get(name, getattr(usual, name)) for name in own})


def form(users: Ids, items: Ids) -> Form:
    """An instance is a user's id, or `{"user": id, "count": 10, …}`; ids are of the model's own kind."""
    user, item = _kind(users), _kind(items)
    example: Asked[Any, Any] = Asked(user=users[0] if users else 1, count=10)
    return Form(user | Asked[user, item], example, Filters[item], MOST)  # type: ignore[valid-type]


def _kind(ids: Ids) -> Any:
    """Any kind where there are no ids: a model that knows no users answers the same to all."""
    if not ids:
        return Whole | str
    return str if isinstance(ids[0], str) else Whole
