"""Servers that run as children of one Hooklog: nothing to install, real all the same."""
