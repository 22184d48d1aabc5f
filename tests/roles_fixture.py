"""The routes that need no key."""

PUBLIC = {
    ("POST", "/api/v1/ingest/{topic_id}"),  # the sender's own credentials
    ("POST", "/api/v1/ingest/{topic_id}/batch"),
    ("POST", "/api/webhooks/{source_id}"),
    ("GET", "/api/v1/ingest/{topic_id}"),  # what senders ask before they send: a signed question is answered
    ("GET", "/api/webhooks/{source_id}"),
    ("OPTIONS", "/api/v1/ingest/{topic_id}"),
    ("OPTIONS", "/api/webhooks/{source_id}"),
    ("GET", "/health"),
    ("GET", "/ready"),
    ("GET", "/metrics"),
}
"""Whatever is new must be declared in `runtime/roles.py`, or stand here with a reason."""
