package undname

import (
	"bytes"
	"fmt"
	"strings"
)

// stringLiteral reads the name of a string: its width, its size, a checksum,
// and the first 32 bytes of it. The brief name of a string is `string'.
func (p *parser) stringLiteral() symbol {
	s := symbol{form: literal}
	p.need("@_")
	c := p.next()
	if c != '0' && c != '1' {
		p.fail("no such string")
	}
	size, negative := p.number()
	wide := c == '1'
	if negative || size == 0 || wide && size%2 != 0 {
		p.fail("no such size of a string")
	}
	if i := strings.IndexByte(p.rest(), '@'); i >= 0 {
		p.pos += i + 1
	} else {
		p.fail("no checksum")
	}
	if p.brief && p.depth == 0 {
		return s
	}
	data := p.literalBytes(size, wide)
	if p.err == nil {
		s.extra = literalText(data, size, wide)
	}
	return s
}

const maxLiteral = 128 // bytes; the compilers write 32, or 64 of wide ones

// literalBytes reads the bytes of a string up to @.
func (p *parser) literalBytes(size uint64, wide bool) []byte {
	var data []byte
	for p.err == nil && !p.take("@") {
		data = append(data, p.literalByte())
		if len(data) > maxLiteral || wide && uint64(len(data)) > size {
			p.fail("too long a string")
		}
	}
	if wide && len(data)%2 != 0 {
		p.fail("half a character")
	}
	return data
}

// literalByte reads one byte: itself, or ? and a code.
func (p *parser) literalByte() byte {
	c := p.next()
	if c != '?' {
		return c
	}
	switch c = p.next(); {
	case c == '$':
		high, low := p.next()-'A', p.next()-'A'
		if high > 15 || low > 15 {
			p.fail("no such byte")
		}
		return high<<4 | low
	case isDigit(c):
		return ",/\\:. \n\t'-"[c-'0']
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z':
		return c | 0x80
	}
	p.fail("no such byte")
	return 0
}

// literalText writes a string that has size bytes, of which data is the start.
func literalText(data []byte, size uint64, wide bool) string {
	width, open, cut := 2, `L"`, size > 64
	if !wide {
		width, cut = literalWidth(data, size), size > uint64(len(data))
		open = map[int]string{1: `"`, 2: `u"`, 4: `U"`}[width]
	}
	var b strings.Builder
	b.WriteString(open)
	n := len(data) / width
	for i := range n {
		// A string that is whole ends with a zero, which is not written.
		last := i == n-1
		if wide {
			last = uint64(i+1)*2 == size
		}
		if !last || cut {
			writeChar(&b, character(data[i*width:(i+1)*width], wide))
		}
	}
	b.WriteByte('"')
	if cut {
		b.WriteString("...")
	}
	return b.String()
}

// character is one of a wide string, whose high byte comes first, or of
// another, whose low byte does.
func character(b []byte, wide bool) uint32 {
	if wide {
		return uint32(b[0])<<8 | uint32(b[1])
	}
	var c uint32
	for i, v := range b {
		c |= uint32(v) << (8 * i)
	}
	return c
}

// literalWidth guesses the width of the characters of a string, bytes: the
// decorated name does not say whether it is one of char16_t or char32_t.
func literalWidth(data []byte, size uint64) int {
	if size%2 != 0 || len(data) == 0 {
		return 1
	}
	if size < 32 {
		switch zeros := len(data) - len(bytes.TrimRight(data, "\x00")); {
		case zeros >= 4 && size%4 == 0:
			return 4
		case zeros >= 2:
			return 2
		}
		return 1
	}
	switch zeros := bytes.Count(data, []byte{0}); {
	case zeros >= 2*len(data)/3 && size%4 == 0:
		return 4
	case zeros >= len(data)/3:
		return 2
	}
	return 1
}

func writeChar(b *strings.Builder, c uint32) {
	const from, to = "\x00'\"\\\a\b\f\n\r\t\v", `0'"\abfnrtv`
	if i := strings.IndexByte(from, byte(c)); i >= 0 && c < 0x80 {
		b.WriteByte('\\')
		b.WriteByte(to[i])
		return
	}
	if c > 0x1f && c < 0x7f {
		b.WriteByte(byte(c))
		return
	}
	digits := fmt.Sprintf("%X", c)
	if len(digits)%2 != 0 {
		digits = "0" + digits
	}
	b.WriteString(`\x` + digits)
}
