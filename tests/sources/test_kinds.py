"""Which kind of place an address is of, before anything is contacted."""

from __future__ import annotations

import pytest

from facekit.errors import RefusedError
from facekit.sources.kinds import kind_of_address


@pytest.mark.parametrize(
    ("address", "service"),
    [
        ("https://disk.yandex.ru/a/abc", "Yandex Disk"),
        ("https://yadi.sk/", "Yandex Disk"),
        ("https://vk.com/feed?z=secret", "VK"),
        ("https://m.vk.ru/video1_2", "VK"),
        ("https://www.dropbox.com/requests", "Dropbox"),
        ("https://photos.app.goo.gl/abc", "Google Photos"),
        ("https://photos.google.com/share/abc?key=secret", "Google Photos"),
    ],
)
def test_a_page_of_a_service_that_shows_no_photos_is_no_folder_of_a_web_server(address: str, service: str) -> None:
    with pytest.raises(RefusedError, match=service) as refused:
        kind_of_address(address)
    assert "secret" not in str(refused.value)
    assert refused.value.remedy


@pytest.mark.parametrize(
    ("address", "kind"),
    [
        ("https://vk.com.example.org/feed", "storage"),
        ("https://example.org/vk.com/", "storage"),
        ("https://disk.yandex.ru/d/abcdefgh", "yandex-disk"),
        ("https://www.dropbox.com/home/Photos", "dropbox"),
    ],
)
def test_other_addresses_are_of_the_kind_that_reads_them(address: str, kind: str) -> None:
    found = kind_of_address(address)
    assert found is not None
    assert found[0].name == kind
