import pytest


@pytest.fixture
def fail_when():
    """fail_when(pre_delete, Model): deleting a row of Model raises in this test."""
    connected = []

    def boom(**kwargs):
        raise RuntimeError("the test says no")

    def fail_when(signal, model):
        signal.connect(boom, sender=model)
        connected.append((signal, model))

    yield fail_when
    for signal, model in connected:
        signal.disconnect(boom, sender=model)
