"""Contacts out of what other programs export: vCard 2.1, 3.0 and 4.0, and the CSV of Google and Outlook.

Pure reading of untrusted bytes. A contact is a name and its addresses by kind: `email`, `phone`, and of chat
services those that this program can reach (`matrix`, `telegram`). Nothing is raised for what cannot be read: it is left out,
and said to whoever listens.
"""

from __future__ import annotations

import base64
import binascii
import csv
import io
import quopri
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from urllib.parse import unquote

MOST_BYTES = 32 << 20
MOST_CONTACTS = 50_000
_LONGEST_NAME = 200

Contact = tuple[str, dict[str, list[str]]]
"""(name, {kind: [address, the preferred one first]})"""


Left = Callable[[int, str, str], None]
"""Hears what is left out: the number of its line in the file, why, and what it says."""


@dataclass(frozen=True, slots=True)
class _Line:
    """`group.NAME;PARAMETER=value:value` taken apart; name and parameters in upper case. `number` is that of its line."""

    name: str
    parameters: dict[str, list[str]]
    value: str
    number: int = 0


def read(data: bytes, left: Left = lambda line, why, what: None) -> list[Contact]:
    """The contacts in an exported file, whatever of these forms it has, in its order; without those that have no address."""
    data = data[:MOST_BYTES]
    text = _decoded(data)
    found = _cards(data, left) if re.search(r"^\s*BEGIN\s*:\s*VCARD", text, re.IGNORECASE | re.MULTILINE) else _rows(text, left)
    contacts: list[Contact] = []
    for line, (name, addresses) in found:
        if not addresses:
            left(line, "no address", _one_line(name)[:_LONGEST_NAME])
        elif len(contacts) >= MOST_CONTACTS:
            left(line, f"more than {MOST_CONTACTS:,} contacts", _one_line(name)[:_LONGEST_NAME])
        else:
            shown = _one_line(name)[:_LONGEST_NAME] or next(iter(addresses.values()))[0]
            contacts.append((shown, addresses))
    return contacts


def _decoded(data: bytes, charset: str = "") -> str:
    """The text: as its mark says, else UTF-8, else what a Western Windows wrote."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    for name in (*([charset] if charset else []), "utf-8-sig", "cp1252"):
        try:
            return data.decode(name)
        except (UnicodeDecodeError, LookupError, ValueError):
            continue
    return data.decode("latin-1")


def _one_line(text: str) -> str:
    return " ".join("".join(c if c.isprintable() else " " for c in text).split())


# ---------------------------------------------------------------- vCard


def _cards(data: bytes, left: Left) -> Iterator[tuple[int, Contact]]:
    card: list[_Line] | None = None
    depth = begun = 0
    for number, raw in _unfolded(data):
        line = _line(raw, number)
        if line is None:
            left(number, "not understood", _one_line(raw[:200].decode("utf-8", "replace")))
            continue
        if line.name == "BEGIN" and line.value.strip().upper() == "VCARD":
            # A card inside a card (AGENT in 2.1) belongs to another person and is left out.
            depth += 1
            begun = number if depth == 1 else begun
            card = [] if depth == 1 else card
        elif line.name == "END" and line.value.strip().upper() == "VCARD":
            depth = max(0, depth - 1)
            if depth == 0 and card is not None:
                yield begun, _contact(card, left)
                card = None
        elif card is not None and depth == 1:
            card.append(line)
    if card:
        left(begun, "without an end", "")
        yield begun, _contact(card, left)


def _unfolded(data: bytes) -> Iterator[tuple[int, bytes]]:
    """Whole lines, each with the number of its first: what begins with a blank goes on, and so does quoted-printable that ends with =."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data = data.decode("utf-16", "replace").encode()
    held = b""
    soft, begun = False, 1
    for number, line in enumerate(re.split(rb"\r\n|\n|\r", data.removeprefix(b"\xef\xbb\xbf")), 1):
        if soft:
            held += b"\n" + line
        elif line[:1] in (b" ", b"\t") and held:
            held += line[1:]
        else:
            if held.strip():
                yield begun, held
            held, begun = line, number
        head = held.partition(b":")[0].upper()
        soft = b"QUOTED-PRINTABLE" in head and held.endswith(b"=")
    if held.strip():
        yield begun, held


