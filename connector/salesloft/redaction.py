"""Makes a compact reason out of Salesloft's error bodies, without any text of the calendar.

Validation errors may quote what was sent, or what was stored before, so a server's words are kept only if they are
error words or field names. Addresses, links and quoted text always go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import msgspec


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PAYLOAD_FIELDS = _words(
    """
    calendar_id id i_cal_uid start_time end_time all_day title description location organizer attendees status
    transparency canceled_at recurring recurrence updated_at upsert_key
    """
)
_OTHER_FIELDS = _words(
    """
    data name email type ready_to_execute primary_calendar_connection_failed reschedule_status event_id
    """
)
_ERROR_WORDS = _words(
    """
    a above accepted after allowed already an and any are array as at attribute attributes bad be before between
    blank boolean by can't cancelled cannot character characters confirmed contain date datetime declined does
    duplicate earlier empty end enum equal error exceed exceeds exist exists expected failed false field fields for
    format found from future greater has have in included inclusion integer invalid is iso it key large later least
    length less list long malformed maximum minimum missing more most must needsaction nil no not null number object
    of off on one only opaque or parameter parameters past permitted present range record refused required reserved
    schema short should size start string taken tentative than that the this time to too transparent true type
    unexpected unique unknown unpermitted unprocessable unrecognized unsupported valid validation value values was
    with without wrong you zone

    abort aborted access active again another api archived associated authorized available belong belongs body
    busy call calendar cannot change changed column conflict conflicting connected connection constraint
    content could couldn't create created current currently database day days deleted denied didn't disabled
    doesn't don't down enabled endpoint entity entry event events exception expired external fail fails
    failure forbidden future given had handle has header hour hours id ids if inactive internal isn't item
    items its json limit limits locked malformed many matches may meeting meetings might minute minutes
    mismatch modified multiple must name named needs neither never new next nor now offset old on once only
    operation other our out overlap overlaps owner parse parsed parsing payload pending permission permissions
    please prevent previous process processed processing provided provider quota rate reached read reason
    refers rejected related request required reserved resource response retry row save saved scope second
    seconds see server service set some something state still such support team temporarily their them then
    there these they timeout timestamp timezone together type unable unavailable unauthorized under
    unprocessed until up update updated url use used user users using utc validated via want wasn't were what
    when where which while who whose why will within won't would write written yet your
    """
)
_KEPT = PAYLOAD_FIELDS | _OTHER_FIELDS | _ERROR_WORDS
_GONE = "…"
_MOST = 300
_MOST_COMPLAINTS = 20
_QUOTED = re.compile(r"""(?<!\w)(?:"([^"]*)"|'([^']*)'|`([^`]*)`|“([^”]*)”|‘([^’]*)’)(?!\w)""")
_ADDRESS_OR_LINK = re.compile(r"\S*@\S*|\w+://\S*")
_IDENTIFIER = re.compile(r"[a-z]+(_[a-z]+)+")
"""As scopes and columns are named; nobody titles a meeting like that."""
_WORD = re.compile(r"[\w'-]+")
_GONE_RUN = re.compile(rf"{_GONE}(?:[\s.,:;/+-]*{_GONE})+")
_ENVELOPE = ("errors", "error", "message", "detail", "error_description", "reason")
_FIELD_KEYS = ("field", "attribute", "param", "parameter", "property", "path", "pointer", "loc")
_TEXT_KEYS = ("message", "messages", "detail", "msg", "error", "errors", "reason")


@dataclass(frozen=True, slots=True)
class Complaint:
    """One thing that the server found wrong; `path` is the field's, dotted, or empty. Not redacted yet."""

    path: str
    text: str


@dataclass(frozen=True, slots=True)
class Refusal:
    """What may be told of an error body. `fields` are those of the payload that it complains about."""

    reason: str
    fields: frozenset[str]


def refusal_of(body: Any, sent: Any) -> Refusal:
    """The compact, redacted reason in a decoded error body; `sent` is the decoded request (or its raw text)."""
    values = tuple(_texts(sent))
    blob = "\n".join(values)
    long_values = sorted(
        {v for v in values if len(v) > 2 and v not in _KEPT}, key=len, reverse=True
    )
    parts: list[str] = []
    fields: set[str] = set()
    for complaint in _complaints(body):
        text = complaint.text.strip()
        for value in long_values:
            if value in text.casefold():
                text = re.sub(re.escape(value), _GONE, text, flags=re.IGNORECASE)
        head = complaint.path.split(".", 1)[0]
        fields |= {head} & PAYLOAD_FIELDS if head else _fields_named(text)
        parts.append(f"{_path(complaint.path, blob)} {_redacted(text, blob)}".strip())
    return Refusal("; ".join(dict.fromkeys(filter(None, parts)))[:_MOST], frozenset(fields))


