import google.auth
import pytest

from flows import google_identity


def test_who_calls_is_found_once_for_each_scope_and_key(monkeypatch: pytest.MonkeyPatch) -> None:
    found: list[list[str]] = []

    def default(scopes: list[str]) -> tuple[object, str]:
        found.append(scopes)
        return object(), "project"

    google_identity._found.cache_clear()
    monkeypatch.setattr(google.auth, "default", default)
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "one")
    first = google_identity.credentials()
    assert google_identity.credentials() is first
    assert google_identity.credentials("other") is not first
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", "two")
    assert google_identity.credentials() is not first
    assert found == [[google_identity.CLOUD], ["other"], [google_identity.CLOUD]]
    google_identity._found.cache_clear()
