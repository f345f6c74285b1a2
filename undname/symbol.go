package undname

import (
	"math"
	"strconv"
	"strings"
)

// what says what a symbol is.
type what uint8

const (
	bare     what = iota // only a name
	variable             // a type and a name
	code                 // a function
	table                // a name and the classes for which it is
	hashed               // a name that is too long, of which a hash is left
	literal              // the text of a string
	typeInfo             // a type, and what it is there for
)

// symbol is what a decorated name says, its names written out, its types not.
type symbol struct {
	form   what
	scope  string // "A::B::"
	leaf   part
	extra  string // behind the name: "`adjustor{8}'", "{for `Base'}"
	prefix string // "public: static "
	thunk  bool
	quals  quals
	typ    *node // nil: a function without parameters
}

// symbol reads a whole decorated name.
func (p *parser) symbol() symbol {
	switch {
	case p.take("."):
		t := p.result()
		return symbol{form: typeInfo, typ: t, extra: "`RTTI Type Descriptor Name'"}
	case strings.HasPrefix(p.rest(), "??@"):
		return p.hash()
	}
	p.need("?")
	if p.peek() == '?' {
		if s, ok := p.specialSymbol(); ok {
			return s
		}
	}
	return p.declarator(p.brief && p.depth == 0)
}

// hash reads the MD5 of a name, ??@ and 32 digits and @; a complete object
// locator's has the code for that behind it.
func (p *parser) hash() symbol {
	start := p.pos
	i := strings.IndexByte(p.rest()[3:], '@')
	if i < 0 {
		p.fail("a hash without an end")
		return symbol{}
	}
	p.pos += 3 + i + 1
	p.take("??_R4@")
	return symbol{form: hashed, leaf: part{text: p.in[start:p.pos]}}
}

// declarator reads a qualified name and the type behind it. With nameOnly it
// stops where no more adds to the name.
func (p *parser) declarator(nameOnly bool) symbol {
	s := symbol{leaf: p.leaf()}
	var inner string
	s.scope, inner = p.enclosed()
	switch s.leaf.kind {
	case constructor:
		s.leaf.text = inner + s.leaf.args
	case destructor:
		s.leaf.text = "~" + inner + s.leaf.args
	}
	if (s.leaf.kind == constructor || s.leaf.kind == destructor) && inner == "" {
		p.fail("a constructor of no class")
	}
	if p.err != nil {
		return s
	}
	nameOnly = nameOnly && s.leaf.kind != conversion
	if c := p.peek(); c >= '0' && c <= '4' {
		s.form = variable
		if !nameOnly {
			p.variable(&s)
		}
	} else if !nameOnly || p.peek() != 0 {
		p.function(&s, nameOnly)
	}
	if s.leaf.kind == conversion {
		p.conversion(&s)
	}
	return s
}

// conversion gives operator its type.
func (p *parser) conversion(s *symbol) {
	if p.err == nil && (s.typ == nil || s.typ.form != function || s.typ.inner == nil) {
		p.fail("a conversion to no type")
	}
	if p.err == nil {
		b := p.writeType(append([]byte("operator"+s.leaf.args), ' '), s.typ.inner)
		s.leaf.text = string(b)
	}
}

// variable reads where a variable is, its type, and the qualifiers: those of a
// pointer are of what it points to.
func (p *parser) variable(s *symbol) {
	s.prefix = [...]string{"private: static ", "protected: static ", "public: static ", "", ""}[p.next()-'0']
	t := p.typ(0)
	s.typ = t
	if p.err != nil {
		return
	}
	if t.form != pointer {
		t.quals = p.qualifiers()
		return
	}
	t.quals |= p.extended()
	q := p.qualifiers()
	if t.class != "" {
		p.typeName()
	}
	if p.err == nil {
		t.inner.quals |= q
	}
}

// function reads the access and kind of a function, what a thunk adds, and its
// type. With nameOnly it leaves out the type.
func (p *parser) function(s *symbol, nameOnly bool) {
	s.form = code
	var externC bool
	switch {
	case p.take("$$J0"):
		externC = true
	case p.take("$$h"), p.take("$$F"), p.take("$$H"): // ARM64EC, C++/CLI
	}
	this := true
	switch c := p.next(); {
	case c >= 'A' && c <= 'X':
		s.prefix = access[(c-'A')/8]
		switch (c - 'A') % 8 / 2 {
		case 1:
			s.prefix += "static "
			this = false
		case 2:
			s.prefix += "virtual "
		case 3:
			s.prefix += "virtual "
			s.thunk = true
			s.extra = "`adjustor{" + p.offset32(false) + "}'"
		}
	case c == 'Y' || c == 'Z':
		this = false
	case c == '$':
		p.virtualThunk(s)
	case c == '9':
		s.prefix = `extern "C" `
		return
	default:
		p.fail("no such kind of function")
	}
	if externC {
		s.prefix += `extern "C" `
	}
	if !nameOnly {
		s.typ = p.signature(this)
	}
}

var access = [...]string{"private: ", "protected: ", "public: "}

// virtualThunk reads how a thunk of a class with virtual bases finds this.
func (p *parser) virtualThunk(s *symbol) {
	s.thunk = true
	extended := p.take("R")
	c := p.next()
	if c < '0' || c > '5' {
		p.fail("no such kind of function")
		return
	}
	s.prefix = access[(c-'0')/2] + "virtual "
	s.extra = "`vtordisp{"
	if extended {
		s.extra = "`vtordispex{" + p.offset32(true) + p.comma() + p.offset32(true) + p.comma()
	}
	s.extra += p.offset32(true) + p.comma()
	s.extra += p.offset32(false) + "}'"
}

// offset32 reads a number of 32 bits.
func (p *parser) offset32(signed bool) string {
	v, negative := p.number()
	if negative {
		v = -v
	} else if v > math.MaxUint32 {
		p.fail("an offset of more than 32 bits")
	}
	if signed {
		return strconv.FormatInt(int64(int32(v)), 10)
	}
	return strconv.FormatUint(uint64(uint32(v)), 10)
}

// name is the qualified name of a symbol.
func (p *parser) name(s *symbol) string {
	switch s.form {
	case typeInfo:
		b := p.writeType(nil, s.typ)
		return string(append(append(b, ' '), s.extra...))
	case literal:
		if p.brief {
			return "`string'"
		}
		return s.extra
	}
	if s.scope == "" && s.extra == "" {
		return s.leaf.text
	}
	text := s.scope + s.leaf.text + s.extra
	p.spend(len(text))
	return text
}

// declaration is a symbol with all its types.
func (p *parser) declaration(s *symbol) string {
	if p.err != nil {
		return ""
	}
	b := make([]byte, 0, 128)
	switch s.form {
	default:
		return p.name(s)
	case table:
		b = qualify(b, s.quals, false)
		if len(b) > 0 {
			b = append(b, ' ')
		}
		b = append(b, p.name(s)...)
	case variable:
		b = space(p.before(append(b, s.prefix...), s.typ))
		b = p.after(append(b, p.name(s)...), s.typ)
	case code:
		b = p.functionDeclaration(b, s)
	}
	p.spend(len(b))
	return string(b)
}

func (p *parser) functionDeclaration(b []byte, s *symbol) []byte {
	if s.thunk {
		b = append(b, "[thunk]: "...)
	}
	b = append(b, s.prefix...)
	t := s.typ
	if t == nil {
		return append(space(b), p.name(s)...)
	}
	b = space(append(space(p.beforeResult(b, t)), t.text...))
	return p.after(append(b, p.name(s)...), t)
}
