package symbols

import (
	"encoding/json"
	"fmt"
)

// jsonScanner walks JSON in memory and calls back, so that megabytes of it cost
// no map and no interface value. After the first error nothing is read.
type jsonScanner struct {
	b     []byte
	pos   int
	depth int
	err   error
}

// maxJSONDepth is far above the depth of any symbol file; an array type nests
// once a dimension.
const maxJSONDepth = 64

func (s *jsonScanner) fail(what string) {
	if s.err == nil {
		s.err = fmt.Errorf("%w: %s at byte %d", ErrISF, what, s.pos)
		s.pos = len(s.b)
	}
}

// peek returns the next byte that is no white space; 0 at the end.
func (s *jsonScanner) peek() byte {
	for s.pos < len(s.b) {
		switch c := s.b[s.pos]; c {
		case ' ', '\n', '\r', '\t':
			s.pos++
		default:
			return c
		}
	}
	return 0
}

func (s *jsonScanner) take(c byte) bool {
	if s.peek() != c {
		return false
	}
	s.pos++
	return true
}

// object calls member for every key; member reads the value. A value of another
// kind is passed over.
func (s *jsonScanner) object(member func(key []byte)) {
	if s.peek() != '{' {
		s.skip()
		return
	}
	s.list('}', func() {
		key := s.text()
		if !s.take(':') {
			s.fail("a key without a value")
			return
		}
		member(key)
	})
}

// list walks what stands between the bracket at pos and end.
func (s *jsonScanner) list(end byte, item func()) {
	s.pos++
	if s.depth++; s.depth > maxJSONDepth {
		s.fail("nested too deeply")
	}
	defer func() { s.depth-- }()
	if s.take(end) {
		return
	}
	for s.err == nil {
		item()
		if s.take(end) {
			return
		}
		if !s.take(',') {
			s.fail("no comma or end of a list")
		}
	}
}

// skip passes over a value.
func (s *jsonScanner) skip() {
	switch s.peek() {
	case '{':
		s.object(func([]byte) { s.skip() })
	case '[':
		s.list(']', s.skip)
	case '"':
		s.text()
	case 0:
		s.fail("the file ends too early")
	default:
		s.word()
	}
}

// word reads a number or a literal.
func (s *jsonScanner) word() []byte {
	start := s.pos
	for s.pos < len(s.b) {
		switch s.b[s.pos] {
		case ',', '}', ']', ' ', '\n', '\r', '\t', ':', '"', '{', '[':
			if s.pos == start {
				s.fail("no value")
			}
			return s.b[start:s.pos]
		}
		s.pos++
	}
	return s.b[start:]
}

// text reads a string; not copied where it has no escapes. Nil for other values.
func (s *jsonScanner) text() []byte {
	if s.peek() != '"' {
		s.skip()
		return nil
	}
	start := s.pos + 1
	for i := start; i < len(s.b); i++ {
		switch s.b[i] {
		case '"':
			s.pos = i + 1
			return s.b[start:i]
		case '\\':
			return s.escaped()
		}
	}
	s.fail("a string does not end")
	return nil
}

// escaped reads a string with escapes.
func (s *jsonScanner) escaped() []byte {
	for i := s.pos + 1; i < len(s.b); i++ {
		switch s.b[i] {
		case '\\':
			i++
		case '"':
			var v string
			if json.Unmarshal(s.b[s.pos:i+1], &v) != nil {
				s.fail("a damaged string")
				return nil
			}
			s.pos = i + 1
			return []byte(v)
		}
	}
	s.fail("a string does not end")
	return nil
}

// whole reads a whole number that is not negative; any other value is passed
// over.
func (s *jsonScanner) whole() (v uint64, ok bool) {
	if c := s.peek(); c < '0' || c > '9' {
		s.skip()
		return 0, false
	}
	for _, c := range s.word() {
		if c < '0' || c > '9' || v > (1<<64-10)/10 {
			return 0, false
		}
		v = v*10 + uint64(c-'0')
	}
	return v, true
}

// number is whole; 0 for other values.
func (s *jsonScanner) number() uint64 {
	v, _ := s.whole()
	return v
}
