"""Why an address gave nothing: the wording of each error, and its text `reasons.<key>`.

Part of `web/reasons.py`, which says how they are used.
"""

FETCHING = (
    (r"^The address redirects more than (?P<limit>\d+) times", "fetch_redirects"),
    (r"^There is no such page \((?P<status>.+)\)", "fetch_gone"),
    (r"^The server answered (?P<status>.+)\.$", "fetch_status"),
    (r"^The server sent '(?P<type>.*)', which cannot be read here", "fetch_type"),
    (r"^The robots\.txt of (?P<host>.+) does not allow this address", "fetch_robots"),
    (r"^The site's robots\.txt cannot be read \((?P<status>.+)\)", "fetch_no_robots"),
    (r"^The server sent the encoding '(?P<encoding>.*)', which was not", "fetch_encoding"),
    (r"^The server sent a damaged gzip body", "fetch_damaged"),
    (r"^The content is too large: more than (?P<size>[\d.]+) MB", "fetch_large"),
    (r"^The server took too long: given up after (?P<seconds>[\d.e+]+) s", "fetch_slow"),
    (r"^No connection: ", "fetch_no_connection"),
    (r"^The server's answer is not valid HTTP", "fetch_no_http"),
    (r"^The server redirects without saying where to", "fetch_nowhere"),
    (r"^The server redirects to an address that is not taken", "fetch_refused_target"),
    (r"^The sitemap is not valid XML|^The sitemap is a damaged gzip", "sitemap_damaged"),
    (r"^Expected a sitemap, found XML that begins with <(?P<tag>.*)>", "sitemap_other"),
    (r"^The sitemap unpacks to more than (?P<size>[\d.]+) MB", "sitemap_large"),
    (r"^The sitemap lists no page of its own site", "sitemap_empty"),
    (r"^The name '(?P<host>.*)' is not known to the network", "fetch_unknown_host"),
    (r"^'(?P<host>.*)' leads to (?P<address>\S+), which is not a public", "fetch_private"),
    (r"^The page is no longer listed in the sitemap", "page_vanished"),
    (r"^Its document was removed by a person", "page_taken_away"),
)
