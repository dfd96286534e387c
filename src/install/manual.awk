# SPDX-License-Identifier: MIT
#
# ctrack.h in, ctrack.3 out (mdoc), so that there is one manual to keep. It knows what the header is made of: an opening
# comment with "## Titles", "/* ---- title */" between the sections, and doc comments, each with its declaration after it.
# -v date="Month D, YYYY".

# Text as mdoc takes it: what stands in backticks is bold, in asterisks italic.
function inline(text,    parts, n, i, out)
{
    gsub(/\\/, "\\e", text)
    while (match(text, /\*[A-Za-z][A-Za-z ]*\*/)) {
        text = substr(text, 1, RSTART - 1) "\\fI" substr(text, RSTART + 1, RLENGTH - 2) "\\fR" \
            substr(text, RSTART + RLENGTH)
    }
    n = split(text, parts, "`")
    out = parts[1]
    for (i = 2; i <= n; i++) {
        out = out (i % 2 == 0 ? "\\fB" : "\\fR") parts[i]
    }
    return out
}

# Writes a paragraph in lines that are not too long; a sentence begins on a line of its own.
function fill(text,    words, n, i, line, mark)
{
    n = split(inline(text), words, " ")
    line = ""
    for (i = 1; i <= n; i++) {
        if (line != "" && (length(line) + length(words[i]) > 70 || line ~ /[.?!][)"']*$/)) {
            emit(line)
            line = ""
        }
        if (words[i] ~ /^[a-z0-9_]+\(\)[.,:;)]*$/) {
            if (line != "") {
                emit(line)
            }
            line = ""
            call(words[i])
        } else {
            line = line (line == "" ? "" : " ") words[i]
        }
    }
    if (line != "") {
        emit(line)
    }
}

# Writes "name()", with the punctuation after it set off.
function call(word,    at, rest)
{
    at = index(word, "()")
    rest = substr(word, at + 2)
    gsub(/./, " &", rest)
    print ".Fn " substr(word, 1, at - 1) rest
}

function emit(line)
{
    print (line ~ /^[.']/ ? "\\&" : "") line
}

function flush(    had)
{
    if (paragraph != "") {
        fill(paragraph)
    }
    paragraph = ""
}

function begin_paragraph()
{
    if (written) {
        print ".Pp"
    }
    written = 1
}

# Writes the lines of a comment: paragraphs, "- " lists, ```c examples, and "@param" and "Word:" entries.
function comment(lines, count,    i, line, code, list)
{
    written = 0
    fresh = 1
    for (i = 1; i <= count; i++) {
        line = lines[i]
        if (line ~ /^```/) {
            flush()
            code = !code
            print code ? ".Bd -literal -offset indent" : ".Ed"
            written = 0
        } else if (code) {
            literal(line)
        } else if (line ~ /^## /) {
            flush()
            print ".Ss " substr(line, 4)
            written = 0
        } else if (line == "") {
            flush()
            if (list) {
                print ".El"
            }
            list = 0
            fresh = 1
        } else if (line ~ /^- /) {
            flush()
            if (!list) {
                print ".Bl -bullet"
            }
            list = 1
            print ".It"
            paragraph = substr(line, 3)
        } else if (line !~ /^@file/ && line !~ /^ctrack: /) {
            if (line ~ /^(@param|Errors:|Threads:|Returns:|Ownership:)/) {
                flush()
                fresh = 1
                sub(/^@param *(\[[a-z,]*\])? */, "", line)
            }
            if (fresh && !list) {
                begin_paragraph()
            }
            fresh = 0
            sub(/^ +/, "", line)
            paragraph = paragraph (paragraph == "" ? "" : " ") line
        }
    }
    flush()
    if (list) {
        print ".El"
    }
}

function literal(line)
{
    gsub(/\\/, "\\e", line)
    emit(line)
}

# A declaration, then what its comment says.
function entry(    i)
{
    print ".Bd -literal"
    for (i = 1; i <= declared; i++) {
        literal(declaration[i])
    }
    print ".Ed"
    print ".Bd -ragged -offset indent -compact"
    comment(said, count)
    print ".Ed"
    count = declared = 0
}

function finish_name(    i)
{
    print ".Dd " date
    print ".Dt CTRACK 3"
    print ".Os"
    print ".Sh NAME"
    for (i = 1; i <= names; i++) {
        print ".Nm " name[i] (i < names ? " ," : "")
    }
    print ".Nd durable consistency tracker"
    print ".Sh SYNOPSIS"
    print ".In ctrack.h"
    print ".Pp"
    print "Link with"
    print ".Fl lctrack ."
    print ".Sh DESCRIPTION"
}

# The file is read twice: first for the names of the calls.
NR == FNR {
    if ($0 ~ /^CTRACK_API /) {
        match($0, /ctrack_[a-z0-9_]*\(/)
        name[++names] = substr($0, RSTART, RLENGTH - 1)
    }
    next
}

FNR == 1 {
    finish_name()
}

/^\/\* -+ / {
    sub(/^\/\* -+ /, "")
    sub(/ *\*\/$/, "")
    print ".Ss " toupper(substr($0, 1, 1)) substr($0, 2)
    next
}

/^\/\*\*/ {
    count = 0
    said[0] = ""
    if ($0 ~ /\*\/$/) {
        sub(/^\/\*\* */, "")
        sub(/ *\*\/$/, "")
        said[++count] = $0
    } else {
        in_comment = 1
    }
    next
}

in_comment && /^ \*\// {
    in_comment = 0
    if (!opened) {
        opened = 1
        comment(said, count)
        print ".Ss Types and constants"
        count = 0
    }
    next
}

in_comment {
    sub(/^ \* ?/, "")
    said[++count] = $0
    next
}

# What declares, up to its end; count says that a comment waits for it.
count > 0 && declared == 0 && /^(typedef|CTRACK_API|struct|#define)/ {
    in_declaration = 1
    if ($0 ~ /CTRACK_API$|^#define CTRACK_API/) {
        in_declaration = count = 0
    }
}

in_declaration {
    sub(/^CTRACK_API /, "")
    declaration[++declared] = $0
    if (($0 ~ /;/ && $0 !~ /^    /) || ($0 ~ /;$/ && declaration[1] !~ /\{$/) || \
        (declaration[1] ~ /^#define/ && $0 !~ /\\$/)) {
        in_declaration = 0
        entry()
    }
}
