"""The examples of docs/deploy.md: they parse, know our settings, and fit the server's limits."""

import math
import re
import shutil
import subprocess

import pytest
import tritonclient.grpc as triton
import yaml
from http_server import Address, free_port, listening
from places import ROOT
from supervised import PNG, image
from waiting import PATIENCE, until

from serving.process.settings import Settings
from serving.web.launch import command

EXAMPLES = ROOT / "examples" / "deploy"
NAMES = ("compose.yaml", "kubernetes.yaml", "nginx.conf", "envoy.yaml")


def compose():
    return yaml.safe_load((EXAMPLES / "compose.yaml").read_text())["services"]["protohead"]


def kubernetes(kind):
    found = list(yaml.safe_load_all((EXAMPLES / "kubernetes.yaml").read_text()))
    return next(one for one in found if one["kind"] == kind)


def graceful(settings):
    """Seconds that the server may take to end."""
    words = command(settings)
    return int(words[words.index("--timeout-graceful-shutdown") + 1])


def seconds(text):
    return int(text.removesuffix("s"))


@pytest.mark.parametrize(
    "variables", [compose()["environment"], kubernetes("ConfigMap")["data"]], ids=NAMES[:2]
)
def test_every_variable_is_a_setting(variables):
    settings = Settings.from_environment(variables)
    assert settings.to_environment().items() >= variables.items()


@pytest.mark.parametrize("name", NAMES)
def test_a_variable_that_a_comment_names_is_a_setting(name):
    known = {f"PROTOHEAD_{field.upper()}" for field in Settings.model_fields}
    assert set(re.findall(r"PROTOHEAD_\w+", (EXAMPLES / name).read_text())) <= known


def test_whoever_stops_the_server_waits_longer_than_it_takes():
    settings = Settings.from_environment(compose()["environment"])
    assert seconds(compose()["stop_grace_period"]) > graceful(settings)
    pod = kubernetes("Deployment")["spec"]["template"]["spec"]
    (container,) = pod["containers"]
    pause = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    settings = Settings.from_environment(kubernetes("ConfigMap")["data"])
    assert pod["terminationGracePeriodSeconds"] > pause + graceful(settings)


def test_proxies_take_the_bodies_and_the_time_that_the_server_takes():
    nginx = (EXAMPLES / "nginx.conf").read_text()
    assert f"client_max_body_size {Settings().max_body // 2**20}m;" in nginx
    assert f"proxy_read_timeout {graceful(Settings())}s;" in nginx
    envoy = (EXAMPLES / "envoy.yaml").read_text()
    assert f"max_request_bytes: {Settings().max_body}\n" in envoy
    assert f"timeout: {graceful(Settings())}s}}" in envoy
    assert f"request_timeout: {math.ceil(Settings().timeout)}s" in envoy


@pytest.mark.skipif(not shutil.which("nginx"), reason="needs nginx")
def test_nginx_answers_at_the_root_and_under_a_prefix(tiny_export, tmp_path):
    front, front_grpc, behind = Address(free_port()), free_port(), free_port()
    served = Settings(artifact=tiny_export[1].folder, provider="cpu", grpc_port=behind)
    with listening(served) as server:
        config = (EXAMPLES / "nginx.conf").read_text()
        config = config.replace("127.0.0.1:3000", f"127.0.0.1:{server.port}")
        config = config.replace("127.0.0.1:8080", f"127.0.0.1:{front.port}")
        config = config.replace("127.0.0.1:8081", f"127.0.0.1:{front_grpc}")
        config = config.replace("127.0.0.1:3001", f"127.0.0.1:{behind}")
        (tmp_path / "nginx.conf").write_text(config)
        words = ["nginx", "-p", tmp_path, "-c", "nginx.conf", "-g", "daemon off;"]
        with subprocess.Popen(words) as process:
            try:
                until((tmp_path / "nginx.pid").exists)
                for prefix in ("", "/protohead"):
                    answer = front.post(f"{prefix}/v1/explain", content=image(), headers=PNG)
                    assert answer.status_code == 200, answer.text
                    part = answer.json()["results"][0]["classes"][0]["prototypes"][0]
                    url = part["evidence"][0]["url"]
                    assert url.startswith(prefix + "/v1/evidence/")
                    assert front.get(url).status_code == 200
                    assert front.get(f"{prefix}/metrics").status_code == 404
                moved = front.get("/protohead")
                assert moved.headers["location"].endswith("/protohead/")
                with triton.InferenceServerClient(f"127.0.0.1:{front_grpc}") as client:
                    assert client.is_model_ready("tiny")
                large = front.post("/v1/predict", content=bytes(Settings().max_body + 1))
                assert large.status_code == 413
            finally:
                process.terminate()
                process.wait(PATIENCE)
