"""What looks like a key, a token or a password is left out of a text that goes to somebody else.

Pure, and by shapes and names alone: the texts are logs and objects of anybody's. It hides too much rather than too
little; who needs a value that is hidden can ask for it.
"""

import re

HIDDEN = "[hidden]"

_NAME = (
    r"(?:password|passwd|passphrase|pwd|token|secret|credentials?|api[-_]?key|access[-_]?key(?:[-_]?id)?"
    r"|private[-_]?key)(?:_(?!file\b)\w+)?"
)
"""How names of secret values end, `_XDS` and the like after them included; a file's name is no secret."""

_SECRETS = (
    (re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----.*?(-----END [A-Z ]*PRIVATE KEY-----|\Z)", re.DOTALL), HIDDEN),
    (re.compile(r"LS0tLS1CRUdJTiB[EFPQS][A-Za-z0-9+/=]{8,}"), HIDDEN),  # the same in base64, of certificates not
    (re.compile(r"(?i)((?:authorization|cookie)\\?[\"']?\s*[:=]\s*\\?[\"']?)[^\s\"'\\][^\"'\\\n]*"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)(bearer\s+)[A-Za-z0-9._~+/=-]{8,}"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)(\"name\":\s*\"[\w.-]*{_NAME}\",\s*\"value\":\s*\")(?:\\.|[^\"\\])+"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)({_NAME}\"?\s*[:=]\s*\")(?:\\.|[^\"\\])+"), rf"\1{HIDDEN}"),
    (re.compile(rf"(?i)({_NAME}\\\"\s*[:=]\s*\\\")[^\"\\]+"), rf"\1{HIDDEN}"),  # JSON inside of JSON
    (re.compile(rf"(?i)({_NAME}[\"']?\s*[:=]\s*'?)(?!\[hidden)[^\s\"'\\,}}\[{{]+"), rf"\1{HIDDEN}"),
    (re.compile(r"(?i)(\w+://[^\s:/@]*:)[^\s@/]+@"), rf"\1{HIDDEN}@"),
    (re.compile(r"eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]+"), HIDDEN),
    (re.compile(r"\b(?:AKIA[0-9A-Z]{16}|gh[opsu]_[A-Za-z0-9]{20,}|hv[bs]\.[A-Za-z0-9_-]{20,})"), HIDDEN),
)


def redacted(text: str) -> str:
    """The text without what looks like a key, a token or a password."""
    for pattern, instead in _SECRETS:
        text = pattern.sub(instead, text)
    return text
