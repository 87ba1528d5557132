"""Pages of other origins: none may ask by default, and those that may, only as told."""

import pytest
from http_server import listening

from serving.errors import SettingsError
from serving.process.settings import Settings
from serving.web.api import create_app
from serving.web.guard import Guard, guarded
from serving.web.host import Host

PAGE = "https://birds.example"
LEAVE = {
    "origin": PAGE,
    "access-control-request-method": "POST",
    "access-control-request-headers": "authorization,content-type",
}


def settings(tiny_export, **options):
    return Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, **options)


def test_by_default_no_other_origin_may_ask(tiny_export):
    with listening(settings(tiny_export)) as address:
        assert address.request("OPTIONS", "/v1/predict", headers=LEAVE).status_code == 405
        answer = address.get("/v1/model", headers={"origin": PAGE})
    assert not [name for name in answer.headers if name.startswith("access-control")]
    assert answer.headers["cross-origin-resource-policy"] == "same-origin"


def test_a_page_that_may_ask_gets_leave_without_a_token_and_the_answer_with_one(
    tiny_export, tmp_path
):
    (tmp_path / "tokens").write_text("secret")
    closed = settings(tiny_export, tokens=tmp_path / "tokens", origins=(PAGE,))
    with listening(closed) as address:
        leave = address.request("OPTIONS", "/v1/predict", headers=LEAVE)
        refused = address.get("/v1/model", headers={"origin": PAGE})
        headers = {"origin": PAGE, "authorization": "Bearer secret"}
        answer = address.get("/v1/model", headers=headers)
        other = address.get("/v1/model", headers={**headers, "origin": "https://other.example"})
    assert leave.status_code == 200
    assert "Authorization" in leave.headers["access-control-allow-headers"]
    assert refused.status_code == 401
    for found in (leave, refused, answer):  # a page has to see why it was refused, too
        assert found.headers["access-control-allow-origin"] == PAGE
    assert answer.headers["cross-origin-resource-policy"] == "cross-origin"
    assert "X-Request-Id" in answer.headers["access-control-expose-headers"]
    assert "access-control-allow-origin" not in other.headers


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", ()),
        ("*", ("*",)),
        (f"{PAGE}, http://localhost:8080", (PAGE, "http://localhost:8080")),
    ],
)
def test_origins_are_read_from_the_environment_and_written_back(text, found):
    read = Settings.from_environment({"PROTOHEAD_ORIGINS": text})
    assert read.origins == found
    assert Settings.from_environment(read.to_environment()) == read


@pytest.mark.parametrize("text", ["birds.example", "https://birds.example/", "null", "ftp://x"])
def test_what_is_no_origin_is_refused(text):
    with pytest.raises(SettingsError, match=r"PROTOHEAD_ORIGINS.*such as https://example\.org"):
        Settings.from_environment({"PROTOHEAD_ORIGINS": text})


def test_without_origins_nothing_stands_before_the_guard(tiny_export):
    made = settings(tiny_export)
    assert isinstance(guarded(create_app(Host(made)), made), Guard)
