import pytest

from exporter.errors import TransferError
from exporter.hub.address import is_address, parse_address

COMMIT = "0123456789abcdef" * 2 + "01234567"


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("hf://someone/birds", ("someone/birds", None, "")),
        ("hf://someone/birds/", ("someone/birds", None, "")),
        ("hf://someone/birds@v1.0", ("someone/birds", "v1.0", "")),
        ("HF://someone/birds@main/small/artifact", ("someone/birds", "main", "small/artifact")),
    ],
)
def test_a_hub_address_names_repository_revision_and_folder(text, parts):
    found = parse_address(text)
    assert (found.repository, found.revision, found.path) == parts
    assert found.scheme == "hf"


def test_only_a_whole_commit_is_fixed():
    assert parse_address(f"hf://a/b@{COMMIT}").fixed
    assert not parse_address(f"hf://a/b@{COMMIT[:7]}").fixed
    assert not parse_address("hf://a/b").fixed
    assert not parse_address("s3://bucket/artifact").fixed


@pytest.mark.parametrize(
    "text",
    [
        "artifact", "hf://birds", "hf://a/b/../c", "hf://a/b@x y", "hf://a/b@", "s3://",
        "http://", "http://host/a?b", "https://host/#a", "http://host:x/a",
        "simplecache::s3://bucket/a", "file:///a\n/b",
    ],
)  # fmt: skip
def test_what_is_no_address_is_refused_in_a_line(text):
    with pytest.raises(TransferError) as refused:
        parse_address(text)
    assert "\n" not in str(refused.value)


def test_a_password_is_refused_and_not_repeated():
    with pytest.raises(TransferError) as refused:
        parse_address("https://me:secret@host/artifact")
    assert "secret" not in str(refused.value)


def test_a_path_is_no_address():
    assert not any(map(is_address, ["artifact", "/a/b", "./hf", "C:\\artifact", "C:/a"]))
    assert all(map(is_address, ["hf://a/b", "s3://b/c", "file:///a", "HTTP://host"]))
