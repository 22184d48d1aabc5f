"""Measurements of the whole gateway, as an operator runs it, on the machine that it is asked on."""
