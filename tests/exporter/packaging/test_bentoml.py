"""The file for BentoML's model store: imported, checked, and served from its tag."""

from pathlib import Path

import bentoml
import pytest
import tiny
from bentoml._internal.models import ModelStore
from hostile import encoded
from http_server import listening

from exporter.packaging import bentoml as packaged
from serving import Predictor, load_artifact
from serving.artifact import sha256_of
from serving.process.settings import Settings

pytestmark = pytest.mark.filterwarnings("ignore:GitWildMatchPattern")  # BentoML's own import


@pytest.fixture
def imported(tiny_export, tmp_path):
    """The model as `bentoml models import` brings it into a store."""
    (tmp_path / "store").mkdir()
    (tmp_path / "out").mkdir()
    packaged.write(tiny_export[1], tmp_path / "out", "birds")
    (file,) = (tmp_path / "out").iterdir()
    store = ModelStore(tmp_path / "store")
    bentoml.models.import_model(str(file), _model_store=store)
    return store.get("birds:latest")


def test_the_tag_is_the_beginning_of_the_manifests_hash(imported, tiny_export):
    sha256 = sha256_of(tiny_export[1].path("manifest.json"))
    assert str(imported.tag) == f"birds:{sha256[:16]}"
    assert imported.info.metadata["manifest_sha256"] == sha256


def test_labels_and_metadata_say_what_it_is(imported):
    assert imported.info.labels == {"made-by": "protohead", "activation": "softmax"}
    assert imported.info.metadata["classes"] == list(tiny.LABELS)
    assert imported.info.metadata["prototypes"] == 2


def test_the_artifact_comes_back_byte_for_byte(imported, tiny_export):
    found = load_artifact(Path(imported.path_of("artifact")))
    assert found.manifest == tiny_export[1].manifest
    below = {p.relative_to(found.folder).as_posix() for p in found.folder.rglob("*") if p.is_file()}
    assert below == found.manifest.all_files  # and nothing of BentoML's among them


def test_it_is_served_from_the_store(imported):
    picture = encoded(tiny.image(1, 60), "PNG")
    folder = Path(imported.path_of("artifact"))
    settings = Settings(artifact=folder, provider="cpu", threads=1)
    with listening(settings) as address, address.client() as client:
        answer = client.post("/v1/predict", content=picture, headers={"Content-Type": "image/png"})
    best = answer.json()["results"][0]["classes"][0]
    assert best["logit"] == Predictor(folder, threads=1).predict([picture])[0].max()


def test_the_users_store_is_not_touched(tiny_export, tmp_path):
    before = [str(model.tag) for model in bentoml.models.list()]
    packaged.write(tiny_export[1], tmp_path, "birds")
    assert [str(model.tag) for model in bentoml.models.list()] == before
