package evtx

import (
	"errors"
	"fmt"

	"bugcheck/internal/le"
)

// Limits on what one record may ask for. A chunk's 64 KiB can describe a tree of any
// size, since templates may hold templates and a value may stand in many places.
const (
	maxDepth = 32      // elements and templates within each other
	maxNodes = 1 << 16 // looked at, a record
	maxText  = 1 << 20 // bytes of text, a record
)

var (
	errDeep = errors.New("elements nest too deeply")
	errBig  = errors.New("the record describes more than a record can hold")
)

// chunk is 64 KiB of a log. Names and templates are written once in it, and named by
// their offset from then on.
type chunk struct {
	b         []byte
	templates map[uint32][]node
}

// node is a piece of binary XML: an element, text, the place of a value, or another
// template with its values.
type node struct {
	kind  int
	name  string // element
	text  string
	index int // of the value
	attrs []attribute
	nodes []node // of an element, or of a template
	args  []arg  // of a template
}

// The kinds of nodes.
const (
	isElement = iota
	isText
	isValue
	isTemplate
)

type attribute struct {
	name  string
	value []node
}

// arg is a value that a template is filled with.
type arg struct {
	kind uint8 // BinXml value type; the high bit marks an array
	at   int   // in the chunk
	b    []byte
}

// Tokens, without the flag that more follows ([MS-EVEN6] §2.2.12).
const (
	tokenEnd           = 0x00
	tokenElement       = 0x01
	tokenCloseStart    = 0x02
	tokenCloseEmpty    = 0x03
	tokenCloseElement  = 0x04
	tokenText          = 0x05
	tokenAttribute     = 0x06
	tokenCDATA         = 0x07
	tokenCharacter     = 0x08
	tokenEntity        = 0x09
	tokenPITarget      = 0x0a
	tokenPIData        = 0x0b
	tokenTemplate      = 0x0c
	tokenValue         = 0x0d
	tokenOptionalValue = 0x0e
	tokenFragment      = 0x0f

	tokenMore = 0x40
)

// parser reads binary XML from a place in a chunk.
type parser struct {
	c     *chunk
	pos   int
	end   int
	depth int
	nodes *int // how many more may be made
	err   error
}

// bytes are the next n; after an error, or past the end, nil.
func (p *parser) bytes(n int) []byte {
	if p.err == nil && (n < 0 || n > p.end-p.pos) {
		p.err = &le.ShortError{Offset: p.pos, Want: n, Have: p.end}
	}
	if p.err != nil {
		return nil
	}
	b := p.c.b[p.pos : p.pos+n]
	p.pos += n
	return b
}

func (p *parser) u8() uint8 {
	if b := p.bytes(1); b != nil {
		return b[0]
	}
	return 0
}

func (p *parser) u16() uint16 {
	if b := p.bytes(2); b != nil {
		return le.U16(b, 0)
	}
	return 0
}

func (p *parser) u32() uint32 {
	if b := p.bytes(4); b != nil {
		return le.U32(b, 0)
	}
	return 0
}

// counted is a string behind its length in characters.
func (p *parser) counted() string { return text(p.bytes(2 * int(p.u16()))) }

// name reads a name: by its offset in the chunk, and where that is here, the name
// itself: the next of a hash chain, a hash, the count, the characters, a zero.
func (p *parser) name() string {
	at := p.u32()
	if int64(at) == int64(p.pos) {
		return p.nameHere()
	}
	q := parser{c: p.c, pos: int(at), end: len(p.c.b), err: p.err}
	s := q.nameHere()
	p.err = q.err
	return s
}

func (p *parser) nameHere() string {
	p.bytes(6)
	s := p.counted()
	p.bytes(2)
	return s
}

// down enters a level; the caller leaves it with p.depth--.
func (p *parser) down() bool {
	if p.depth++; p.depth > maxDepth && p.err == nil {
		p.err = errDeep
	}
	return p.err == nil
}

// add appends a node, as far as the limit allows.
func (p *parser) add(list []node, n node) []node {
	if *p.nodes--; *p.nodes < 0 && p.err == nil {
		p.err = errBig
	}
	return append(list, n)
}

