package evtx

import (
	"strconv"
	"strings"
)

// event is the tree of one record.
type event struct {
	c     *chunk
	root  []node
	nodes int // how many more may be looked at
	left  int // how many more bytes of text may be made
	depth int
	rest  []scope // what stands beside System
}

// scope is an element with the values that its places stand for.
type scope struct {
	*node
	args []arg
}

// event parses the binary XML of a record.
func (c *chunk) event(from, to int) (*event, error) {
	e := &event{c: c, nodes: maxNodes, left: maxText}
	p := parser{c: c, pos: from, end: to, nodes: &e.nodes}
	e.root = p.content()
	return e, p.err
}

// identity fills in who logged what: the element System.
func (e *event) identity(r *Record) {
	for _, top := range e.within(e.root, nil) { // Event
		for _, s := range e.within(top.nodes, top.args) {
			if s.name != "System" {
				e.rest = append(e.rest, s)
				continue
			}
			for _, f := range e.within(s.nodes, s.args) {
				e.system(f, r)
			}
		}
	}
}

// system takes one element of System.
func (e *event) system(f scope, r *Record) {
	switch f.name {
	case "Provider":
		r.Provider, r.Source = e.attribute(f, "Name"), e.attribute(f, "EventSourceName")
	case "EventID":
		r.Event = uint16(e.number(f, 16))
	case "Version":
		r.Version = uint8(e.number(f, 8))
	case "Level":
		r.Level = uint8(e.number(f, 8))
	case "Channel":
		r.Channel = e.textOf(f.nodes, f.args)
	case "Computer":
		r.Computer = e.textOf(f.nodes, f.args)
	}
}

// fill adds the values.
func (e *event) fill(r *Record) {
	for _, s := range e.rest {
		if s.name == "EventData" || s.name == "UserData" {
			e.values(s, r)
		}
	}
}

// values adds the leaves below an element. An array makes its element many.
func (e *event) values(s scope, r *Record) {
	for _, f := range e.within(s.nodes, s.args) {
		name := e.attribute(f, "Name")
		if name == "" && f.name != "Data" {
			name = f.name
		}
		if a, ok := e.array(f); ok {
			for _, t := range a.texts() {
				r.Data = append(r.Data, Value{Name: name, Text: e.limited(t)})
			}
			continue
		}
		before := len(r.Data)
		e.values(f, r)
		if len(r.Data) == before {
			r.Data = append(r.Data, Value{Name: name, Text: e.textOf(f.nodes, f.args)})
		}
	}
}

// array is the value of an element whose content is an array.
func (e *event) array(f scope) (arg, bool) {
	if len(f.nodes) != 1 || f.nodes[0].kind != isValue || f.nodes[0].index >= len(f.args) {
		return arg{}, false
	}
	a := f.args[f.nodes[0].index]
	return a, a.kind&typeArray != 0
}

// within lists the elements among nodes, also those that templates and values bring.
func (e *event) within(nodes []node, args []arg) (list []scope) {
	if e.depth++; e.depth <= maxDepth {
		for i := range nodes {
			if e.nodes--; e.nodes < 0 {
				break
			}
			list = append(list, e.elementsOf(&nodes[i], args)...)
		}
	}
	e.depth--
	return list
}

func (e *event) elementsOf(n *node, args []arg) []scope {
	switch n.kind {
	case isElement:
		return []scope{{n, args}}
	case isTemplate:
		return e.within(n.nodes, n.args)
	case isValue:
		if n.index < len(args) && args[n.index].kind == typeBinXML {
			a := args[n.index]
			p := parser{c: e.c, pos: a.at, end: a.at + len(a.b), depth: e.depth, nodes: &e.nodes}
			return e.within(p.content(), nil)
		}
	}
	return nil
}

func (e *event) attribute(s scope, name string) string {
	for _, a := range s.attrs {
		if a.name == name {
			return e.textOf(a.value, s.args)
		}
	}
	return ""
}

// number is an element's text as a number; zero if it is none.
func (e *event) number(s scope, bits int) uint64 {
	v, _ := strconv.ParseUint(e.textOf(s.nodes, s.args), 0, bits)
	return v
}

// textOf joins text and values.
func (e *event) textOf(nodes []node, args []arg) string {
	var s strings.Builder
	for _, n := range nodes {
		if e.nodes--; e.nodes < 0 || e.left < 0 {
			break
		}
		switch {
		case n.kind == isText:
			s.WriteString(e.limited(n.text))
		case n.kind == isValue && n.index < len(args):
			s.WriteString(e.limited(strings.Join(args[n.index].texts(), " ")))
		}
	}
	return s.String()
}

// limited takes text as long as a record may have more.
func (e *event) limited(s string) string {
	if e.left -= len(s); e.left < 0 {
		return ""
	}
	return s
}
