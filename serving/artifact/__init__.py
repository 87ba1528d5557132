"""The artifact: one folder, written by the exporter and read by everything else.

===================== =============================================================
``manifest.json``     the contract, :class:`Manifest`
``manifest.sha256``   its hash, as ``sha256sum`` writes it
``model.onnx``        the source model with the prototype outputs beside its own
``steerable.onnx``    the same with two more required inputs, mask and classes
``dense.onnx`` and others  further graphs where they were asked for, :class:`GraphRecord`
``prototypes.safetensors``  prototypes (c, k, d), scale (c, k), bias (c,), reference (d,)
``evidence/``         training crops that show what each prototype looks like; whole images if asked
``trust.json``        how far each part can be trusted, :mod:`serving.artifact.trust`
``golden.npz``        a few inputs with every output, so another runtime can test itself
``golden/``           pictures, of which it also holds input and outputs: tests from the file on
``signature.json``    a signature over the manifest, if it was signed
``README.md``         the model's card, if one was written
``parents/``          of an edited artifact alone: what taking its edits back needs
===================== =============================================================

Nothing in it is executable or pickled; it holds no time and no absolute path. docs/format.md is
the specification. Symbols: c classes, k prototypes, d channels, h×w grid.

Here manifest, classes, edits, quantised, preprocessing and trust are the records, values and
layout what they are made of; files names what is in the folder, and folder reads and checks it.
"""

from serving.artifact.classes import (
    CLASS_RECORD,
    ClassRecord,
    ContextRecord,
    DecomposedClass,
    EvidenceRecord,
    PrototypeRecord,
    SolveRecord,
    WholeClass,
)
from serving.artifact.files import (
    BESIDE,
    CARD,
    EVIDENCE,
    FORMAT,
    GOLDEN,
    MANIFEST,
    MANIFEST_HASH,
    MODEL,
    PARENTS,
    PROTOTYPES,
    SIGNATURE,
    STEERABLE,
    TRUST,
    parent_file,
    picture_file,
)
from serving.artifact.folder import (
    Artifact,
    dump_manifest,
    load_artifact,
    manifest_contents,
    parse_manifest,
    read_manifest,
    sha256_of,
)
from serving.artifact.graphs import GraphRecord, TensorRecord, Variant
from serving.artifact.manifest import (
    GateRecord,
    HeadRecord,
    InputRecord,
    Manifest,
    MethodRecord,
    NormalisationRecord,
    SourceRecord,
)
from serving.artifact.preprocessing import (
    Preprocessing,
)
from serving.artifact.quantised import (
    AgreementRecord,
    DifferencesRecord,
    LimitsRecord,
    PeaksRecord,
    QuantisedRecord,
)

__all__ = [
    "BESIDE",
    "CARD",
    "CLASS_RECORD",
    "EVIDENCE",
    "FORMAT",
    "GOLDEN",
    "MANIFEST",
    "MANIFEST_HASH",
    "MODEL",
    "PARENTS",
    "PROTOTYPES",
    "SIGNATURE",
    "STEERABLE",
    "TRUST",
    "AgreementRecord",
    "Artifact",
    "ClassRecord",
    "ContextRecord",
    "DecomposedClass",
    "DifferencesRecord",
    "EvidenceRecord",
    "GateRecord",
    "GraphRecord",
    "HeadRecord",
    "InputRecord",
    "LimitsRecord",
    "Manifest",
    "MethodRecord",
    "NormalisationRecord",
    "PeaksRecord",
    "Preprocessing",
    "PrototypeRecord",
    "QuantisedRecord",
    "SolveRecord",
    "SourceRecord",
    "TensorRecord",
    "Variant",
    "WholeClass",
    "dump_manifest",
    "load_artifact",
    "manifest_contents",
    "parent_file",
    "parse_manifest",
    "picture_file",
    "read_manifest",
    "sha256_of",
]
