"""Codecs, dictionaries and the stored form, without a database."""

import base64
import builtins
import json
from contextlib import suppress
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from benchmarks.corpus import payloads
from session_cleanup.exceptions import CodecMissing, CorruptPacking
from session_cleanup.packing import codecs, envelope
from session_cleanup.packing.codecs import CODECS, DICTIONARY_BYTES, missing
from session_cleanup.packing.cover import covering
from session_cleanup.packing.encrypted import is_encrypted
from session_cleanup.packing.packer import Packer

pytestmark = pytest.mark.once
SAMPLES = [json.dumps(payload).encode() for payload in payloads(120, 2)]
TRAINED = {name: codec.trained(SAMPLES[:60]) for name, codec in CODECS.items()}

both = pytest.mark.parametrize("codec", list(CODECS))


def packer(codec, dictionary=None, version=1):
    return Packer(version, codec, TRAINED[codec] if dictionary is None else dictionary, "")


@both
def test_a_dictionary_of_the_documents_own_kind_makes_them_much_smaller(codec):
    documents = [sample.decode() for sample in SAMPLES[60:]]
    size = sum(map(len, documents))

    with_it = sum(len(packer(codec).packed(each)) for each in documents) / size
    without = sum(len(packer(codec, b"").packed(each) or each) for each in documents) / size

    assert with_it < 0.3
    assert with_it < without / 1.5


@both
@settings(max_examples=200, deadline=None)
@given(document=st.text(st.characters(exclude_categories=["Cs"]), min_size=1))
def test_what_is_packed_is_what_is_unpacked(codec, document):
    document = SAMPLES[0].decode() + document
    for dictionary in (TRAINED[codec], b"", b"x", SAMPLES[1]):
        made = packer(codec, dictionary if codec == "zlib" or len(dictionary) > 8 else b"")
        stored = made.packed(document)
        assert stored is None or made.unpacked(stored) == document
    assert packer(codec).packed(document) is not None


@both
@given(data=st.binary(max_size=200))
def test_any_data_at_all_is_unpacked_or_refused(codec, data):
    stored = envelope.sealed(1, b"", data)
    with suppress(CorruptPacking):
        assert packer(codec).unpacked(stored) == ""


@both
def test_a_document_that_gains_less_than_a_tenth_is_not_packed(codec):
    noise = base64.b85encode(Random(1).randbytes(2000)).decode()

    assert packer(codec).packed(json.dumps({"noise": noise})) is None
    assert packer(codec).packed("{}") is None
    assert packer(codec).packed('{"half": "\ud800"}' * 100) is None


def test_the_stored_form_needs_no_escape_in_json():
    stored = envelope.sealed(12, b"document", bytes(range(256)))

    assert json.dumps(stored) == f'"{stored}"'
    assert envelope.version_of(stored) == 12
    assert envelope.opened(stored)[1] == bytes(range(256))


@given(text=st.text())
def test_escaping_touches_only_what_looks_packed(text):
    for each in (text, f"packed:{text}"):
        kept = envelope.escaped(each)
        assert kept.startswith(envelope.PREFIX) == each.startswith(envelope.PREFIX)
        assert kept.removeprefix(envelope.ESCAPED) == each or each == kept
        assert envelope.FORM.fullmatch(kept) is None


def test_a_dictionary_is_covered_by_what_most_documents_share():
    common = b'"domain": ".app.northwind.example", "path": "/", "httpOnly": true, "sameSite": "Lax"'
    samples = [bytes([65 + n]) * 50 + common + bytes([97 + n]) * 50 for n in range(20)]

    found = covering(samples, 4096)

    assert common[:56] in found or common[-56:] in found
    assert len(found) < 300  # and nothing that only one of them has
    assert covering([], 100) == covering([b"x"], 100) == covering([b"once only here"], 100) == b""
    assert len(covering(SAMPLES, 1000)) == 1000


@both
def test_a_dictionary_is_bounded_and_can_be_made_of_hardly_anything(codec):
    assert len(TRAINED[codec]) <= DICTIONARY_BYTES
    for samples in ([], [b"{}"], [b'{"a": 1}'] * 3, SAMPLES[:1], SAMPLES[:2]):
        made = packer(codec, CODECS[codec].trained(samples))
        assert made.unpacked(made.packed(SAMPLES[0].decode())) == SAMPLES[0].decode()


def test_without_zstd_there_is_a_clear_error(monkeypatch):
    real = builtins.__import__

    def without(name, *args, **kwargs):
        if name in ("compression", "backports"):
            raise ImportError(name)
        return real(name, *args, **kwargs)

    monkeypatch.setattr(builtins, "__import__", without)
    codecs._zstd.cache_clear()

    assert missing("zlib") is None
    assert "Install session-cleanup[zstd]" in missing("zstd")
    with pytest.raises(CodecMissing, match=r"Install session-cleanup\[zstd\]"):
        packer("zstd").packed(SAMPLES[0].decode())


@pytest.mark.parametrize(
    ("document", "opaque"),
    [
        ({"encrypted": "gAAAA"}, True),
        ({"encrypted": "gAAAA", "key": 1}, True),
        ("enc:abc", True),
        ("enc:", True),
        ({"encrypted": {"alg": "x"}}, False),
        ({"encrypted": True}, False),
        ({"cookies": [{"encrypted": "x"}]}, False),
        ("plain", False),
        ("xenc:", False),
        (["encrypted"], False),
        (None, False),
    ],
)
def test_what_counts_as_encrypted(document, opaque):
    assert is_encrypted(document) is opaque


def test_no_content_in_a_repr():
    assert "content" not in repr(Packer(1, "zlib", b"content", "x"))
