"""The site's CA, and a certificate of the operator's own."""

from __future__ import annotations

import ssl
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from deploys.control import authority as authorities
from deploys.control import own_certificate
from deploys.control.authority import Authority, authority
from deploys.planning.inputs.gateway import Acme, Certificate
from deploys.planning.inputs.refusal import Refusal

NAMES = ("ai.lab", "10.8.0.5", "::1")


@pytest.fixture
def secrets(tmp_path: Path) -> Path:
    return tmp_path / "secrets"


def request(name: str = "anything") -> str:
    """What a machine sends; its names are its own idea."""
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    made = x509.CertificateSigningRequestBuilder().subject_name(subject)
    made = made.add_extension(
        x509.SubjectAlternativeName([x509.DNSName("bank.example")]), critical=False
    )
    return made.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


def test_it_is_made_once_and_for_the_operator_alone(secrets: Path) -> None:
    first, second = authority(secrets), authority(secrets)
    assert first.pem == second.pem
    modes = {path.name: path.stat().st_mode & 0o777 for path in secrets.glob("site-ca.*")}
    assert modes == {"site-ca.key": 0o600, "site-ca.pem": 0o600}
    assert secrets.stat().st_mode & 0o777 == 0o700
    # As clients read it.
    ssl.create_default_context(cadata=first.pem)


def test_names_are_those_of_the_plan_and_not_of_the_request(secrets: Path) -> None:
    signing = authority(secrets)
    chain = signing.sign(request(), "gpu-01", NAMES)
    assert signing.is_good(chain, "gpu-01", NAMES)
    assert "bank.example" not in str(x509.load_pem_x509_certificate(chain.encode()).extensions)


@pytest.mark.parametrize("name", ["names", "name", "age", "another CA", "no certificate"])
def test_what_is_not_as_wanted_is_signed_anew(
    secrets: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    signing = authority(secrets)
    if name == "age":
        monkeypatch.setattr(authorities, "_DAYS", 30)
    chain = signing.sign(request(), "gpu-01", NAMES)
    if name == "another CA":
        signing = authority(tmp_path / "others")
    if name == "no certificate":
        chain = chain[:300]
    other = "gpu-02" if name == "name" else "gpu-01"
    assert not signing.is_good(chain, other, NAMES[:2] if name == "names" else NAMES)


def test_one_of_another_authority_is_good_for_its_name_and_its_time(
    own: Callable[..., Own],
) -> None:
    """Whoever it is: what the site signs in its place is only for the time before."""
    for names, days, good in ((("*.lab",), 9, True), (("b.lab",), 9, False), (NAMES, -1, False)):
        chain = own(names, days).certificate.chain.read_text()
        assert own_certificate.is_good(chain, "ai.lab") is good
    assert not own_certificate.is_good("no certificate", "ai.lab")


def test_authorities_that_nobody_can_read_are_refused(own: Callable[..., Own]) -> None:
    made = own()
    assert own_certificate.authorities(Acme()) is None
    text = own_certificate.authorities(Acme(ca=made.certificate.chain))
    assert text == made.certificate.chain.read_text()
    with pytest.raises(Refusal, match="holds no certificate"):
        own_certificate.authorities(Acme(ca=made.certificate.key))


def test_a_request_that_somebody_has_changed_is_not_signed(secrets: Path) -> None:
    lines = request().splitlines()
    lines[1] = lines[1][:20] + ("A" if lines[1][20] != "A" else "B") + lines[1][21:]
    with pytest.raises(ValueError):
        authority(secrets).sign("\n".join(lines), "gpu-01", NAMES)


def test_a_ca_whose_key_is_lost_is_no_reason_to_make_another(secrets: Path) -> None:
    authority(secrets)
    (secrets / "site-ca.key").unlink()
    with pytest.raises(Refusal, match="from its copy"):
        authority(secrets)


@dataclass(frozen=True)
class Own:
    """A pair on the operator's disk."""

    certificate: Certificate
    signing: Authority


@pytest.fixture
def own(tmp_path: Path) -> Callable[..., Own]:
    """`own(names, days, key="other")` writes a chain and its key."""

    def make(names: tuple[str, ...] = NAMES, days: int = 90, key: str = "its own") -> Own:
        signing = authority(tmp_path / "secrets")
        private = ec.generate_private_key(ec.SECP256R1())
        now = datetime.now(timezone.utc)
        made = (
            x509.CertificateBuilder()
            .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "own")]))
            .issuer_name(signing.certificate.subject)
            .public_key(private.public_key())
            .serial_number(1)
            .not_valid_before(now - timedelta(days=100))
            .not_valid_after(now + timedelta(days=days))
            .add_extension(
                x509.SubjectAlternativeName(authorities._alternatives(names)), critical=False
            )
            .sign(signing.key, hashes.SHA256())
        )
        chain = tmp_path / "chain.pem"
        pem = made.public_bytes(serialization.Encoding.PEM).decode()
        chain.write_text(pem + signing.pem)
        written = private if key == "its own" else ec.generate_private_key(ec.SECP256R1())
        encryption: serialization.KeySerializationEncryption = serialization.NoEncryption()
        if key == "locked":
            encryption = serialization.BestAvailableEncryption(b"password")
        (tmp_path / "key.pem").write_bytes(
            written.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, encryption
            )
        )
        return Own(Certificate(chain=chain, key=tmp_path / "key.pem"), signing)

    return make


def test_a_pair_that_is_right_is_one_text(own: Callable[..., Own]) -> None:
    made = own(("*.ai.lab", "10.8.0.5"))
    text = own_certificate.read(made.certificate, "chat.ai.lab")
    assert text.count("BEGIN CERTIFICATE") == 2 and text.count("PRIVATE KEY") == 2
    assert own_certificate.read(made.certificate, "10.8.0.5") == text


@pytest.mark.parametrize(
    ("given", "host", "reason"),
    [
        ({"names": ("other.lab",)}, "ai.lab", "is for other.lab, and not for ai.lab"),
        ({"names": ("*.lab",)}, "a.ai.lab", "not for a.ai.lab"),
        ({"names": ("ai.lab",)}, "10.8.0.5", "not for 10.8.0.5"),
        ({"days": -1}, "ai.lab", "and not today"),
        ({"key": "another"}, "ai.lab", "is not the key of"),
        ({"key": "locked"}, "ai.lab", "no private key that can be read"),
    ],
)
def test_a_pair_that_clients_would_not_take_is_refused(
    own: Callable[..., Own], given: dict[str, object], host: str, reason: str
) -> None:
    with pytest.raises(Refusal, match=reason):
        own_certificate.read(own(**given).certificate, host)


def test_a_chain_in_the_wrong_order_or_missing_is_refused(
    own: Callable[..., Own], tmp_path: Path
) -> None:
    made = own()
    other = authority(tmp_path / "others")
    text = made.certificate.chain.read_text()
    made.certificate.chain.write_text(text.replace(made.signing.pem, other.pem))
    with pytest.raises(Refusal, match="did not sign"):
        own_certificate.read(made.certificate, "ai.lab")
    made.certificate.chain.unlink()
    with pytest.raises(Refusal, match="cannot be read"):
        own_certificate.read(made.certificate, "ai.lab")
