"""The emulator's certificate: made anew for each, for loopback only, trusted by whoever is given its file."""

import datetime
import ipaddress
import shutil
import ssl
import tempfile
import weakref
from pathlib import Path

from dtf_runtime.plugins import require

_VALID_FOR = datetime.timedelta(days=30)


class Certificate:
    """`file`: certificate and private key in PEM. A client trusts it by `connection_verify=file`."""

    def __init__(self) -> None:
        folder = tempfile.mkdtemp(prefix="servicebus-emulator-")
        self.remove = weakref.finalize(
            self, shutil.rmtree, folder, ignore_errors=True
        )  # also of one that is only dropped
        self.file = Path(folder) / "emulator.pem"
        self.file.touch(mode=0o600)
        self.file.write_bytes(_make_pem())

    def server_context(self) -> ssl.SSLContext:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.file)
        return context


def _make_pem() -> bytes:
    """MissingExtraError without the `cryptography` package."""
    require("cryptography.x509", "azure")
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Service Bus emulator")])
    names: list[x509.GeneralName] = [x509.DNSName("localhost")]
    names += [x509.IPAddress(ipaddress.ip_address(each)) for each in ("127.0.0.1", "::1")]
    now = datetime.datetime.now(datetime.UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(hours=1))
        .not_valid_after(now + _VALID_FOR)
        .add_extension(x509.SubjectAlternativeName(names), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    return certificate.public_bytes(serialization.Encoding.PEM) + private
