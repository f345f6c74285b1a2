package evtx

import (
	"encoding/binary"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf16"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// BinXml value types ([MS-EVEN6] §2.2.12, BinXmlValueType).
const (
	typeString     = 0x01
	typeANSI       = 0x02
	typeInt8       = 0x03
	typeUint8      = 0x04
	typeInt16      = 0x05
	typeUint16     = 0x06
	typeInt32      = 0x07
	typeUint32     = 0x08
	typeInt64      = 0x09
	typeUint64     = 0x0a
	typeFloat      = 0x0b
	typeDouble     = 0x0c
	typeBool       = 0x0d
	typeBinary     = 0x0e
	typeGUID       = 0x0f
	typeSizeT      = 0x10
	typeFileTime   = 0x11
	typeSystemTime = 0x12
	typeSID        = 0x13
	typeHex32      = 0x14
	typeHex64      = 0x15
	typeBinXML     = 0x21

	typeArray = 0x80
)

// sizes of the types that have one.
var sizes = map[uint8]int{
	typeInt8: 1, typeUint8: 1, typeInt16: 2, typeUint16: 2, typeInt32: 4, typeUint32: 4, typeInt64: 8, typeUint64: 8,
	typeFloat: 4, typeDouble: 8, typeBool: 4, typeGUID: 16, typeFileTime: 8, typeSystemTime: 16, typeHex32: 4, typeHex64: 8,
}

// texts are the values of an argument as Windows writes them: one, or those of an array.
func (a arg) texts() []string {
	kind := a.kind &^ typeArray
	if a.kind&typeArray == 0 {
		return []string{scalar(kind, a.b)}
	}
	if kind == typeString {
		return strings.Split(strings.TrimSuffix(decode(a.b), "\x00"), "\x00")
	}
	var list []string
	for b, n := a.b, sizes[kind]; n > 0 && len(b) >= n; b = b[n:] {
		list = append(list, scalar(kind, b[:n]))
	}
	return list
}

// scalar is the text of a single value; "" for those of a wrong size.
func scalar(kind uint8, b []byte) string {
	switch kind {
	case typeString:
		return text(b)
	case typeANSI:
		return win.ASCII(b)
	case typeBinary:
		return fmt.Sprintf("%X", b)
	case typeSID:
		return sid(b)
	}
	switch n := sizes[kind]; {
	case kind == typeSizeT && (len(b) == 4 || len(b) == 8):
		return fmt.Sprintf("0x%x", unsigned(b))
	case n == 0 || len(b) < n:
		return ""
	default:
		return fixed(kind, b[:n])
	}
}

// fixed is the text of a value whose size was checked.
func fixed(kind uint8, b []byte) string {
	switch kind {
	case typeInt8, typeInt16, typeInt32, typeInt64:
		shift := 64 - 8*len(b)
		return strconv.FormatInt(int64(unsigned(b)<<shift)>>shift, 10)
	case typeFloat:
		return strconv.FormatFloat(float64(math.Float32frombits(le.U32(b, 0))), 'g', -1, 32)
	case typeDouble:
		return strconv.FormatFloat(math.Float64frombits(le.U64(b, 0)), 'g', -1, 64)
	case typeBool:
		return strconv.FormatBool(le.U32(b, 0) != 0)
	case typeGUID:
		return win.GUID(b).String()
	case typeFileTime:
		return fileTime(le.U64(b, 0))
	case typeSystemTime:
		return systemTime(b)
	case typeHex32, typeHex64:
		return fmt.Sprintf("0x%x", unsigned(b))
	}
	return strconv.FormatUint(unsigned(b), 10)
}

func unsigned(b []byte) (v uint64) {
	for i, c := range b {
		v |= uint64(c) << (8 * i)
	}
	return v
}

// fileTime is the text of a FILETIME, 100 ns since 1601, whatever its year; "" where it has
// no year of four digits.
func fileTime(v uint64) string {
	const to1970 = 11644473600 // seconds
	t := time.Unix(int64(v/1e7)-to1970, int64(v%1e7)*100).UTC()
	return stamp(t, v > 0 && t.Year() <= 9999)
}

// systemTime is the text of a SYSTEMTIME: year, month, day of the week, day, hour,
// minute, second, millisecond.
func systemTime(b []byte) string {
	f := func(n int) int { return int(le.U16(b, 2*n)) }
	t := time.Date(f(0), time.Month(f(1)), f(3), f(4), f(5), f(6), f(7)*int(time.Millisecond), time.UTC)
	return stamp(t, f(0) > 1600 && f(1) >= 1 && f(1) <= 12)
}

func stamp(t time.Time, ok bool) string {
	if !ok {
		return ""
	}
	return t.Format(time.RFC3339Nano)
}

// sid is the text of a security identifier.
func sid(b []byte) string {
	if len(b) < 8 || len(b) < 8+4*int(b[1]) {
		return ""
	}
	var s strings.Builder
	fmt.Fprintf(&s, "S-%d-%d", b[0], uint64(binary.BigEndian.Uint16(b[2:]))<<32|uint64(binary.BigEndian.Uint32(b[4:])))
	for i := range int(b[1]) {
		fmt.Fprintf(&s, "-%d", le.U32(b, 8+4*i))
	}
	return s.String()
}

// text decodes UTF-16 up to the first zero.
func text(b []byte) string {
	s, _, _ := strings.Cut(decode(b), "\x00")
	return s
}

// decode decodes UTF-16, zeros and all, and makes it fit for one line of a terminal:
// line breaks become spaces, direction marks, which Windows puts into dates, go,
// other control characters become U+FFFD.
func decode(b []byte) string {
	u := make([]uint16, len(b)/2)
	for i := range u {
		u[i] = le.U16(b, 2*i)
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r == 0 || unicode.IsPrint(r):
			return r
		case unicode.IsSpace(r):
			return ' '
		case r == '\u200e' || r == '\u200f':
			return -1
		}
		return unicode.ReplacementChar
	}, string(utf16.Decode(u)))
}
