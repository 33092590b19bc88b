"""A JSONField whose rows may be packed. The column is that of a JSONField, and so are unpacked rows."""

import json
from typing import Any

from django.db import models
from django.db.models.fields.json import KeyTransform, KeyTransformFactory

from session_cleanup.exceptions import PackingError
from session_cleanup.packing import dictionaries
from session_cleanup.packing.envelope import ESCAPED, PREFIX, escaped
from session_cleanup.packing.lookups import LOOKUPS
from session_cleanup.packing.values import PackedDict, PackedList, remembering


class PackedJSONField(models.JSONField):
    """Reads packed rows as what was packed; what is saved stays packed only if nobody changed it.

    `filter(payload__x=…)`, `values("payload__x")` and everything else that the database works out see only
    into rows that are not packed. Raises PackingError for a row that cannot be read; it never says what is
    in it.
    """

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Any:
        found = super().from_db_value(value, expression, connection)
        if isinstance(expression, KeyTransform):  # what lies inside a document is never packed
            return found
        if not (isinstance(found, str) and found.startswith(PREFIX)):
            return found
        if found.startswith(ESCAPED):
            return found.removeprefix(ESCAPED)
        try:
            text = dictionaries.unpacked(connection.alias, found)
        except PackingError as error:
            raise type(error)(f"{self._named()} holds a packed document, and {error}.") from None
        return remembering(json.loads(text, cls=self.decoder), found)

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        if isinstance(value, PackedDict | PackedList):
            kept = self._kept(value, connection)
            if kept is not None:
                return connection.ops.adapt_json_value(kept, None)
        elif isinstance(value, str):
            value = escaped(value)
        return super().get_db_prep_value(value, connection, prepared)

    def save_form_data(self, instance: models.Model, data: Any) -> None:
        """A form gives back an object of its own: one that says the same keeps what is packed."""
        before = getattr(instance, self.attname)
        if isinstance(before, PackedDict | PackedList) and self._text(before) == self._text(data):
            return
        super().save_form_data(instance, data)

    def value_to_string(self, obj: models.Model) -> Any:
        """For fixtures, which any database may load: the plain object."""
        value = super().value_to_string(obj)
        if isinstance(value, PackedDict):
            return dict(value)
        return list(value) if isinstance(value, PackedList) else value

    def get_transform(self, name: str) -> Any:
        transform = super().get_transform(name)
        return _KeyTransformFactory(self, name) if isinstance(transform, KeyTransformFactory) else transform

    def _kept(self, value: PackedDict | PackedList, connection: Any) -> str | None:
        """The packed form, if it can be read in that database and still says what the object says."""
        stored: str | None = getattr(value, "packed", None)
        if stored is None:
            return None
        try:
            text = dictionaries.unpacked(connection.alias, stored)
        except PackingError:  # another database; and what we have in hand is whole
            return None
        return stored if self._text(json.loads(text, cls=self.decoder)) == self._text(value) else None

    def _text(self, value: Any) -> str:
        return json.dumps(value, cls=self.encoder)

    def _named(self) -> str:
        model = getattr(self, "model", None)  # a field of an expression has none
        return f"{model._meta.label}.{self.name}" if model else "A column"


class _KeyTransformFactory(KeyTransformFactory):
    """What lies inside a document is plain JSON, whatever it looks like."""

    def __init__(self, field: PackedJSONField, name: str) -> None:
        super().__init__(name)
        self.plain = models.JSONField(encoder=field.encoder, decoder=field.decoder)

    def __call__(self, *args: Any, **kwargs: Any) -> KeyTransform:
        return KeyTransform(self.key_name, *args, output_field=self.plain, **kwargs)


for lookup in LOOKUPS:
    PackedJSONField.register_lookup(lookup)
