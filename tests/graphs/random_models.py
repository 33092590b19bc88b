"""Random models that refer to each other in all the ways there are, with their tables and rows."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from itertools import count
from random import Random
from typing import Any
from uuid import UUID

from django.apps import apps
from django.contrib.contenttypes.fields import GenericForeignKey, GenericRelation
from django.contrib.contenttypes.models import ContentType
from django.db import connection, models, transaction
from django.db.models import QuerySet
from django.db.models.signals import pre_delete

APP = "graphs"
ROWS = 5  # a model; the last is what defaults refer to
Key = Callable[[int], Any]
KEYS: list[tuple[Callable[[], Any], Key]] = [
    (lambda: models.BigAutoField(primary_key=True), lambda n: n),
    (lambda: models.UUIDField(primary_key=True), lambda n: UUID(int=n)),
    (lambda: models.CharField(primary_key=True, max_length=30), lambda n: f"{n}, {{'\"\\%é}}"),
]
numbers = count(1)


class Hiding(models.Manager):
    """Hides rows from Django's collector where it is the base manager."""

    def get_queryset(self) -> QuerySet[Any]:
        return super().get_queryset().filter(is_hidden=False)


class Graph:
    """Two to five models that refer to each other; `odd` ones have what only Django's collector can do."""

    def __init__(self, random: Random) -> None:
        self.random = random
        self.odd = self.chance(0.3)
        self.number = next(numbers)
        self.names = [f"M{self.number}x{index}" for index in range(random.randint(2, 5))]
        self.bases = {name: self._base(index) for index, name in enumerate(self.names)}
        self.keys = {name: random.choice(KEYS) for name in self.names}
        self.models: dict[str, Any] = {}
        self.proxies: list[Any] = []
        self.edges = 0  # that Django must see
        for name in self.names:
            self.models[name] = self._declare(name)

    def chance(self, share: float) -> bool:
        return self.random.random() < share

    def key(self, name: str, n: int) -> Any:
        """The key of the n-th row, n from 1."""
        base = self.bases[name]
        return self.key(base, self._above(name, n)) if base else self.keys[name][1](n)

    def _above(self, name: str, n: int) -> int:
        """Which row of its base the n-th row of a model has: none that another model has."""
        return n + ROWS * 10 ** self.names.index(name)

    @property
    def tables(self) -> list[Any]:
        """All models that have a table, of many-to-many fields too."""
        own = list(self.models.values())
        return own + [field.remote_field.through for model in own for field in model._meta.local_many_to_many]

    def _base(self, index: int) -> str | None:
        """The model that this one inherits from, or None."""
        return self.random.choice(self.names[:index]) if self.odd and index and self.chance(0.2) else None

    def _declare(self, name: str) -> Any:
        base = self.bases[name]
        fields: dict[str, Any] = {}
        meta: dict[str, Any] = {"db_table": f"{name} Odd; table"}
        if not base:
            fields["id"] = self.keys[name][0]()
            fields["code"] = models.IntegerField(unique=True)
            fields["is_hidden"] = models.BooleanField(default=False)
            if self.odd and self.chance(0.15):
                fields["objects"] = Hiding()
                meta["base_manager_name"] = "objects"
        for index in range(self.random.randint(1, 3)):
            fields[f"{name}_{index}".lower()] = self._reference()
        if self.chance(0.3):
            fields["many" + name] = self._many_to_many()
        if self.odd and self.chance(0.2):
            fields["notes" + name] = GenericRelation(f"{APP}.Note{self.number}")
        return make(name, self.models[base] if base else models.Model, fields, meta)

    def _many_to_many(self) -> Any:
        self.edges += 2
        target = f"{APP}.{self.random.choice(self.names)}"
        return models.ManyToManyField(target, related_name="+", symmetrical=False)

    def _reference(self) -> Any:
        self.edges += 1
        name = self.random.choice(self.names)
        by_code = not self.bases[name] and self.chance(0.2)
        last = ROWS if by_code else self.key(name, ROWS)
        ways = [models.PROTECT, models.RESTRICT, models.SET_NULL, models.SET_DEFAULT, models.DO_NOTHING]
        ways += [models.SET(last), *([models.SET(lambda: last)] if self.odd else [])]
        on_delete: Any = models.CASCADE if self.chance(0.6) else self.random.choice(ways)
        options: dict[str, Any] = {"null": on_delete is models.SET_NULL or self.chance(0.6)}
        if on_delete is models.SET_DEFAULT:
            options["default"] = last
        if on_delete is models.DO_NOTHING:
            options["db_constraint"] = False
        if self.chance(0.3):
            options["db_column"] = f"Column {next(numbers)}"
        if by_code:
            options["to_field"] = "code"
        elif name in self.models and self.chance(0.2):
            proxy = make(f"P{next(numbers)}", self.models[name], {}, {"proxy": True})
            self.proxies.append(proxy)
            name = proxy.__name__
        return models.ForeignKey(f"{APP}.{name}", on_delete, related_name="+", **options)

    # Tables and rows

    @contextmanager
    def made(self) -> Iterator[None]:
        """Tables with rows for as long as the block lasts."""
        with ExitStack() as stack:
            stack.callback(self._forget)
            if self.odd:
                self._add_notes()
            if self.odd and self.chance(0.3):
                sender = self.random.choice(list(self.models.values()))
                pre_delete.connect(receiver, sender=sender)
                stack.callback(pre_delete.disconnect, receiver, sender=sender)
            with connection.schema_editor() as editor:
                for model in self.models.values():
                    editor.create_model(model)
            stack.callback(self._drop)
            with transaction.atomic():
                self._fill()
            yield

    def _add_notes(self) -> None:
        fields = {
            "content_type": models.ForeignKey(
                ContentType, models.CASCADE, related_name="+", db_constraint=False
            ),
            "object_id": models.CharField(max_length=50),
            "about": GenericForeignKey(),
        }
        name = f"Note{self.number}"
        self.models[name] = make(name, models.Model, fields, {})

    def _fill(self) -> None:
        """Rows that refer to any others, themselves too; the constraints are checked at the end."""
        for name in self.names:
            for n in range(1, ROWS + 1):
                row = self.models[name](pk=self.key(name, n), is_hidden=self.chance(0.3))
                base = name
                while self.bases[base]:
                    n, base = self._above(base, n), self.bases[base]
                row.id, row.code = row.pk, n
                for field in row._meta.concrete_fields:
                    if field.remote_field and not field.remote_field.parent_link:
                        setattr(row, field.attname, self._value(field))
                row.save()
        for model in self.tables:
            if model._meta.auto_created:
                pairs = [[self._value(field) for field in model._meta.fields[1:]] for _ in range(4)]
                names = [field.attname for field in model._meta.fields[1:]]
                rows = [model(**dict(zip(names, pair, strict=True))) for pair in pairs]
                model.objects.bulk_create(rows, ignore_conflicts=True)
        if self.odd:
            note = self.models[f"Note{self.number}"]
            for name in self.names:
                kind = ContentType.objects.get_for_model(self.models[name])
                note.objects.create(content_type=kind, object_id=str(self.key(name, 1)))

    def _value(self, field: Any) -> Any:
        if field.null and self.chance(0.3):
            return None
        name = field.remote_field.model._meta.concrete_model.__name__
        n = self.random.randint(1, ROWS)
        return n if field.target_field.name == "code" else self.key(name, n)

    def rows(self) -> dict[str, Any]:
        """All rows of all tables, every column."""
        found = {}
        for model in self.tables:
            columns = [field.attname for field in model._meta.local_concrete_fields]
            found[model.__name__] = sorted(map(str, QuerySet(model).values_list(*columns)))
        return found

    def _drop(self) -> None:
        with connection.schema_editor() as editor:
            for model in reversed(list(self.models.values())):
                editor.delete_model(model)
        ContentType.objects.filter(app_label=APP)._raw_delete("default")  # the tables are gone

    def _forget(self) -> None:
        apps.all_models[APP].clear()
        ContentType.objects.clear_cache()
        apps.clear_cache()


def make(name: str, base: Any, fields: dict[str, Any], meta: dict[str, Any]) -> Any:
    """A model of the installed app."""
    options = type("Meta", (), {"app_label": APP, **meta})
    return type(name, (base,), {"__module__": __name__, "Meta": options, **fields})


def receiver(**kwargs: Any) -> None:
    pass
