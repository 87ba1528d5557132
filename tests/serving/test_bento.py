"""The built Bento: what it holds, what it pins, and the container that BentoML makes of it.

No image is built here. A program in the place of docker keeps the Dockerfile that it is given, and
the container's command is run as the Dockerfile says, in the Bento's folder.
"""

import importlib.metadata
import json
import os
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from pathlib import Path

import pytest
from http_server import free_port
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from places import ROOT
from supervised import PNG, environment, image, listening_on, started
from waiting import PATIENCE, until

from serving.artifact import MANIFEST, sha256_of
from serving.process.settings import Settings
from serving.web.launch import command

DOCKER = """#!/bin/sh
if [ "$1" = version ]; then echo '"27.0.0"'; exit; fi
for last; do :; done
cp "$last/env/docker/Dockerfile" "$KEPT"
"""


@pytest.fixture(scope="module")
def artifact(tiny_export):
    return tiny_export[1].folder


@pytest.fixture(scope="module")
def home(artifact, tmp_path_factory):
    """A home of BentoML that holds the built Bento, as `make bento` builds it."""
    folder = tmp_path_factory.mktemp("bento")
    source = folder / "source"
    shutil.copytree(ROOT / "serving", source / "serving")
    shutil.copytree(artifact, source / "artifact")
    for name in ("pyproject.toml", "constraints.txt"):
        shutil.copy(ROOT / name, source)
    done = subprocess.run(
        [sys.executable, "-m", "bentoml", "build", "--version", "test"],
        cwd=source, env=environment(folder), capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "home"


@pytest.fixture(scope="module")
def bento(home):
    return home / "bentos" / "protohead" / "test"


@dataclass(frozen=True)
class Image:
    """What a Dockerfile says of the containers of its image."""

    text: str

    def last(self, instruction):
        return re.findall(rf"^{instruction} (.+)$", self.text, re.MULTILINE)[-1]

    def words(self, instruction):
        return json.loads(re.search(r"\[.*\]", self.last(instruction)).group())

    def variables(self):
        """ARG and ENV, each as far as it is known by then."""
        found = {}
        for line in re.findall(r"^(?:ARG|ENV) (.+)$", self.text, re.MULTILINE):
            name, value = line.split("=", 1)
            found[name] = self.filled(value.strip('"'), {**os.environ, **found})
        return found

    @staticmethod
    def filled(text, values):
        return re.sub(r"\$(\w+)", lambda match: values[match[1]], text)


@pytest.fixture(scope="module")
def container(home, tmp_path_factory):
    """The image of `bentoml containerize`."""
    folder = tmp_path_factory.mktemp("docker")
    docker, kept = folder / "docker", folder / "Dockerfile"
    docker.write_text(DOCKER)
    docker.chmod(0o755)
    path = os.pathsep.join((str(folder), str(Path(sys.executable).parent), os.environ["PATH"]))
    done = subprocess.run(
        # It refuses a template of Dockerfiles outside of the working directory, its own copy in
        # the temporary folder too: https://github.com/bentoml/BentoML/issues/5566
        [sys.executable, "-m", "bentoml", "containerize", "protohead:test"], cwd=folder,
        env=environment(home.parent, PATH=path, KEPT=str(kept), TMPDIR=str(folder)),
        capture_output=True, text=True, timeout=PATIENCE,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
    return Image(kept.read_text())


def test_the_bento_holds_what_serving_needs_and_nothing_else(bento):
    packed = bento / "src"
    names = {path.relative_to(packed).parts[0] for path in packed.rglob("*") if path.is_file()}
    assert names <= {"serving", "artifact", "pyproject.toml", "bentofile.yaml"}
    assert (packed / "serving" / "page" / "index.html").is_file()
    assert not list(packed.rglob("*.pyc"))
    wanted = (bento / "env/python/requirements.txt").read_text()
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    extras = project["optional-dependencies"]
    listed = set(map(Requirement, wanted.splitlines()))
    named = [wanted for name in ("cpu", "serve", "grpc", "otel") for wanted in extras[name]]
    for requirement in (*project["dependencies"], *named):
        assert Requirement(requirement) in listed
    assert "torch" not in wanted


def pins(text):
    return {
        canonicalize_name(name): version
        for name, version in re.findall(r"^([\w.-]+)==(\S+)", text, re.MULTILINE)
    }


def closure(names):
    """The distributions that these need in this environment, and they themselves."""
    found, left = set(), list(names)
    while left:
        name = canonicalize_name(left.pop())
        if name not in found:
            found.add(name)
            needed = map(Requirement, importlib.metadata.requires(name) or ())
            left += [x.name for x in needed if not x.marker or x.marker.evaluate({"extra": ""})]
    return found


def test_the_bento_pins_whatever_it_installs(bento):
    python = bento / "env" / "python"
    assert "(-c wheels/constraints.txt)" in (python / "install.sh").read_text()
    pinned = (python / "wheels" / "constraints.txt").read_text()
    assert pinned == (ROOT / "constraints.txt").read_text()
    wanted = (python / "requirements.txt").read_text().splitlines()
    assert closure(Requirement(line).name for line in wanted) <= pins(pinned).keys()


@pytest.mark.slow  # it installs from a package index
def test_a_bento_installs_the_versions_that_the_tests_ran_with(bento, tmp_path):
    packages = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", packages], check=True)
    path = os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))
    variables = {**os.environ, "VIRTUAL_ENV": str(packages), "PATH": path}
    script = bento / "env" / "python" / "install.sh"
    subprocess.run(["bash", "-euo", "pipefail", script], env=variables, check=True)
    frozen = subprocess.run(
        ["uv", "pip", "freeze"], env=variables, check=True, capture_output=True, text=True
    )
    installed = pins(frozen.stdout)
    assert {"numpy", "onnxruntime", "bentoml", "pillow"} <= installed.keys()
    assert installed.items() <= pins((ROOT / "constraints.txt").read_text()).items()


