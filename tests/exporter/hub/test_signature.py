"""A signature holds for one manifest and who made it, and for nothing else."""

import datetime
import json
import shutil

import pytest

pytestmark = pytest.mark.hub

NOW = datetime.datetime.now(datetime.UTC)


@pytest.fixture
def artifact(tiny_export, tmp_path):
    return shutil.copytree(tiny_export[1].folder, tmp_path / "artifact")


@pytest.fixture
def keys(tmp_path):
    """Two pairs of keys: private and public PEM files."""
    return [pair(tmp_path, name) for name in ("ours", "theirs")]


def pair(folder, name, password=None):
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    private, public = folder / f"{name}.key", folder / f"{name}.pub"
    hidden = s.BestAvailableEncryption(password) if password else s.NoEncryption()
    private.write_bytes(key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, hidden))
    public.write_bytes(
        key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo)
    )
    return private, public


def root_and_leaf(folder, name):
    """A root's certificate, a key, and the key's certificate by that root."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives import serialization as s
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import NameOID

    def named(text):
        return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, text)])

    def certificate(subject, key, issuer, issuer_key, *, root):
        usage = {
            "digital_signature": not root, "content_commitment": False, "key_encipherment": False,
            "data_encipherment": False, "key_agreement": False, "key_cert_sign": root,
            "crl_sign": root, "encipher_only": False, "decipher_only": False,
        }  # fmt: skip
        day = datetime.timedelta(days=1)
        return (
            x509.CertificateBuilder()
            .subject_name(named(subject))
            .issuer_name(named(issuer))
            .public_key(key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(NOW - (2 * day if root else day))
            .not_valid_after(NOW + day)
            .add_extension(x509.BasicConstraints(ca=root, path_length=None), critical=True)
            .add_extension(x509.KeyUsage(**usage), critical=True)
            .sign(issuer_key, hashes.SHA256())
        )

    root_key, key = (ec.generate_private_key(ec.SECP256R1()) for _ in range(2))
    pem = s.Encoding.PEM
    files = [folder / f"{name}.{kind}" for kind in ("root", "key", "leaf")]
    root = certificate(name, root_key, name, root_key, root=True)
    files[0].write_bytes(root.public_bytes(pem))
    files[1].write_bytes(key.private_bytes(pem, s.PrivateFormat.PKCS8, s.NoEncryption()))
    leaf = certificate(f"{name} signer", key, name, root_key, root=False)
    files[2].write_bytes(leaf.public_bytes(pem))
    return files


def signature_gate(run, artifact, *trusted):
    """Exit code, the gate, and how many others were measured."""
    code, told, err = run("verify", artifact, "--signature", *trusted, "--json")
    assert err.count("protohead:") == 0
    first, *others = json.loads(told)["gates"]
    assert first["name"] == "signature"
    return code, first, sum(gate["state"] != "skipped" for gate in others)


def test_a_signed_artifact_is_verified_whole(run, artifact, keys):
    (private, public), _ = keys
    code, told, err = run("sign", artifact, "--key", private)
    assert (code, told) == (0, f"{artifact / 'signature.json'}\n"), err
    code, gate, others = signature_gate(run, artifact, "--public-key", public)
    assert (code, gate["state"]) == (0, "passed")
    assert others > 5
    assert run("verify", artifact)[0] == 0  # the signature is no stranger


def test_a_wrong_key_fails_and_nothing_else_is_opened(run, artifact, keys):
    (private, _), (_, other) = keys
    run("sign", artifact, "--key", private)
    code, gate, others = signature_gate(run, artifact, "--public-key", other)
    assert (code, gate["state"], others) == (1, "failed", 0)
    assert "\n" not in gate["detail"]


def test_a_wrong_key_fails_though_the_hint_is_taken_out_of_the_signature(run, artifact, keys):
    (private, _), (_, other) = keys
    run("sign", artifact, "--key", private)
    file = artifact / "signature.json"
    content = json.loads(file.read_text())
    content["verificationMaterial"]["publicKey"] = {}
    file.write_text(json.dumps(content))
    code, gate, others = signature_gate(run, artifact, "--public-key", other)
    assert (code, gate["state"], others) == (1, "failed", 0)


def test_a_changed_manifest_fails(run, artifact, keys):
    (private, public), _ = keys
    run("sign", artifact, "--key", private)
    manifest = artifact / "manifest.json"
    manifest.write_bytes(manifest.read_bytes().replace(b"tiny", b"tinx"))
    code, gate, others = signature_gate(run, artifact, "--public-key", public)
    assert (code, gate["state"], others) == (1, "failed", 0)


def test_a_changed_file_fails_by_its_hash(run, artifact, keys):
    (private, public), _ = keys
    run("sign", artifact, "--key", private)
    (artifact / "steerable.onnx").write_bytes((artifact / "model.onnx").read_bytes())
    code, told, _ = run("verify", artifact, "--signature", "--public-key", public, "--json")
    assert code == 1
    states = {gate["name"]: gate["state"] for gate in json.loads(told)["gates"]}
    assert (states.pop("signature"), states.pop("integrity")) == ("passed", "failed")
    assert set(states.values()) == {"skipped"}


@pytest.mark.parametrize(
    "content", [None, b"", b"{}", b"[]", b"\xff", b"[" * 9999, b"x" * (5 << 20)]
)
def test_a_missing_or_broken_signature_fails(run, artifact, keys, content):
    _, (_, public) = keys
    if content is not None:
        (artifact / "signature.json").write_bytes(content)
    code, gate, others = signature_gate(run, artifact, "--public-key", public)
    assert (code, gate["state"], others) == (1, "failed", 0)
    assert "\n" not in gate["detail"]


def test_the_signature_of_another_artifact_fails(run, artifact, keys, two_layers_export, tmp_path):
    (private, public), _ = keys
    other = shutil.copytree(two_layers_export[1].folder, tmp_path / "other")
    run("sign", other, "--key", private)
    shutil.copy(other / "signature.json", artifact)
    code, gate, others = signature_gate(run, artifact, "--public-key", public)
    assert (code, gate["state"], others) == (1, "failed", 0)


def test_a_certificate_is_believed_by_its_root_and_by_no_other(run, artifact, tmp_path):
    root, key, leaf = root_and_leaf(tmp_path, "ours")
    other, *_ = root_and_leaf(tmp_path, "theirs")
    code, _, err = run("sign", artifact, "--key", key, "--certificate", leaf)
    assert code == 0, err
    assert signature_gate(run, artifact, "--certificate", root)[1]["state"] == "passed"
    code, gate, others = signature_gate(run, artifact, "--certificate", other)
    assert (code, gate["state"], others) == (1, "failed", 0)


def test_a_key_does_not_sign_for_the_certificate_of_another(run, artifact, tmp_path):
    _, key, _ = root_and_leaf(tmp_path, "ours")
    _, _, leaf = root_and_leaf(tmp_path, "theirs")
    code, _, err = run("sign", artifact, "--key", key, "--certificate", leaf)
    assert code == 1
    assert len(err.splitlines()) == 1
    assert not (artifact / "signature.json").exists()


def test_an_encrypted_key_signs_with_its_password(run, artifact, tmp_path, monkeypatch):
    private, public = pair(tmp_path, "ours", b"secret")
    code, _, err = run("sign", artifact, "--key", private)
    assert code == 1
    assert len(err.splitlines()) == 1
    monkeypatch.setenv("SIGNING_KEY_PASSWORD", "secret")
    assert run("sign", artifact, "--key", private)[0] == 0
    assert signature_gate(run, artifact, "--public-key", public)[0] == 0


def test_what_is_trusted_must_be_a_key(run, artifact, keys):
    (private, _), _ = keys
    code, _, err = run("verify", artifact, "--signature", "--public-key", private)
    assert code == 1
    assert len(err.splitlines()) == 1


def test_signature_and_whom_to_trust_belong_together(run, artifact, keys):
    (_, public), _ = keys
    assert run("verify", artifact, "--signature")[0] == 2
    assert run("verify", artifact, "--public-key", public)[0] == 2
