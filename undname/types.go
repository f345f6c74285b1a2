package undname

// quals are the qualifiers of a type.
type quals uint8

const (
	isConst quals = 1 << iota
	isVolatile
	isRestrict
	isUnaligned
)

// form is how a type is written.
type form uint8

const (
	simple   form = iota // text
	tagged               // text, and sign before it: "class "
	custom               // text, never with qualifiers
	pointer              // to inner
	array                // of inner; text is [2][3]
	function             // that returns inner
)

// node is a type. A type that is remembered is shared, so it changes only
// while the variable is read whose own it is.
type node struct {
	form       form
	quals      quals
	text       string // its name; the calling convention of a function
	sign       string // *, & or && of a pointer; of a function & or &&; "class "
	class      string // of which a pointer points to a member
	inner      *node  // nil: a function without a result, as a constructor
	params     []*node
	variadic   bool
	isNoexcept bool
}

// qualifiers reads the qualifiers of what is pointed to; Q to T say the same
// of a member.
func (p *parser) qualifiers() quals {
	switch p.next() {
	case 'A', 'Q':
		return 0
	case 'B', 'R':
		return isConst
	case 'C', 'S':
		return isVolatile
	case 'D', 'T':
		return isConst | isVolatile
	}
	p.fail("no qualifiers")
	return 0
}

// extended reads the qualifiers of a pointer itself, or of this.
func (p *parser) extended() quals {
	var q quals
	p.take("E") // a pointer of 64 bits
	if p.take("I") {
		q |= isRestrict
	}
	if p.take("F") {
		q |= isUnaligned
	}
	return q
}

// nothing stands for a type that could not be read.
var nothing = &node{}

// typ reads a type and adds q to its qualifiers.
func (p *parser) typ(q quals) *node {
	defer p.leave()
	if !p.enter() {
		return nothing
	}
	t := p.readType()
	if p.err != nil {
		return nothing
	}
	t.quals |= q
	return t
}

// result reads a type with its qualifiers before it, if it has any.
func (p *parser) result() *node {
	if p.take("?") {
		return p.typ(p.qualifiers())
	}
	return p.typ(0)
}

func (p *parser) readType() *node {
	switch c := p.next(); c {
	case 'T':
		return &node{form: tagged, sign: "union ", text: p.typeName()}
	case 'U':
		return &node{form: tagged, sign: "struct ", text: p.typeName()}
	case 'V':
		return &node{form: tagged, sign: "class ", text: p.typeName()}
	case 'W':
		if c := p.next(); c < '0' || c > '7' {
			p.fail("no such kind of enum")
		}
		return &node{form: tagged, sign: "enum ", text: p.typeName()}
	case 'A':
		return p.pointer("&", 0)
	case 'B':
		return p.pointer("&", isVolatile)
	case 'P':
		return p.pointer("*", 0)
	case 'Q':
		return p.pointer("*", isConst)
	case 'R':
		return p.pointer("*", isVolatile)
	case 'S':
		return p.pointer("*", isConst|isVolatile)
	case 'Y':
		return p.array()
	case '?':
		t := &node{form: custom, text: p.typePart()}
		p.need("@")
		return t
	case '_':
		return p.primitive(primitives1[:], p.next())
	case '$':
		return p.dollarType()
	default:
		return p.primitive(primitives[:], c)
	}
}

// dollarType reads a type that starts with $.
func (p *parser) dollarType() *node {
	switch {
	case p.take("$Q"):
		return p.pointer("&&", 0)
	case p.take("$R"):
		return p.pointer("&&", isVolatile)
	case p.take("$T"):
		return &node{text: "std::nullptr_t"}
	case p.take("$A8@@"):
		return p.signature(true)
	case p.take("$A6"):
		return p.signature(false)
	}
	p.fail("no such type")
	return nothing
}

func (p *parser) primitive(table []string, c byte) *node {
	if int(c) >= len(table) || table[c] == "" {
		p.fail("no such type")
		return nothing
	}
	return &node{text: table[c]}
}

// pointer reads what follows the letter of a pointer or reference.
func (p *parser) pointer(sign string, q quals) *node {
	t := &node{form: pointer, sign: sign}
	if p.take("6") {
		t.quals, t.inner = q, p.signature(false)
		return t
	}
	if p.take("$A") { // of C++/CLI
		t.sign = map[string]string{"*": "^", "&": "%"}[sign]
	}
	t.quals = q | p.extended()
	member := sign == "*" && p.peek() >= 'Q' && p.peek() <= 'T'
	switch {
	case sign == "*" && p.take("8"):
		t.class = p.typeName()
		t.inner = p.signature(true)
	case member:
		q := p.qualifiers()
		t.class = p.typeName()
		t.inner = p.typ(q)
	default:
		t.inner = p.typ(p.qualifiers())
	}
	return t
}

const maxDimensions = 256 // of an array; each takes a byte of the name or more

// array reads the number of dimensions, each of them, and the type.
func (p *parser) array() *node {
	t := &node{form: array}
	rank, negative := p.number()
	if negative || rank == 0 || rank > maxDimensions {
		p.fail("no such number of dimensions")
		return nothing
	}
	for range rank {
		n := p.unsigned()
		if n == "0" {
			n = ""
		}
		t.text += "[" + n + "]"
		if p.err != nil {
			return nothing
		}
	}
	if p.take("$$C") {
		t.quals = p.qualifiers()
	}
	t.inner = p.typ(0)
	return t
}

// signature reads the type of a function: with what qualifies this, if it has
// one, the calling convention, the result, the parameters and noexcept.
func (p *parser) signature(this bool) *node {
	t := &node{form: function}
	if this {
		t.quals = p.extended()
		switch {
		case p.take("G"):
			t.sign = "&"
		case p.take("H"):
			t.sign = "&&"
		}
		t.quals |= p.qualifiers()
	}
	t.text = p.convention()
	if !p.take("@") {
		t.inner = p.result()
	}
	p.parameters(t)
	if t.isNoexcept = p.take("_E"); !t.isNoexcept {
		p.need("Z")
	}
	return t
}

func (p *parser) convention() string {
	c := p.next()
	if int(c) >= len(conventions) || conventions[c] == "" {
		p.fail("no such calling convention")
		return ""
	}
	return conventions[c]
}

// parameters reads the types of the parameters of t: X for none, else up to
// @, or up to Z, which is "...".
func (p *parser) parameters(t *node) {
	if p.take("X") {
		return
	}
	for p.err == nil {
		switch c := p.peek(); {
		case c == '@':
			p.pos++
			return
		case c == 'Z':
			p.pos++
			t.variadic = true
			return
		case isDigit(c):
			t.params = append(t.params, p.recallType())
		default:
			start := p.pos
			param := p.typ(0)
			t.params = append(t.params, param)
			r := &p.refs
			if p.pos-start > 1 && r.types < len(r.params) {
				r.params[r.types] = param
				r.types++
			}
		}
	}
}

// recallType reads a digit that stands for the type of a parameter.
func (p *parser) recallType() *node {
	i := int(p.next() - '0')
	if i >= p.refs.types {
		p.fail("a reference to no type")
		return nothing
	}
	return p.refs.params[i]
}
