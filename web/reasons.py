"""Why a file was not taken in, in the page's language.

The knowledge base knows no languages: its errors, also those stored with a job, are English. The
known ones are recognised here by their wording; one that is not is shown as it is.
"""

import re

from bot.catalogue import Catalogue
from web.fetch_reasons import FETCHING

#: The first that fits names the text `reasons.<key>`; groups are its placeholders.
_KNOWN = tuple(
    (re.compile(pattern), key)
    for pattern, key in (
        (r"^Skipped: the text is (?P<share>\d+) % like '(?P<name>.*)'; to have both", "duplicate"),
        (r"is an absolute path;", "bundle_absolute"),
        (r"leads out of its folder by", "bundle_climbs"),
        (
            r"is a path of (?P<n>\d+) characters, more than the (?P<limit>\d+)",
            "bundle_long_path",
        ),
        (
            r"holds (?P<n>[\d,]+) entries, more than the limit of (?P<limit>\d[\d,]*)",
            "bundle_entries",
        ),
        (r"comes after the (?P<limit>[\d,]+) files that one archive", "bundle_members"),
        (r"holds no files; pack", "bundle_no_files"),
        (r"is in the archive twice", "bundle_twice"),
        (r"is a link or a device, not a file", "bundle_link"),
        (r"is an archive within an archive", "bundle_nested"),
        (r"is packed by a method that is not read", "bundle_method"),
        (r"is an office file or a book with the suffix '\.zip'", "bundle_office"),
        (r"holds many documents and cannot replace one", "bundle_replaces"),
        (r"has the suffix '(?P<suffix>[^']*)', but only", "unknown_format"),
        (r"should be .+ by its suffix, but", "wrong_suffix"),
        (r"is empty \(0 bytes\)", "empty"),
        (r"is protected by a password", "encrypted"),
        (r"has (?P<size>[\d,]+) bytes, more than the limit of (?P<limit>\d[\d,]*)", "too_large"),
        (r"has (?P<size>[\d.]+) MB, more than the (?P<limit>\d+) MB", "too_large_mb"),
        (
            r"has (?P<pages>[\d,]+) pages, more than the limit of (?P<limit>\d[\d,]*)",
            "too_many_pages",
        ),
        (
            r"has (?P<pages>[\d,]+) scanned pages, more than the limit of (?P<limit>\d[\d,]*)",
            "too_many_scans",
        ),
        (r"found no words in", "no_words"),
        (r"has more than (?P<limit>\d[\d,]*) pixels, the limit", "too_many_pixels"),
        (r"would unpack to more than the limit", "bomb"),
        (r"pages but no text layer", "no_layer"),
        (r"can be read but holds no text|No text was found in the file", "no_text"),
        (r"holds more than (?P<limit>\d[\d,]*) characters of text", "too_long"),
        (r"is no filled FAQ template", "faq_no_template"),
        (r"has no columns called 'question' and 'answer'", "faq_no_columns"),
        (r"holds more than (?P<limit>\d[\d,]*) questions", "faq_many_rows"),
        (r"^Page (?P<page>\d+) of .+ is damaged;", "broken_page"),
        (r"is damaged(?: and cannot be|;)", "broken"),
        (r"No file of .+ could be taken in", "bundle_nothing"),
        (r"is protected against copying;", "copy_protected"),
        (r"is not valid JSON at line (?P<line>\d+) ", "bad_json"),
        (r"nests its values more than (?P<limit>\d+) levels deep;", "nested_records"),
        (r"is not a readable table \(.*, line (?P<line>\d+)\);", "bad_table"),
        (r"spreads over more than (?P<limit>\d[\d,]*) cells", "many_cells"),
        (r"holds no e-mail with a text;", "no_mail"),
        (r"holds no HTML that can be read;", "no_html"),
        (r"holds XML with a document type", "xml_type"),
        (r"^Reading .+ needs more memory than allowed;", "out_of_memory"),
        (r"^Reading the file took more than (?P<seconds>\d+) s", "too_slow"),
        (r"^The program that reads files crashed on this one;", "parser_crashed"),
        (r"cannot be read \(\w+\)", "unreadable"),
        (r"^The uploaded file is gone;", "upload_gone"),
        (r"^Expected a file name such as", "file_name"),
        (r"^Another document is already called '(?P<name>.*)';", "name_taken"),
        (r"^Cancelled before it was finished", "cancelled"),
        (r"^Stopped after (?P<n>\d+) attempts", "gave_up"),
        (r"^Unexpected \w+; see the server's log", "unexpected"),
        (r"^A (?:newer upload|document) of .+ took its place", "superseded"),
        *FETCHING,
    )
)


def reason(message: str, catalogue: Catalogue, language: str) -> str:
    """Returns a known error message in the language, any other one unchanged."""
    if not language.startswith("zh"):
        return message
    for pattern, key in _KNOWN:
        found = pattern.search(message)
        if found is not None:
            return catalogue.text(f"reasons.{key}", language, **found.groupdict())
    return message
