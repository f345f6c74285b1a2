package undname

import (
	"math"
	"strconv"
	"strings"
)

// kind says what the last part of a name is.
type kind uint8

const (
	plain kind = iota
	constructor
	destructor
	conversion // operator and a type, which comes later
)

// part is one part of a qualified name.
type part struct {
	text string
	key  string // as decorated
	kind kind
	args string // of a template whose name is not known yet: "<int>"
}

// fragment reads a name up to @.
func (p *parser) fragment() string {
	i := strings.IndexByte(p.rest(), '@')
	if i <= 0 {
		p.fail("no name")
		return ""
	}
	s := p.in[p.pos : p.pos+i]
	p.pos += i + 1
	return s
}

// source reads a name and remembers it.
func (p *parser) source() part {
	s := p.fragment()
	p.remember(s, s)
	return part{text: s, key: s}
}

// leaf reads the last part of the name of a symbol, which comes first.
func (p *parser) leaf() part {
	switch c := p.peek(); {
	case isDigit(c):
		r := p.recall()
		return part{text: r.text, key: r.key}
	case c != '?':
		return p.source()
	case p.take("?$"):
		return p.template(p.pos - 2)
	}
	return p.special()
}

// special reads the code of an operator or of a function that the compiler made.
func (p *parser) special() part {
	start := p.pos
	p.need("?")
	table := &specialNames
	switch {
	case p.take("__K"):
		return part{text: `operator ""` + p.fragment(), key: p.in[start:p.pos]}
	case p.take("__"):
		table = &specialNames2
	case p.take("_"):
		table = &specialNames1
	}
	i := strings.IndexByte(codes, p.next())
	if p.err != nil || i < 0 || table[i] == "" {
		p.fail("no such special name")
		return part{}
	}
	text := table[i]
	if !p.brief && text[0] == '`' {
		text = abbreviated(text)
	}
	result := part{text: text, key: p.in[start:p.pos]}
	if table == &specialNames {
		switch i {
		case 0:
			result.kind = constructor
		case 1:
			result.kind = destructor
		case 11:
			result.kind = conversion
		}
	}
	return result
}

// template reads the name of a template and its arguments; start is where ?$
// stands.
func (p *parser) template(start int) part {
	outer := p.refs
	p.refs = references{}
	var name part
	if strings.HasPrefix(p.rest(), "?$") {
		p.fail("a template of a template")
	} else {
		name = p.leaf()
	}
	args := p.arguments()
	p.refs = outer
	if p.err != nil {
		return part{}
	}
	if name.kind == plain {
		name.text += args
		p.spend(len(name.text))
	} else {
		name.args = args
	}
	name.key = p.in[start:p.pos]
	return name
}

// scoped reads one of the names that enclose a name.
func (p *parser) scoped() string {
	c := p.peek()
	switch {
	case isDigit(c):
		return p.recall().text
	case c != '?':
		return p.source().text
	case p.take("?$"):
		return p.classTemplate().text
	case strings.HasPrefix(p.rest(), "?A"):
		// The key of an anonymous namespace tells it from those of other files.
		start := p.pos
		p.pos += 2
		i := strings.IndexByte(p.rest(), '@')
		if i < 0 {
			p.fail("no name")
			return ""
		}
		p.pos += i + 1
		p.remember("`anonymous namespace'", p.in[start:p.pos])
		return "`anonymous namespace'"
	case p.isLocal():
		return p.local()
	}
	return p.source().text
}

// classTemplate reads a template that is a type or encloses a name.
func (p *parser) classTemplate() part {
	t := p.template(p.pos - 2)
	if t.kind != plain {
		p.fail("a special name as a type")
	}
	p.remember(t.text, t.key)
	return t
}

// isLocal reports whether a function's block comes next: ? number ?.
func (p *parser) isLocal() bool {
	s := p.rest()[1:]
	i := strings.IndexByte(s, '?')
	switch {
	case i == 1:
		return s[0] == '@' || isDigit(s[0])
	case i < 2 || s[i-1] != '@' || s[0] == 'A':
		return false
	}
	for _, c := range []byte(s[:i-1]) {
		if c < 'A' || c > 'P' {
			return false
		}
	}
	return true
}

// local reads a block of a function, which is a whole symbol.
func (p *parser) local() string {
	p.need("?")
	n := p.unsigned()
	p.need("?")
	if !p.enter() {
		return ""
	}
	defer p.leave()
	var text string
	if p.peek() == '?' {
		s := p.symbol()
		text = p.nested(&s)
	} else {
		// A name of C, which the @ behind all the names ends.
		i := max(strings.IndexByte(p.rest(), '@'), 0)
		text = p.in[p.pos : p.pos+i]
		p.pos += i
	}
	text = "`" + text + "'::`" + n + "'"
	p.spend(len(text))
	return text
}

// nested is a symbol inside of a name.
func (p *parser) nested(s *symbol) string {
	if p.brief {
		return p.name(s)
	}
	return p.declaration(s)
}

