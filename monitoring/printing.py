"""Pages as PDF: made here from our own words, with no network and no browser."""

from functools import cache
from typing import Any

# Debian's names of the libraries that weasyprint loads, and a font that has every sign we use.
PACKAGES = "libpango-1.0-0 libpangoft2-1.0-0 libharfbuzz-subset0 fonts-dejavu-core"


class NoPdf(RuntimeError):
    """No PDF can be made here; the sentence says what to install."""


@cache
def pdf_problem() -> str:
    """Say what is missing for a PDF, or nothing."""
    try:
        import weasyprint  # noqa: F401, PLC0415 - optional, and a second to load
    except ImportError:
        return (
            "The PDF needs the package weasyprint: ask your administrator to run "
            "pip install 'neuraxis[report]'. This page prints well from the browser."
        )
    except OSError:  # the shared libraries of the system
        return (
            "The PDF needs libraries of the system: ask your administrator to run "
            f"apt-get install {PACKAGES}. This page prints well from the browser."
        )
    return ""


def pdf_of(html: str, *, css: str) -> bytes:
    """Return a page as PDF/UA; no address in it is followed.

    Raises
    ------
    NoPdf
        Where weasyprint or what it needs is missing.
    """
    document: Any = document_of(html, css=css)
    return bytes(document.write_pdf(pdf_variant="pdf/ua-1"))


def document_of(html: str, *, css: str) -> Any:
    """Return the laid out document (weasyprint's), so that its pages can be counted."""
    if problem := pdf_problem():
        raise NoPdf(problem)
    from weasyprint import CSS, HTML  # noqa: PLC0415
    from weasyprint.urls import URLFetcher  # noqa: PLC0415

    fetcher = URLFetcher(allowed_protocols=["data"], fail_on_errors=True)
    sheet = CSS(string=css, url_fetcher=fetcher)
    return HTML(string=html, url_fetcher=fetcher).render(stylesheets=[sheet])
