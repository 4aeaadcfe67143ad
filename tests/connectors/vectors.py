"""Signatures made by the openssl command, so that a verifier is not tested with itself. The shell line is in each test that uses it."""

import base64
import subprocess


def openssl_hmac(key: bytes, message: bytes) -> bytes:
    """`openssl dgst -sha256 -mac HMAC -macopt hexkey:... -binary`"""
    command = ["openssl", "dgst", "-sha256", "-mac", "HMAC", "-macopt", f"hexkey:{key.hex()}", "-binary"]
    return subprocess.run(command, input=message, stdout=subprocess.PIPE, check=True, timeout=30).stdout


def base64_of(digest: bytes) -> str:
    return base64.b64encode(digest).decode()
