// Package win holds the words of Windows: stop codes and what their parameters
// mean, status codes, versions, and the basic types of its files (FILETIME,
// GUID, UTF-16).
//
// It knows nothing of dumps. The texts are data under data/, one file a
// language, made to be edited by translators.
package win

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"
)

// Clean makes untrusted text printable: control characters, line breaks,
// direction marks and invalid bytes become U+FFFD. What comes out can go to a terminal.
func Clean(s string) string {
	return strings.Map(func(r rune) rune {
		if !unicode.IsPrint(r) {
			return unicode.ReplacementChar
		}
		return r
	}, strings.ToValidUTF8(s, "\ufffd"))
}

// UTF16 decodes little-endian UTF-16 up to the first NUL or the end of b, and
// cleans it.
func UTF16(b []byte) string {
	u := make([]uint16, 0, len(b)/2)
	for i := 0; i+1 < len(b); i += 2 {
		c := binary.LittleEndian.Uint16(b[i:])
		if c == 0 {
			break
		}
		u = append(u, c)
	}
	return Clean(string(utf16.Decode(u)))
}

// ASCII decodes bytes up to the first NUL or the end of b, and cleans them.
func ASCII(b []byte) string {
	if i := bytes.IndexByte(b, 0); i >= 0 {
		b = b[:i]
	}
	return Clean(string(b))
}

// unixEpoch is 1970-01-01 in FILETIME, units of 100 ns since 1601-01-01 UTC.
const unixEpoch = 116444736000000000

// FileTime converts a FILETIME (100 ns since 1601-01-01 UTC); false for zero
// and for times outside 1980 to 2200, which no dump was written at.
func FileTime(v uint64) (time.Time, bool) {
	if v < unixEpoch || v-unixEpoch > 1<<62 {
		return time.Time{}, false
	}
	d := v - unixEpoch
	t := time.Unix(int64(d/1e7), int64(d%1e7)*100).UTC()
	return t, t.Year() >= 1980 && t.Year() < 2200
}

// GUID is a 16-byte identifier as it lies in memory.
type GUID [16]byte

// String writes {00112233-4455-6677-8899-aabbccddeeff}, the first three groups
// little-endian.
func (g GUID) String() string {
	order := binary.LittleEndian
	return fmt.Sprintf("{%08x-%04x-%04x-%x-%x}", order.Uint32(g[0:]), order.Uint16(g[4:]), order.Uint16(g[6:]), g[8:10], g[10:16])
}
