package undname

import (
	"strconv"
	"strings"
)

// parser reads one decorated name from left to right. After the first error
// nothing more is read.
type parser struct {
	in    string
	pos   int
	err   error
	brief bool // names as a debugger shows them
	depth int
	work  int // bytes written so far
	refs  references
}

// references are what digits in a decorated name stand for. Each argument list
// of a template starts with none.
type references struct {
	names  [10]reference
	named  int
	params [10]*node
	types  int
}

type reference struct {
	text string
	key  string // as decorated: two templates may read the same
}

func (p *parser) fail(what string) {
	if p.err == nil {
		p.err = &FormatError{At: p.pos, What: what}
		p.in = p.in[:p.pos]
	}
}

// rest is what is not read yet.
func (p *parser) rest() string { return p.in[p.pos:] }

// peek is the next byte; 0 at the end.
func (p *parser) peek() byte {
	if p.pos < len(p.in) {
		return p.in[p.pos]
	}
	return 0
}

// next takes one byte; at the end it fails.
func (p *parser) next() byte {
	if p.pos == len(p.in) {
		p.fail("the name ends too early")
		return 0
	}
	p.pos++
	return p.in[p.pos-1]
}

// take takes s if it comes next.
func (p *parser) take(s string) bool {
	if !strings.HasPrefix(p.in[p.pos:], s) {
		return false
	}
	p.pos += len(s)
	return true
}

// need takes s or fails.
func (p *parser) need(s string) {
	if !p.take(s) {
		p.fail("no " + s)
	}
}

// enter counts a level of recursion; false is one too many.
func (p *parser) enter() bool {
	p.depth++
	if p.depth > maxDepth {
		p.fail("too deep")
	}
	return p.err == nil
}

func (p *parser) leave() { p.depth-- }

// spend accounts for n bytes written.
func (p *parser) spend(n int) {
	p.work += n
	if n > maxResult || p.work > maxWork {
		p.fail("too long when written out")
	}
}

// number reads a number: a digit is 1 to 10, else A to P are the digits 0 to
// 15 and @ ends it; ? before it is the sign.
func (p *parser) number() (value uint64, negative bool) {
	negative = p.take("?")
	if isDigit(p.peek()) {
		return uint64(p.next()-'0') + 1, negative
	}
	for p.err == nil {
		switch c := p.next(); {
		case c >= 'A' && c <= 'P':
			value = value<<4 | uint64(c-'A')
		case c == '@':
			return value, negative
		default:
			p.fail("no number")
		}
	}
	return 0, false
}

func (p *parser) unsigned() string {
	v, negative := p.number()
	if negative {
		p.fail("a negative number")
	}
	return strconv.FormatUint(v, 10)
}

func (p *parser) signed() string {
	v, negative := p.number()
	if negative && v != 0 {
		return "-" + strconv.FormatUint(v, 10)
	}
	return strconv.FormatUint(v, 10)
}

func isDigit(c byte) bool { return c >= '0' && c <= '9' }

// remember makes a name one that a digit can stand for.
func (p *parser) remember(text, key string) {
	r := &p.refs
	for _, known := range r.names[:r.named] {
		if known.key == key {
			return
		}
	}
	if r.named < len(r.names) {
		r.names[r.named] = reference{text, key}
		r.named++
	}
}

// recall reads a digit that stands for a name.
func (p *parser) recall() reference {
	i := int(p.next() - '0')
	if i >= p.refs.named {
		p.fail("a reference to no name")
		return reference{}
	}
	return p.refs.names[i]
}

// list separates arguments.
func (p *parser) comma() string {
	if p.brief {
		return ","
	}
	return ", "
}
