"""Push to a bucket and pull from it, against a server of this machine that speaks S3."""

import logging

import pytest
from trees import tree

pytestmark = [
    pytest.mark.hub,
    # aiobotocore closes its connections when the process ends
    pytest.mark.filterwarnings("ignore::ResourceWarning"),
    pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning"),
    pytest.mark.filterwarnings("ignore::DeprecationWarning"),
]


@pytest.fixture
def bucket(monkeypatch):
    import boto3
    import s3fs
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "a")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "b")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    s3fs.S3FileSystem.clear_instance_cache()
    client = boto3.client("s3")
    client.create_bucket(Bucket="models")
    yield client
    client.close()
    server.stop()
    s3fs.S3FileSystem.clear_instance_cache()


def test_what_is_pushed_to_a_bucket_is_pulled_from_it(run, bucket, tiny_export, tmp_path):
    folder = tiny_export[1].folder
    code, told, err = run("push", folder, "s3://models/birds")
    assert (code, told) == (0, "s3://models/birds\n"), err
    code, _, err = run("pull", "s3://models/birds", "--out", tmp_path / "out")
    assert code == 0, err
    assert tree(tmp_path / "out") == tree(folder)


def test_a_changed_object_is_refused(run, bucket, tiny_export, tmp_path):
    run("push", tiny_export[1].folder, "s3://models/birds")
    bucket.put_object(Bucket="models", Key="birds/model.onnx", Body=b"evil")
    code, _, err = run("pull", "s3://models/birds", "--out", tmp_path / "out")
    assert code == 1
    assert "model.onnx: expected sha256" in err
    assert list(tmp_path.iterdir()) == []


def test_no_bucket_is_made_by_the_way(run, bucket, tiny_export, tmp_path):
    code, _, err = run("push", tiny_export[1].folder, "s3://elsewhere/birds")
    assert code == 1
    assert err.startswith("protohead: s3://elsewhere/birds/")
    assert len(err.splitlines()) == 1
    assert [found["Name"] for found in bucket.list_buckets()["Buckets"]] == ["models"]


def test_an_empty_place_is_no_artifact(run, bucket, tmp_path):
    code, _, err = run("pull", "s3://models/none", "--out", tmp_path / "out")
    assert code == 1
    assert "Expected an artifact" in err