def _path(path: str, blob: str) -> str:
    """A field's path; numbers in it are places in a list."""
    return ".".join(
        step if step.isdigit() and len(step) < 5 else _redacted(step, blob)
        for step in path.split(".")
    )


def _redacted(text: str, blob: str) -> str:
    text = _ADDRESS_OR_LINK.sub(_GONE, _QUOTED.sub(_quoted, text))
    text = _WORD.sub(lambda found: _word(found.group(), blob), text)
    return " ".join(_GONE_RUN.sub(_GONE, text).split())


def _quoted(found: re.Match[str]) -> str:
    inner = next(group for group in found.groups() if group is not None).strip(":").casefold()
    return f"'{inner}'" if inner in PAYLOAD_FIELDS else _GONE


def _word(word: str, blob: str) -> str:
    """The word itself if it is one of the error language, or a number or a name of code that is none of the request's.

    Any other word may be the calendar's, also one that this request does not hold: Salesloft may quote what it stored.
    """
    plain = word.strip("'-").casefold()
    is_number = plain.isascii() and plain.isdigit() and len(plain) < 6 and plain not in blob
    is_identifier = _IDENTIFIER.fullmatch(plain) is not None and plain not in blob
    return word if plain in _KEPT or not plain or is_number or is_identifier else _GONE


def _fields_named(text: str) -> set[str]:
    """The payload's fields that a free text is about: named as its first words, or in code's own spelling."""
    lower = text.casefold()
    found = set()
    for name in PAYLOAD_FIELDS:
        human = name.replace("_", " ")
        # A word such as `status` or `location` anywhere else in a sentence is just a word.
        unmistakable = "_" in name or name == "transparency"
        before = r"(?<!\w)" if unmistakable else r"[:'\"`]"
        if re.match(rf"(?:{name}|{human})(?!\w)", lower) or re.search(
            rf"{before}{name}(?!\w)", lower
        ):
            found.add(name)
    return found


def _complaints(body: Any) -> list[Complaint]:
    if isinstance(body, dict):
        body = next((body[key] for key in _ENVELOPE if body.get(key)), None)
    found: list[Complaint] = []
    for complaint in _walk(body, "", 0):
        found.append(complaint)
        if len(found) >= _MOST_COMPLAINTS:
            break
    return found


def _walk(part: Any, path: str, depth: int) -> Iterator[Complaint]:
    if depth > 6 or part is None:
        return
    if isinstance(part, list):
        for index, item in enumerate(part[:_MOST_COMPLAINTS]):
            below = f"{path}.{index}" if path and isinstance(item, dict) else path
            yield from _walk(item, below, depth + 1)
    elif isinstance(part, dict):
        yield from _walk_object(part, path, depth)
    else:
        yield Complaint(path, str(part))


def _walk_object(part: dict[str, Any], path: str, depth: int) -> Iterator[Complaint]:
    """Either an error object that names its field, or a map of fields to messages."""
    source = part.get("source")
    about = part if not isinstance(source, dict) else {**part, **source}
    named = next(
        (about[key] for key in _FIELD_KEYS if isinstance(about.get(key), str | list)), None
    )
    texts = [part[key] for key in _TEXT_KEYS if isinstance(part.get(key), str | list)]
    if named is not None or texts:
        yield from _walk(texts or "", _field_path(named) or path, depth + 1)
        return
    for key, value in part.items():
        key = "" if key == "base" else str(key)
        yield from _walk(value, ".".join(filter(None, (path, key))), depth + 1)


def _field_path(named: Any) -> str:
    """`/data/attributes/title`, `["body", "title"]`, `event.title` → the path from the payload's field on."""
    steps = (
        [str(step) for step in named]
        if isinstance(named, list)
        else re.split(r"[./]", str(named or ""))
    )
    steps = [step for step in steps if step]
    known = [at for at, step in enumerate(steps) if step in PAYLOAD_FIELDS]
    return ".".join(steps[known[0] :] if known else steps)


def _texts(sent: Any) -> Iterable[str]:
    """All texts in a request, casefolded; names of fields are not texts."""
    if isinstance(sent, bytes | bytearray | memoryview):
        try:
            sent = msgspec.json.decode(sent) if sent else None
        except msgspec.DecodeError:
            sent = bytes(sent).decode(errors="replace")
    stack = [sent]
    while stack:
        part = stack.pop()
        if isinstance(part, dict):
            stack.extend(part.values())
        elif isinstance(part, list | tuple):
            stack.extend(part)
        elif isinstance(part, str):
            yield part.casefold()
        elif isinstance(part, int | float) and not isinstance(part, bool):
            yield str(part)
