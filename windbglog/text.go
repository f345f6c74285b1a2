package windbglog

import (
	"bytes"
	"encoding/binary"
	"iter"
	"regexp"
	"strings"
	"unicode/utf16"
)

// lines yields the lines of a text without what transport added to them: carriage
// returns, marks of quoting, indentation. Lines longer than any of the debugger's
// are cut.
func lines(b []byte) iter.Seq[string] {
	return func(yield func(string) bool) {
		for len(b) > 0 {
			line, rest, _ := bytes.Cut(b, []byte("\n"))
			b = rest
			for part := range bytes.SplitSeq(unfold(line), []byte("\n")) {
				if !yield(unquote(string(part[:min(len(part), maxLine)]))) {
					return
				}
			}
		}
	}
}

// Some forums drop the ends of lines. Fields, keys, parameters, the stop code and the
// frames of 64-bit stacks can be told where they begin; a line that has several
// fields is such a text.
var (
	foldedField  = regexp.MustCompile(`(?:^|[ \t])((?:[A-Z][A-Z0-9_]{3,}|Arg[1-4]|Arguments|Key ?|Value|Followup):)`)
	foldedHeader = regexp.MustCompile(`([A-Z][A-Z0-9_]{7,} \([0-9a-f]{1,8}\)) `)
	foldedFrame  = regexp.MustCompile("[ \\t](" + word64 + "[ \\t]+(?:" + word64 + "|\\(Inline Function\\))[ \\t]*:(?:[ \\t](?:" + word64 + "|--------`--------)){4}[ \\t]*:)")
)

// breaks end a line of a page.
var breaks = regexp.MustCompile(`(?i)<br ?/?>|</p>|</li>|</div>`)

const word64 = "[0-9a-f]{8}`?[0-9a-f]{8}"

func unfold(line []byte) []byte {
	if bytes.ContainsRune(line, '<') {
		line = breaks.ReplaceAll(line, []byte("\n"))
	}
	if bytes.Count(line, []byte(":")) < 2 || len(foldedField.FindAllIndex(line, 2)) < 2 {
		return line
	}
	line = foldedField.ReplaceAll(line, []byte("\n$1"))
	line = foldedHeader.ReplaceAll(line, []byte("\n$1\n"))
	return foldedFrame.ReplaceAll(line, []byte("\n$1"))
}

// unquote drops what mail, forums, Markdown and pages put around a line: marks of
// quoting, of lists and of comments, numbers of lines, tags and entities, the
// backslashes before the debugger's own marks.
func unquote(s string) string {
	s = strings.TrimRight(escapes.Replace(s), "\r `")
	if strings.HasPrefix(s, "**") {
		s = bold.ReplaceAllString(s, "$1")
	}
	if strings.ContainsAny(s, "<&") {
		s = entities.Replace(tags.ReplaceAllString(s, ""))
	}
	if strings.ContainsAny(s, "'’") {
		s = halves.ReplaceAllString(s, "$1`$2")
	}
	s = strings.TrimLeft(s, " \u00a0")
	if m := lineNumber.FindString(s); m != "" {
		s = s[len(m):]
	}
	for {
		t := strings.TrimLeft(s, " \u00a0`")
		for _, mark := range []string{">", "//", "- "} {
			t = strings.TrimPrefix(t, mark)
		}
		if t == s {
			return s
		}
		s = t
	}
}

// The tags are those of text; a call site may hold others: a template's parameters.
var (
	escapes    = strings.NewReplacer("\\`", "`", `\_`, "_", `\*`, "*", "\t", " ")
	tags       = regexp.MustCompile(`(?i)</?(?:p|br|pre|code|div|span|b|i|strong|em|li|tr|td|font|blockquote)(?: [^<>]*)?/?>`)
	entities   = strings.NewReplacer("&lt;", "<", "&gt;", ">", "&quot;", `"`, "&#39;", "'", "&nbsp;", " ", "&amp;", "&")
	bold       = regexp.MustCompile(`^\*\*([A-Za-z][\w. ]*:?)\*\*`)
	halves     = regexp.MustCompile(`([0-9a-f]{8})['’]([0-9a-f]{8})\b`) // a back quote would be a mark of Markdown
	lineNumber = regexp.MustCompile(`^\d{1,5}\. `)
)

// utf8Of decodes UTF-16, by its byte order mark or by the zeros that ASCII has
// in it: the debugger's .logopen /u writes such files.
func utf8Of(b []byte) []byte {
	switch {
	case bytes.HasPrefix(b, []byte("\xef\xbb\xbf")):
		return b[3:]
	case bytes.HasPrefix(b, []byte("\xff\xfe")):
		return utf16Of(b[2:], binary.LittleEndian)
	case bytes.HasPrefix(b, []byte("\xfe\xff")):
		return utf16Of(b[2:], binary.BigEndian)
	case len(b) >= 8 && b[1] == 0 && b[3] == 0 && b[5] == 0 && b[0] != 0 && b[2] != 0:
		return utf16Of(b, binary.LittleEndian)
	}
	return b
}

func utf16Of(b []byte, order binary.ByteOrder) []byte {
	units := make([]uint16, len(b)/2)
	for i := range units {
		units[i] = order.Uint16(b[2*i:])
	}
	return []byte(string(utf16.Decode(units)))
}
