"""A signature over the manifest, whose hashes name every other file.

What is signed is ``manifest.json`` alone: it lists the sha256 of every file of the artifact, and
the gate ``integrity`` holds the files to it and lets none beside them count. The signature is a
bundle of model-signing (OpenSSF), in ``signature.json`` beside the manifest; its own program
verifies it too, given ``manifest.json`` as the model. The card is not covered.
"""

from __future__ import annotations

import contextlib
import importlib
import logging
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from exporter.errors import MissingExtraError, SignatureError
from exporter.hub.web import one_line
from exporter.writing.atomic import replace_files, writing
from serving.artifact import MANIFEST, SIGNATURE, GateRecord, load_artifact

_LARGEST = 1 << 22  # bytes of a signature
_GATE = "signature"
_T = TypeVar("_T")


@dataclass(frozen=True)
class Signer:
    """Who signs.

    Attributes:
        key: PEM file with an elliptic curve private key: P-256, P-384 or P-521.
        password: Of the key, where it is encrypted.
        certificate: PEM file with the certificate of the key; None signs with the key alone.
        chain: PEM files with the certificates between it and one that verifiers trust.
    """

    key: Path
    password: str | None = None
    certificate: Path | None = None
    chain: Sequence[Path] = ()


@dataclass(frozen=True)
class Trusted:
    """Whom to believe: a public key, or the certificates that a signer's must lead to.

    Attributes:
        key: PEM file with a public key; None goes by certificates.
        certificates: PEM files with certificates that are trusted.
    """

    key: Path | None = None
    certificates: Sequence[Path] = ()


def sign(artifact: Path, signer: Signer) -> Path:
    """Sign an artifact.

    Args:
        artifact: The artifact; every file is held to its hash first.
        signer: Who signs.

    Returns:
        The file of the signature; an older one is replaced.

    Raises:
        ArtifactError: The artifact is damaged.
        SignatureError: Nobody can sign with this key or certificate.
        MissingExtraError: model-signing is not installed.
        OutputError: The signature cannot be written.
    """
    folder = load_artifact(artifact).folder
    library = _library("signing")
    target = folder / SIGNATURE
    written = target.with_name(f"{SIGNATURE}.tmp")
    try:
        config = _quietly(lambda: _configured_signer(library.Config(), signer))
        with writing(target):
            _quietly(lambda: config.sign(folder / MANIFEST, written))
            replace_files({target: written.read_bytes()})
    except (ValueError, TypeError, AttributeError, FileNotFoundError) as error:
        raise SignatureError(
            f"{signer.certificate or signer.key}: cannot sign with it: {one_line(error)}. Expected "
            "the PEM file of an elliptic curve key (P-256, P-384 or P-521), and its certificate."
        ) from error
    finally:
        written.unlink(missing_ok=True)
    return target


def _configured_signer(config: Any, signer: Signer) -> Any:
    config = config.set_hashing_config(_hashing())
    if signer.certificate is None:
        password = signer.password.encode() if signer.password is not None else None
        return config.use_elliptic_key_signer(private_key=signer.key, password=password)
    return config.use_certificate_signer(
        private_key=signer.key,
        signing_certificate=signer.certificate,
        # It cannot read a chain of none; its own certificate once more proves nothing new.
        certificate_chain=list(signer.chain) or [signer.certificate],
    )


def signature_gate(artifact: Path, trusted: Trusted) -> GateRecord:
    """Whether the manifest is signed by whom we trust; no file of the artifact is believed before.

    Args:
        artifact: The artifact.
        trusted: Whom to believe.

    Returns:
        The gate ``signature``. That the other files are those of the manifest, ``integrity`` says.

    Raises:
        SignatureError: What is trusted cannot be read.
        MissingExtraError: model-signing is not installed.
    """
    library = _library("verifying")
    named = ", ".join(str(path) for path in (trusted.key, *trusted.certificates) if path)
    try:
        config = _quietly(lambda: _configured_verifier(library.Config(), trusted))
    except Exception as error:  # of OpenSSL, in many forms
        raise SignatureError(
            f"{named}: expected a PEM file with what is trusted: {one_line(error)}."
        ) from error
    signature = artifact / SIGNATURE
    try:
        if signature.stat().st_size > _LARGEST:
            return _failed(f"{SIGNATURE}: expected at most {_LARGEST} bytes, there are more")
        _quietly(lambda: config.verify(artifact / MANIFEST, signature))
    except FileNotFoundError:
        return _failed(f"expected {SIGNATURE} beside {MANIFEST}, found none: it is not signed")
    except Exception as error:  # whatever lies there, and of OpenSSL
        why = one_line(error) if str(error) else "it was made with another key"
        return _failed(f"not signed by {named}, or changed since: {why}")
    return GateRecord(name=_GATE, state="passed", detail=f"{MANIFEST}, by {named}")


def _configured_verifier(config: Any, trusted: Trusted) -> Any:
    config = config.set_hashing_config(_hashing())
    if trusted.key is not None:
        return config.use_elliptic_key_verifier(public_key=trusted.key)
    return config.use_certificate_verifier(certificate_chain=list(trusted.certificates))


def _failed(detail: str) -> GateRecord:
    return GateRecord(name=_GATE, state="failed", detail=detail)


def _hashing() -> Any:
    return _library("hashing").Config().use_file_serialization(hashing_algorithm="sha256")


def _library(module: str) -> Any:
    try:
        return importlib.import_module(f"model_signing.{module}")
    except ImportError as error:
        raise MissingExtraError(
            f"signatures need model-signing: {error}. Run: pip install 'protohead[hub]'"
        ) from error


def _quietly(call: Callable[[], _T]) -> _T:
    """The call's value; what the library prints goes to stderr, and its warnings nowhere."""
    logger = logging.getLogger("model_signing")
    level = logger.level
    logger.setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(sys.stderr):
            return call()
    finally:
        logger.setLevel(level)