def test_the_image_is_python_alone_without_compilers(container):
    assert re.findall(r"^FROM (\S+)", container.text, re.MULTILINE) == ["python:3.11-slim"]
    for word in ("apt-get", "build-essential", "gcc"):
        assert word not in container.text


def test_the_image_is_not_run_by_root_and_says_so_by_number(container):
    assert Image.filled(container.last("USER"), container.variables()) == "1034:1034"


@pytest.fixture
def inside(container, bento, tmp_path):
    """How a container of the image runs its commands: words, folder and variables."""
    said = {**container.variables(), "BENTO_PATH": str(bento)}
    folder = Path(Image.filled(container.last("WORKDIR"), said))
    # What the image has at fixed places lies elsewhere here.
    said |= {"BENTOML_HOME": str(tmp_path / "bentoml"), "PROTOHEAD_PORT": str(free_port())}
    said |= {"PATH": os.pathsep.join((str(Path(sys.executable).parent), os.environ["PATH"]))}
    del said["VIRTUAL_ENV"]
    said |= {"PYTHONPATH": "", "PROTOHEAD_WORKERS": "1"}
    entry = ["bash", bento / "env" / "docker" / "entrypoint.sh"]
    return [*entry, *container.words("CMD")], folder, said


def checked(container, inside):
    """The exit code of the container's health check."""
    _, folder, said = inside
    words = container.words("HEALTHCHECK")
    return subprocess.run(words, env=said, cwd=folder, timeout=PATIENCE).returncode


def variables_of(process):
    lines = Path(f"/proc/{process.pid}/environ").read_text().split("\0")
    return dict(line.split("=", 1) for line in lines if line)


