#!/usr/bin/env python3
# SPDX-License-Identifier: MIT
"""Hands a public header to Doxygen, which wants more words than a reader of the header: usage: doxygen_filter.py FILE

In the headers a comment stands for all declarations that follow it up to the next comment or empty line, one behind a line for
every name of that line, and the first one for the file. Doxygen is told so here; lines keep their numbers.
"""
import re
import sys

NAME = re.compile(r"\b(brume_[a-z0-9_]+)\(")


def names(declared):
    """'double a, b[4]' as ['double a', 'double b[4]'], or just itself where it is no such list."""
    match = re.fullmatch(r"((?:const |unsigned |struct )*\w+ )(\**\w+(?:\[\w*\])*(?:, \**\w+(?:\[[\w -]*\])*)+)", declared)
    return [match[1] + one for one in match[2].split(", ")] if match else [declared]


def behind(match):
    """A comment behind a field, for each of its names."""
    indent, declared, space, text = match.groups()
    *others, last = names(declared)
    flat = re.sub(r"\s+", " ", text)
    return indent + "".join(f"{one}; /**< @brief {flat}*/ " for one in others) + f"{last};{space}/**< @brief {text}*/"


def before(text):
    """A comment before several declarations, for each function among them; one behind a type leads there."""
    lines, said = text.split("\n"), None
    for i, line in enumerate(lines):
        if not line.strip() or line.lstrip().startswith("/**"):
            said = None
        typedef = re.match(r"(?:typedef [^()]*|\}) ?\**\b(brume_\w+);", line)
        name = NAME.search(line)
        if typedef:
            said = f"See #{typedef[1]}."
        elif line[:1].isalpha() and name and not line.startswith(("typedef", "static")):
            if said and "/**" not in line:
                lines[i] = f"/** {said} */ {line}"
            elif lines[i - 1].rstrip().endswith("*/"):
                said = f"@copydoc {name[1]}"
    return "\n".join(lines)


text = open(sys.argv[1], encoding="utf-8").read()
text = re.sub(r"\A/\* SPDX[^\n]*", "/** @file", text)
text = re.sub(r"([;,{] *|^ *[A-Z0-9_]+(?: = [^/\n]*)? +)/\*\*?<? ", r"\1/**< ", text, flags=re.M)
text = re.sub(r"^( +)([a-z][^;{}()/\n]*);( *)/\*\*< (.*?)\*/", behind, text, flags=re.M | re.S)
# A dot that ends no sentence must not end the summary either.
text = re.sub(r"\b(al|algs?|eqs?|secs?|app)\. ", r"\1.\\ ", text.replace(" .. ", " ..\\ "))
sys.stdout.write(before(text))
