"""Looks for what keeps Hooklog from working on a machine: small checks, each with what mends it."""
