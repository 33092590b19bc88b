"""Which dictionary a run packs with: the newest of its column, or one trained on what is due.

One is trained when there is none. Another is tried when documents pack clearly worse than they did when the
last one was trained, or when there are many more to learn from; it is taken where it does clearly better.
Half of the sample is trained on, the other half tells how good it is.
"""

import logging
from collections.abc import Sequence

from django.db.models import F

from session_cleanup.models import PackingDictionary
from session_cleanup.packing.codecs import CODECS
from session_cleanup.packing.lookups import AsStored
from session_cleanup.packing.packer import Packer
from session_cleanup.policies.claims import Claims, concrete
from session_cleanup.policies.policy import Policy
from session_cleanup.policies.rewrites import Compress
from session_cleanup.policies.selections import ONE_BY_ONE

logger = logging.getLogger(__name__)
SAMPLE = 1000  # documents
LONGEST = 16_000  # bytes, as stored, of a document of the sample
FEW = 20  # documents, of which none is spared for measuring
WORSE = 1.2  # times the packed size at which another dictionary is tried,
MORE = 4  # or times the documents
BETTER = 0.9  # times the packed size at which it is taken


def chosen(policy: Policy, claims: Claims, *, keeping: bool) -> Packer:
    """The packer of a run. A dictionary that is trained is stored where `keeping`."""
    assert isinstance(policy.action, Compress)
    column, codec = label(policy), policy.action.codec
    dictionaries = PackingDictionary.objects.using(claims.using)
    newest = dictionaries.newest(column, codec)
    documents = sample(policy, claims)
    if newest is not None:
        now = share(newest.packer(), documents)
        is_fit = now <= newest.ratio * WORSE and len(documents) < newest.samples * MORE
        if is_fit or len(documents) < FEW:
            return newest.packer()
    packer, ratio = trained(codec, documents)
    if newest is not None and ratio > now * BETTER:
        return newest.packer()
    logger.info("dictionary trained column=%s documents=%d share=%.2f", column, len(documents), ratio)
    if not keeping:
        return packer
    return dictionaries.keep(packer, column=column, ratio=ratio, samples=len(documents))


def label(policy: Policy) -> str:
    assert isinstance(policy.action, Compress)
    return f"{concrete(policy.get_model())._meta.label}.{policy.action.column}"


def sample(policy: Policy, claims: Claims) -> list[str]:
    """The first documents that a run comes to, but for very long ones."""
    assert isinstance(policy.action, Compress)
    short = {f"{policy.action.column}__stored_size__lte": LONGEST}
    rows = policy.matching(claims, part=ONE_BY_ONE).filter(**short).order_by(*policy.select.columns, "pk")
    return list(rows.values_list(AsStored(F(policy.action.column)), flat=True)[:SAMPLE])


def trained(codec: str, documents: Sequence[str]) -> tuple[Packer, float]:
    """A packer for documents like these, and the share of their size that it leaves."""
    few = len(documents) < FEW
    samples = [each.encode(errors="replace") for each in documents[:: 1 if few else 2]]
    dictionary = CODECS[codec].trained(samples)
    packer = PackingDictionary.of(codec, dictionary)
    return packer, share(packer, documents if few else documents[1::2])


def share(packer: Packer, documents: Sequence[str]) -> float:
    """What packing leaves of the size of these documents."""
    size = sum(map(len, documents))
    return sum(len(packer.packed(each) or each) for each in documents) / size if size else 1.0