def _line(raw: bytes, number: int) -> _Line | None:
    head, value = _halves(raw)
    if value is None:
        return None
    first, *rest = _parts(head.decode("utf-8", "replace"), ";")
    parameters: dict[str, list[str]] = {}
    for each in rest:
        name, equals, given = each.partition("=")
        # Version 2.1 writes a type, or an encoding, by itself.
        key, said = (name, given) if equals else ("ENCODING" if _is_encoding(name) else "TYPE", name)
        values = [v.strip().strip('"').upper() for v in _parts(said.strip('"') if said.count('"') == 2 else said, ",")]
        parameters.setdefault(key.strip().upper(), []).extend(values)
    return _Line(first.rpartition(".")[2].strip().upper(), parameters, _value(value, parameters), number)


def _halves(raw: bytes) -> tuple[bytes, bytes | None]:
    """What stands before and after the first colon that is in no quotes."""
    quoted = False
    for index, byte in enumerate(raw):
        if byte == 0x22:
            quoted = not quoted
        elif byte == 0x3A and not quoted:
            return raw[:index], raw[index + 1 :]
    head, colon, value = raw.partition(b":")
    return head, value if colon else None


def _parts(text: str, mark: str) -> list[str]:
    """Split at a mark that is in no quotes."""
    parts, quoted = [""], False
    for char in text:
        quoted ^= char == '"'
        if char == mark and not quoted:
            parts.append("")
        else:
            parts[-1] += char
    return parts


def _is_encoding(word: str) -> bool:
    return word.strip().upper() in ("QUOTED-PRINTABLE", "BASE64", "8BIT", "7BIT", "B")


def _value(value: bytes, parameters: dict[str, list[str]]) -> str:
    charset = next(iter(parameters.get("CHARSET", ())), "")
    encoding = next(iter(parameters.get("ENCODING", ())), "")
    if encoding == "QUOTED-PRINTABLE":
        return _decoded(quopri.decodestring(value), charset)
    if encoding in ("B", "BASE64"):
        try:
            return _decoded(base64.b64decode(value, validate=False)[:4096], charset)
        except (binascii.Error, ValueError):
            return ""
    return _decoded(value, charset)


def _contact(card: list[_Line], left: Left) -> Contact:
    found: dict[str, list[tuple[int, str]]] = {}
    names: dict[str, str] = {}
    for line in card:
        if line.name in ("FN", "ORG", "NICKNAME", "N") and line.value.strip():
            names.setdefault(line.name, line.value)
        given = list(_addresses(line))
        if not given and line.name in ("EMAIL", "TEL") and line.value.strip():
            left(line.number, "no mail address" if line.name == "EMAIL" else "no phone number", _one_line(line.value[:200]))
        for kind, address in given:
            place = found.setdefault(kind, [])
            if address not in (known for _, known in place):
                place.append((_rank(line), address))
    # Sorting keeps the order of the file among equals.
    addresses = {kind: [a for _, a in sorted(place, key=lambda each: each[0])] for kind, place in found.items()}
    return _name(names), addresses


def _name(names: dict[str, str]) -> str:
    if shown := _one_line(_plain(names.get("FN", ""))):
        return shown
    family, given, middle, before, after = (*map(_plain, _components(names.get("N", ""))), "", "", "", "", "")[:5]
    if shown := _one_line(f"{before} {given} {middle} {family} {after}"):
        return shown
    return _one_line(_plain(_components(names.get("ORG", ""))[0])) or _one_line(_plain(names.get("NICKNAME", "")))


def _components(text: str) -> list[str]:
    return re.split(r"(?<!\\);", text)


def _plain(text: str) -> str:
    return re.sub(r"\\(.)", lambda match: " " if match[1] in "nN" else match[1], text)


def _rank(line: _Line) -> int:
    """The preferred first: PREF=1 to 100 in version 4, the type PREF before."""
    for given in line.parameters.get("PREF", ()):
        if given.isascii() and given.isdigit():
            return min(int(given), 100)
    return 1 if "PREF" in line.parameters.get("TYPE", ()) or "PREF" in line.parameters else 101


def _addresses(line: _Line) -> Iterator[tuple[str, str]]:
    value = _plain(line.value).strip()
    if line.name == "EMAIL":
        address = unquote(value[7:]) if value.lower().startswith("mailto:") else value
        if mail := _email(address):
            yield "email", mail
    elif line.name == "TEL":
        if phone := _phone(unquote(value[4:]) if value.lower().startswith("tel:") else value):
            yield "phone", phone
    elif line.name in ("IMPP", "X-MATRIX", "X-TELEGRAM", "URL", "X-SOCIALPROFILE"):
        yield from _chat(line.name, value)


