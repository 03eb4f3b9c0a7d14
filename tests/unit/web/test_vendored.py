"""The vendored scripts are the published ones, with their licences, and load nothing."""

import base64
import hashlib

import pytest

from services.web.vendored import ASSETS, FOLDER, Asset

pytestmark = pytest.mark.unit

LICENCES = {"lightweight-charts": "Apache License", "uplot": "MIT License"}


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.name)
def test_a_file_has_the_hash_that_pages_announce(asset: Asset) -> None:
    digest = hashlib.sha384((FOLDER / asset.name).read_bytes()).digest()

    assert asset.integrity == f"sha384-{base64.b64encode(digest).decode()}"


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.name)
def test_a_licence_and_a_notice_lie_beside_each_file(asset: Asset) -> None:
    name = f"{asset.package}.license"
    licence = next(path for path in FOLDER.iterdir() if path.name.lower() == name)
    notice = (FOLDER / "NOTICE").read_text("utf-8").lower().replace(" ", "-")

    assert LICENCES[asset.package] in licence.read_text("utf-8")
    assert asset.package in notice


def test_every_vendored_script_is_listed() -> None:
    listed = {asset.name for asset in ASSETS}

    assert {p.name for p in FOLDER.iterdir() if p.suffix in (".js", ".css")} == listed


@pytest.mark.parametrize("asset", ASSETS, ids=lambda asset: asset.name)
def test_no_script_fetches_anything(asset: Asset) -> None:
    for request in ("fetch(", "XMLHttpRequest", "importScripts(", "@import", "sendBeacon"):
        assert request not in asset.text
