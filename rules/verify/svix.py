"""auth_type `svix`: Standard Webhooks under the header names that it had at first.

Source: docs.svix.com, "Verifying webhooks manually".
"""

from rules.verify.standard_webhooks import StandardWebhooks
from rules.verify.verifier import Place


class Svix(StandardWebhooks):
    """As Standard Webhooks, with `svix-id`, `svix-timestamp` and `svix-signature`: Clerk, Resend and others."""

    auth_type = "svix"
    title = "Svix and its customers' webhooks"
    proof = "the endpoint's Signing Secret, whsec_ and base64, in the sender's webhook portal"
    docs_url = "https://docs.svix.com/receiving/verifying-payloads/how-manual"
    signature_headers = ("svix-signature",)
    other_headers = ("svix-id", "svix-timestamp")
    dedup_id = Place(header="svix-id")
    prefix = "svix-"
