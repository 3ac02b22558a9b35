"""Certificates: proofs that can be checked without the code that found them."""