def test_the_container_answers_on_all_interfaces_with_all_that_serve_sets(
    container, inside, artifact, tmp_path
):
    words, folder, said = inside
    assert checked(container, inside) == 1  # nothing runs yet
    port = int(said["PROTOHEAD_PORT"])
    with started(words, port, tmp_path, folder, **said) as server:
        assert listening_on(server.process, port) == {"0.0.0.0"}
        assert checked(container, inside) == 0
        answer = server.get("/v1/model").json()
        assert answer["artifact"] == sha256_of(artifact / MANIFEST)
        # The process that a container platform signals is the supervisor: no shell before it.
        settings = Settings(host="0.0.0.0", port=port)
        assert server.process.cmdline()[1:4] == command(settings)[1:4]
        assert "--timeout-graceful-shutdown" in server.process.cmdline()
        (worker,) = server.workers()
        found = variables_of(worker)
        assert found["MALLOC_ARENA_MAX"] == "2"
        assert found["MALLOC_MMAP_THRESHOLD_"] == str(2**22)
        assert found["MALLOC_TRIM_THRESHOLD_"] == str(2**24)
        assert found["BENTOML_HOME"] == said["BENTOML_HOME"]
        assert found["BENTOML_DO_NOT_TRACK"] == "True"
        content = image()
        with server.begin("/v1/predict", content[:10], len(content)) as connection:
            server.process.terminate()
            until(lambda: not listening_on(worker))  # it takes no more, and finishes this one
            connection.sendall(content[10:])
            answer = b"".join(iter(lambda: connection.recv(65536), b""))
        assert answer.startswith(b"HTTP/1.1 200"), answer
        server.process.wait(PATIENCE)


def test_the_health_check_passes_where_health_needs_a_token(container, inside, tmp_path):
    words, folder, said = inside
    (tmp_path / "tokens").write_text("# who may ask\nsecret\n")
    said |= {"PROTOHEAD_TOKENS": str(tmp_path / "tokens"), "PROTOHEAD_OPEN_HEALTH": "false"}
    with subprocess.Popen(words, env={**environment(tmp_path), **said}, cwd=folder) as process:
        try:
            until(lambda: checked(container, inside) == 0 or process.poll() is not None)
            assert process.poll() is None
        finally:
            process.terminate()


def test_a_wrong_variable_stops_the_container_with_one_line(inside):
    words, folder, said = inside
    done = subprocess.run(
        words, cwd=folder, env={**said, "PROTOHEAD_WORKER": "1"}, timeout=PATIENCE,
        capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr.startswith("protohead: PROTOHEAD_WORKER: ")
    assert len(done.stderr.splitlines()) == 1


def test_the_bento_serves_where_the_project_is_not_installed(home, artifact, tmp_path):
    clean = tmp_path / "clean"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", clean], check=True)
    python = clean / "bin" / "python"
    # The packages that the project needs, without the project: paths that its own installation
    # adds to this environment are not followed from there.
    packages = next(p for p in map(Path, sys.path) if p.name == "site-packages")
    version = f"python{sys.version_info.major}.{sys.version_info.minor}"
    (clean / "lib" / version / "site-packages" / "needed.pth").write_text(str(packages))
    found = subprocess.run(
        [python, "-c", "import importlib.util as u; print(u.find_spec('serving'))"],
        env=environment(tmp_path, PYTHONPATH=""), cwd=tmp_path, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    assert found.stdout.strip() == "None"
    port = free_port()
    words = [python, "-m", "bentoml", "serve", "protohead:test", "--port", str(port)]
    variables = {"BENTOML_HOME": str(home), "PROTOHEAD_WORKERS": "1", "PYTHONPATH": ""}
    with started(words, port, tmp_path, **variables) as server:
        assert listening_on(server.process, port) == {"127.0.0.1"}  # outside its container
        answer = server.post("/v1/explain", content=image(), headers=PNG).json()
        assert answer["model"]["artifact"] == sha256_of(artifact / MANIFEST)
        assert answer["results"][0]["residual"] < 1e-5  # float32 values below 10
        assert server.get("/").status_code == 200
