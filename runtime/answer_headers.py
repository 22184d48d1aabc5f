"""What every answer of every service carries: browsers are to show, keep and guess nothing of it.

The server adds them, so that a route pays nothing and none can be forgotten. Source: OWASP REST Security Cheat Sheet,
"Security Headers".
"""

ANSWER_HEADERS = [
    ("Cache-Control", "no-store"),  # payloads are data of people, and some answers show a secret once
    ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),  # no page of ours loads anything
    ("Referrer-Policy", "no-referrer"),  # an id of an event may stand in the path
    ("X-Content-Type-Options", "nosniff"),  # a payload that looks like HTML is not
    ("X-Frame-Options", "DENY"),  # for browsers that know no frame-ancestors
]
"""Strict-Transport-Security is said by what speaks TLS: over plain HTTP browsers ignore it (RFC 6797, section 8.1)."""