// content reads nodes up to the end of what they lie in, whose token it takes.
func (p *parser) content() (list []node) {
	for p.err == nil && p.pos < p.end {
		switch token := p.u8(); token &^ tokenMore {
		case tokenEnd, tokenCloseElement:
			return list
		case tokenFragment:
			p.bytes(3)
		case tokenElement:
			list = p.add(list, p.element(token&tokenMore != 0))
		case tokenTemplate:
			list = p.add(list, p.template())
		default:
			list = p.add(list, p.piece(token&^tokenMore))
		}
	}
	return list
}

// piece reads a part of an element's or an attribute's value.
func (p *parser) piece(token uint8) node {
	switch token {
	case tokenText:
		p.bytes(1) // always a string
		return node{kind: isText, text: p.counted()}
	case tokenCDATA:
		return node{kind: isText, text: p.counted()}
	case tokenValue, tokenOptionalValue:
		index := p.u16()
		p.bytes(1) // the type, which stands with the value again
		return node{kind: isValue, index: int(index)}
	case tokenCharacter:
		return node{kind: isText, text: text(p.bytes(2))}
	case tokenEntity:
		return node{kind: isText, text: entities[p.name()]}
	case tokenPITarget:
		p.name()
	case tokenPIData:
		p.counted()
	default:
		if p.err == nil {
			p.err = fmt.Errorf("0x%x: no token 0x%02x is known", p.pos-1, token)
		}
	}
	return node{kind: isText}
}

var entities = map[string]string{"amp": "&", "lt": "<", "gt": ">", "quot": `"`, "apos": "'"}

// element reads: a dependency, the size, the name, the attributes, the content.
func (p *parser) element(attributes bool) node {
	p.bytes(6)
	n := node{kind: isElement, name: p.name()}
	if attributes {
		p.bytes(4) // the size of the list
	}
	defer func() { p.depth-- }()
	if !p.down() {
		return n
	}
	for p.err == nil {
		switch token := p.u8(); token &^ tokenMore {
		case tokenAttribute:
			n.attrs = append(n.attrs, attribute{name: p.name()})
		case tokenCloseStart:
			n.nodes = p.content()
			return n
		case tokenCloseEmpty:
			return n
		default:
			v := p.piece(token &^ tokenMore)
			if len(n.attrs) > 0 {
				last := &n.attrs[len(n.attrs)-1]
				last.value = p.add(last.value, v)
			}
		}
	}
	return n
}

// template reads an instance: its number, the offset of its definition, the definition
// if that is here (the next of a chain, a GUID, its size, nodes), then the values.
func (p *parser) template() node {
	p.bytes(5)
	at := p.u32()
	n := node{kind: isTemplate}
	defer func() { p.depth-- }()
	if !p.down() {
		return n
	}
	if int64(at) == int64(p.pos) {
		p.bytes(20)
		size := int(p.u32())
		body := p.pos
		p.bytes(size)
		n.nodes = p.definition(at, body, size)
	} else {
		n.nodes = p.known(at)
	}
	n.args = p.args()
	return n
}

// known is the definition at an offset that an earlier record wrote.
func (p *parser) known(at uint32) []node {
	if list, ok := p.c.templates[at]; ok {
		return list
	}
	q := parser{c: p.c, pos: int(at), end: len(p.c.b), err: p.err}
	q.bytes(20)
	size := int(q.u32())
	body := q.pos
	q.bytes(size)
	if p.err = q.err; p.err != nil {
		return nil
	}
	return p.definition(at, body, size)
}

// definition reads a template's nodes once a chunk.
func (p *parser) definition(at uint32, body, size int) []node {
	if p.err != nil {
		return nil
	}
	q := parser{c: p.c, pos: body, end: body + size, depth: p.depth, nodes: p.nodes}
	list := q.content()
	if p.err = q.err; p.err != nil {
		return nil
	}
	if p.c.templates == nil {
		p.c.templates = map[uint32][]node{}
	}
	p.c.templates[at] = list
	return list
}

// args reads a template's values: their count, each one's size and type, then all bytes.
func (p *parser) args() []arg {
	n := int(p.u32())
	heads := p.bytes(4 * n)
	if p.err != nil {
		return nil
	}
	args := make([]arg, n)
	for i := range args {
		args[i] = arg{kind: heads[4*i+2], at: p.pos}
		args[i].b = p.bytes(int(le.U16(heads, 4*i)))
	}
	return args
}
