"""Behind a path prefix: proxies that cut it off and those that leave it, page and links."""

import re

import pytest
from http_server import listening

from serving.errors import SettingsError
from serving.process.settings import Settings, is_prefix

PREFIX = "/birds/one"
BEHIND = {"x-forwarded-prefix": PREFIX}
HTML = {"accept": "text/html"}


def settings(tiny_export, **options):
    return Settings(artifact=tiny_export[1].folder, provider="cpu", threads=1, **options)


@pytest.fixture(scope="module")
def client(tiny_export):
    with listening(settings(tiny_export)) as address, address.client() as client:
        yield client


def links(client, **options):
    """Every address that the server gives for its own files."""
    image = client.get("/v1/samples/0.jpg").content
    jpeg = {"content-type": "image/jpeg", **options.get("headers", {})}
    explained = client.post(options.get("at", "") + "/v1/explain", content=image, headers=jpeg)
    answers = [explained] + [
        client.get(options.get("at", "") + path, headers=options.get("headers"))
        for path in ("/v1/samples", "/v1/classes/red/prototypes")
    ]
    found = [url for answer in answers for url in re.findall(r'"url":"([^"]+)"', answer.text)]
    assert len(found) > 10
    return found


def test_links_begin_with_the_prefix_that_the_proxy_names(client):
    assert all(url.startswith("/v1/") for url in links(client))
    for slash in ("", "/"):
        headers = {"x-forwarded-prefix": PREFIX + slash}
        for url in links(client, headers=headers):
            assert url.startswith(PREFIX + "/v1/")
            assert client.get(url.removeprefix(PREFIX), headers=headers).status_code == 200
            assert client.get(url, headers=headers).status_code == 200  # where it is left


def test_a_prefix_that_is_set_needs_no_header(tiny_export):
    behind = settings(tiny_export, root_path="birds/one/")
    with listening(behind) as address, address.client() as client:
        for url in links(client, at=PREFIX):
            assert url.startswith(PREFIX + "/v1/")
            assert client.get(url).status_code == 200
        described = client.get(PREFIX + "/openapi.json").json()
        assert described["servers"] == [{"url": PREFIX}]
        assert "servers" not in client.get("/nothing").json()
        moved = client.get(PREFIX)
        assert (moved.status_code, moved.headers["location"]) == (308, PREFIX + "/")
        assert client.get(PREFIX + "/", headers=HTML).status_code == 200


def test_the_page_finds_its_files_without_a_slash_at_the_prefix(client):
    page = client.get("/", headers=HTML | BEHIND).text  # as a proxy asks that cuts the prefix off
    files = re.findall(r'(?:src|href)="([^"#]+)"', page)
    assert len(files) > 5
    for file in files:
        assert file.startswith(PREFIX + "/page/")
        assert client.get(file, headers=BEHIND).status_code == 200
    assert f'="{PREFIX}/page/' not in client.get("/", headers=HTML).text


@pytest.mark.parametrize(
    "hostile",
    ["//evil.example", "/a//b", "/a/../b", "/.hidden", "/a b", '/"onload="x', "evil", "/a" * 9,
     "/" + "a" * 200, "/a?b", "/a#b", "/a\\b", "/%2e", "https://evil.example"],
)  # fmt: skip
def test_a_prefix_that_is_no_plain_path_is_not_taken(client, hostile):
    assert not is_prefix(hostile)
    headers = {"x-forwarded-prefix": hostile}
    assert all(url.startswith("/v1/") for url in links(client, headers=headers))
    assert client.get("/", headers=HTML | headers).text == client.get("/", headers=HTML).text
    if hostile != "evil":
        with pytest.raises(SettingsError, match="PROTOHEAD_ROOT_PATH"):
            Settings.from_environment({"PROTOHEAD_ROOT_PATH": hostile})


def test_the_description_of_one_client_is_not_the_next_ones(client):
    for number in range(3):
        prefix = f"/p{number}"
        described = client.get("/openapi.json", headers={"x-forwarded-prefix": prefix}).json()
        assert described["servers"] == [{"url": prefix}]
    assert "servers" not in client.get("/openapi.json").json()


def test_tokens_and_health_are_the_same_below_a_prefix(tiny_export, tmp_path):
    (tmp_path / "tokens").write_text("secret")
    closed = settings(tiny_export, tokens=tmp_path / "tokens", root_path=PREFIX)
    with listening(closed) as address:
        assert address.get(PREFIX + "/v1/model").status_code == 401
        assert address.get(PREFIX + "/v2/health/live").status_code == 200
        assert address.get(PREFIX + "/metrics").status_code == 200
