import pytest


@pytest.fixture(autouse=True)
def no_waiting_for_the_disk(monkeypatch):
    """Whether files survive a power cut is tested with rapidnet_mm.files, not here."""
    monkeypatch.setattr('os.fsync', lambda _: None)
