"""What people write by hand: FastAPI and onnxruntime, an image in, logits out. For comparison.

    python benchmarks/bare_server.py MODEL ARTIFACT PORT

MODEL is the source model without prototypes; of ARTIFACT only the preprocessing is used.
"""

import sys
from pathlib import Path

import numpy as np
import onnxruntime
import orjson
import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.concurrency import run_in_threadpool

from serving.artifact import load_artifact
from serving.model.preprocess import decode, preprocess


def application(model: Path, artifact: Path) -> FastAPI:
    """The application: one route, no limits, no explanation."""
    manifest = load_artifact(artifact).manifest
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
    name, logits = session.get_inputs()[0].name, manifest.head.logits
    app = FastAPI()

    def answer(body: bytes) -> bytes:
        tensor = preprocess(decode(body), manifest.input.preprocessing)
        values = session.run([logits], {name: tensor[np.newaxis]})[0]
        return orjson.dumps({"logits": values}, option=orjson.OPT_SERIALIZE_NUMPY)

    @app.post("/predict")
    async def predict(request: Request) -> Response:
        body = await run_in_threadpool(answer, await request.body())
        return Response(body, media_type="application/json")

    @app.get("/readyz")
    async def ready() -> None:
        return None

    return app


if __name__ == "__main__":
    source, folder, port = sys.argv[1:]
    app = application(Path(source), Path(folder))
    uvicorn.run(app, port=int(port), log_level="warning", access_log=False)