// enclosed reads the names that enclose leaf, up to @, and returns them from
// the outside to the inside, with :: behind each, and the innermost.
func (p *parser) enclosed() (scope, inner string) {
	var room [8]string
	parts := room[:0]
	n := 0
	for !p.take("@") {
		s := p.scoped()
		if p.err != nil {
			return "", ""
		}
		parts = append(parts, s)
		n += len(s) + 2
		if n > maxResult {
			p.fail("too long when written out")
			return "", ""
		}
	}
	if len(parts) == 0 {
		return "", ""
	}
	p.spend(n)
	b := make([]byte, 0, n)
	for i := len(parts) - 1; i >= 0; i-- {
		b = append(append(b, parts[i]...), "::"...)
	}
	return string(b), parts[0]
}

// typeName reads the qualified name of a type.
func (p *parser) typeName() string {
	name := p.typePart()
	scope, _ := p.enclosed()
	if scope == "" {
		return name
	}
	p.spend(len(scope) + len(name))
	return scope + name
}

// typePart reads the last part of the name of a type, which comes first.
func (p *parser) typePart() string {
	switch {
	case isDigit(p.peek()):
		return p.recall().text
	case p.take("?$"):
		return p.classTemplate().text
	}
	return p.source().text
}

// arguments reads the arguments of a template, up to @.
func (p *parser) arguments() string {
	b := make([]byte, 1, 64)
	b[0] = '<'
	for p.err == nil && !p.take("@") {
		if p.take("$S") || p.take("$$V") || p.take("$$$V") || p.take("$$Z") {
			continue // a pack that is empty, or ends
		}
		if len(b) > 1 {
			b = append(b, p.comma()...)
		}
		b = p.argument(b)
		if len(b) > maxResult {
			p.fail("too long when written out")
		}
	}
	if p.brief && b[len(b)-1] == '>' {
		b = append(b, ' ')
	}
	b = append(b, '>')
	p.spend(len(b))
	return string(b)
}

// argument reads one argument of a template and writes it to b.
func (p *parser) argument(b []byte) []byte {
	deduced := p.take("$M")
	if deduced {
		p.typ(0) // of an auto parameter: it is not written
	}
	switch {
	case p.take("$$Y"):
		return append(b, p.typeName()...)
	case p.take("$$B"):
		return p.writeType(b, p.typ(0))
	case p.take("$$C"):
		return p.writeType(b, p.typ(p.qualifiers()))
	case strings.HasPrefix(p.rest(), "$$") || p.peek() != '$' && !deduced:
		return p.writeType(b, p.typ(0))
	}
	p.take("$")
	return p.value(b)
}

// value reads a value: of an argument of a template, or of a part of one that
// is an object.
func (p *parser) value(b []byte) []byte {
	switch p.next() {
	case '0':
		return append(b, p.signed()...)
	case '1':
		return p.pointerValue(b, 0)
	case 'H':
		return p.pointerValue(b, 1)
	case 'I':
		return p.pointerValue(b, 2)
	case 'J':
		return p.pointerValue(b, 3)
	case 'A':
		bits, _ := p.number()
		return strconv.AppendFloat(b, float64(math.Float32frombits(uint32(bits))), 'g', -1, 32)
	case 'B':
		bits, _ := p.number()
		return strconv.AppendFloat(b, math.Float64frombits(bits), 'g', -1, 64)
	case 'E':
		if p.peek() != '?' {
			p.fail("no symbol")
			return b
		}
		s := p.inner()
		return append(b, p.nested(&s)...)
	case 'F':
		return p.numbers(b, '{', 2)
	case 'G':
		return p.numbers(b, '{', 3)
	case '2':
		return p.object(b)
	}
	p.fail("no such template argument")
	return b
}

// object reads an object: its type, then type and value of each of its parts,
// up to @.
func (p *parser) object(b []byte) []byte {
	b = append(p.writeType(b, p.typ(0)), '{')
	if !p.enter() {
		return b
	}
	for i := 0; p.err == nil && !p.take("@"); i++ {
		if i > 0 {
			b = append(b, p.comma()...)
		}
		p.typ(0)
		b = p.value(b)
	}
	p.leave()
	return append(b, '}')
}

// inner reads a symbol inside of another.
func (p *parser) inner() symbol {
	if !p.enter() {
		return symbol{}
	}
	s := p.symbol()
	p.leave()
	return s
}

// pointerValue reads a pointer to a symbol, or one to a member, whose
// class's inheritance asks for some offsets as well.
func (p *parser) pointerValue(b []byte, offsets int) []byte {
	open := byte('{')
	if offsets == 0 {
		b = append(b, '&')
	}
	if p.peek() == '?' {
		s := p.inner()
		text := p.nested(&s)
		if p.err != nil {
			return b
		}
		p.remember(s.leaf.text, s.leaf.key)
		if offsets > 0 {
			b = append(b, '{')
			open = ','
		}
		b = append(b, text...)
	}
	if offsets == 0 {
		return b
	}
	return p.numbers(b, open, offsets)
}

// numbers writes n offsets: {1, 2}; open is a comma where some text is before.
func (p *parser) numbers(b []byte, open byte, n int) []byte {
	for i := range n {
		if i > 0 || open == ',' {
			b = append(b, p.comma()...)
		} else {
			b = append(b, open)
		}
		b = append(b, p.signed()...)
	}
	return append(b, '}')
}
