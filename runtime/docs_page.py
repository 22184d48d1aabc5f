"""`/docs`: the OpenAPI document for people, as one page of plain HTML: no script, no style, nothing from elsewhere.

FastAPI's own page loads its script from another site, which could then read the key that is typed into it.
"""

from collections.abc import Callable, Iterator
from functools import cache
from html import escape
from typing import Any

import orjson
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route

from runtime.roles import NEEDED

_METHODS = ("get", "post", "put", "patch", "delete")


def docs_routes(document: Callable[[], dict[str, Any]]) -> list[Route]:
    """`/openapi.json` and `/docs`; they need no key, so each is made once: FastAPI's own takes 17 ms each time.

    Args:
        document: makes the OpenAPI document.
    """

    @cache
    def written() -> bytes:
        return orjson.dumps(document())

    @cache
    def page() -> str:
        return docs_page(document())

    async def openapi(_: Request) -> Response:
        return Response(written(), media_type="application/json")

    async def docs(_: Request) -> Response:
        return HTMLResponse(page())

    return [Route("/openapi.json", openapi), Route("/docs", docs)]


def docs_page(document: dict[str, Any]) -> str:
    """The page of a document."""
    title = f"{escape(document['info']['title'])} {escape(document['info']['version'])}"
    about = escape(document["info"].get("description", ""))
    operations = "\n".join(_operations(document["paths"]))
    return f"""<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head><body>
<h1>{title}</h1>
<p>{about}</p>
<p>The whole document, with schemas and examples: <a href="/openapi.json">/openapi.json</a> (OpenAPI 3.1)</p>
{operations}
</body></html>"""


def _operations(paths: dict[str, Any]) -> Iterator[str]:
    for path, item in paths.items():
        for method in (each for each in _METHODS if each in item):
            operation = item[method]
            role = NEEDED.get((method.upper(), path))
            head = f"<b>{method.upper()}</b> <code>{escape(path)}</code> {escape(operation.get('summary', ''))}"
            lines = [escape(operation.get("description", "")), f"Role: {role}" if role else "No key."]
            lines += [_parameter(each) for each in operation.get("parameters", ())]
            lines += [f"{status}: {escape(each['description'])}" for status, each in operation["responses"].items()]
            yield f"<details><summary>{head}</summary><p>{'<br>'.join(filter(None, lines))}</p></details>"


def _parameter(parameter: dict[str, Any]) -> str:
    name, place = escape(parameter["name"]), escape(parameter["in"])
    return f"<code>{name}</code> ({place}) {escape(parameter.get('description', ''))}"