def _chat(name: str, value: str) -> Iterator[tuple[str, str]]:
    user = unquote(value)
    if match := re.fullmatch(r"matrix:u/([^?/\s]+)(\?.*)?|(?:https://matrix\.to/#/|matrix:)?(@[^?/\s]+)", user):
        address = f"@{match[1]}" if match[1] else match[3]
        if len(address) <= 255 and re.fullmatch(r"@[!-9;-~]+:[A-Za-z0-9.\-:\[\]]+", address):
            yield "matrix", address
    # A number alone says nothing about its service.
    elif (match := re.fullmatch(r"(telegram:|tg:)?(-?\d{4,20})", user)) and (match[1] or name == "X-TELEGRAM"):
        yield "telegram", match[2]


def _email(text: str) -> str:
    address = text.strip().strip("<>")
    fits = re.fullmatch(r"[^\s@<>()\[\],;:\\\"]{1,64}@[^\s@<>()\[\],;:\\\"]{1,255}", address)
    return address if fits and address.isprintable() and ".." not in address and not address.endswith(".") else ""


def _phone(text: str) -> str:
    number = re.sub(r"[\s().\-/\u00a0\u2010-\u2015]", "", text.partition(";")[0])
    return number if re.fullmatch(r"[+*#]?[0-9*#]{3,20}", number) else ""


# ---------------------------------------------------------------- CSV

_EMAIL_COLUMN = re.compile(r"(e-?mail|courriel|correo)( ?\d+| address| \d+ address| \d+ - value|-adresse| \d+ value)*( value)?")
_PHONE_COLUMN = re.compile(r"(phone|mobile|home|business|primary|company main|car|other|telefon)( ?\d+| phone| - value| value)*( \d+)?")


def _rows(text: str, left: Left) -> Iterator[tuple[int, Contact]]:
    """Rows under the columns that Google, Outlook and Thunderbird write, found by their names."""
    first = text.partition("\n")[0]
    mark = max(",;\t", key=first.count)
    csv.field_size_limit(1 << 20)
    rows = csv.reader(io.StringIO(text, newline=""), delimiter=mark)
    try:
        columns = [_one_line(column).lower().removeprefix("\ufeff") for column in next(rows, [])]
        if not any(_is_email(column) for column in columns):
            return
        for row in rows:
            if any(cell.strip() for cell in row):
                yield rows.line_num, _row(columns, row, rows.line_num, left)
    except csv.Error as error:
        # What came before the damage has been given out.
        left(rows.line_num, f"damaged, and nothing is read behind it ({error})", "")


def _is_email(column: str) -> bool:
    return _EMAIL_COLUMN.fullmatch(column) is not None or column in ("primary email", "secondary email")


def _row(columns: list[str], row: list[str], number: int, left: Left) -> Contact:
    cells = {column: cell.strip() for column, cell in zip(columns, row, strict=False) if column and cell.strip()}
    addresses: dict[str, list[str]] = {}
    for column, cell in cells.items():
        # Google puts several of one label into a cell.
        for each in cell.split(":::"):
            kind, address = "", ""
            if _is_email(column):
                kind, address = "email", _email(each)
            elif _PHONE_COLUMN.fullmatch(column) and "label" not in column:
                kind, address = "phone", _phone(each)
            if kind and not address and each.strip():
                left(number, "no mail address" if kind == "email" else "no phone number", _one_line(each[:200]))
            if address and address not in addresses.setdefault(kind, []):
                addresses[kind].append(address)
    return _row_name(cells), {kind: found for kind, found in addresses.items() if found}


def _row_name(cells: dict[str, str]) -> str:
    for column in ("name", "display name", "full name", "file as"):
        if cells.get(column):
            return cells[column]
    parts = [cells.get(c, "") for c in ("first name", "given name", "middle name", "last name", "family name", "additional name")]
    given, other, middle, last, family, more = parts
    shown = " ".join(filter(None, (given or other, middle or more, last or family)))
    firms = (cells[column] for column in ("company", "organization name", "organization") if column in cells)
    return shown or cells.get("nickname", "") or next(firms, "")
