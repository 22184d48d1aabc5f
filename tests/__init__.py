"""Hooklog, held to what it promises: real parts only, and books kept by strangers to the product."""
