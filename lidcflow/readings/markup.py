"""Parse small XML files with line numbers and without entities, so that a file can't make others of itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from xml.parsers import expat

DEEPEST = 32
"""Elements within elements; the files of LIDC-IDRI have 6."""


class XmlError(ValueError):
    """The text is not XML that is read here; `line` says where."""

    def __init__(self, line: int, sentence: str) -> None:
        super().__init__(line, sentence)
        self.line = line
        self.sentence = sentence


@dataclass(eq=False)
class Element:
    """An element, its name in lower case and without a namespace."""

    name: str
    line: int
    text: str = ""
    children: list[Element] = field(default_factory=list)

    def all(self, name: str) -> Iterator[Element]:
        """Yield the children of a name."""
        return (child for child in self.children if child.name == name)

    def first(self, name: str) -> Element | None:
        """Return the first child of a name."""
        return next(self.all(name), None)

    def value(self, name: str) -> str:
        """Return the text of the first child of a name, without blanks around it; empty where there is none."""
        child = self.first(name)
        return "" if child is None else child.text.strip()


def parse(data: bytes) -> Element:
    """Parse a file.

    A document type declaration is refused, and with it every entity beside the five of XML itself: that is what
    `defusedxml` would do, in five lines.

    Parameters
    ----------
    data : bytes
        The file.

    Raises
    ------
    XmlError
        If it is not well-formed, nested deeper than `DEEPEST`, or declares a document type.
    """
    root = Element("", 0)
    path = [root]
    parser = expat.ParserCreate(namespace_separator=" ")
    parser.buffer_text = True

    def start(name: str, _attributes: dict[str, str]) -> None:
        if len(path) > DEEPEST:
            raise XmlError(parser.CurrentLineNumber, f"elements must be nested at most {DEEPEST} deep")
        element = Element(name.rpartition(" ")[2].lower(), parser.CurrentLineNumber)
        path[-1].children.append(element)
        path.append(element)

    def end(_name: str) -> None:
        path.pop()

    def text(data: str) -> None:
        path[-1].text += data

    def doctype(*_: object) -> None:
        raise XmlError(parser.CurrentLineNumber, "a document type must not be declared, nor entities")

    parser.StartElementHandler, parser.EndElementHandler = start, end
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text, doctype
    try:
        parser.Parse(data, True)
    except expat.ExpatError as error:
        raise XmlError(error.lineno, f"must be well-formed XML, got {expat.ErrorString(error.code)}") from None
    except (ValueError, LookupError) as error:
        if isinstance(error, XmlError):
            raise
        raise XmlError(parser.CurrentLineNumber, "must be in an encoding that is known here, such as UTF-8") from None
    return root.children[0]
