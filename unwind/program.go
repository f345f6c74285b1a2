package unwind

import (
	"strconv"
	"strings"

	"bugcheck/mem"
)

const (
	maxTokens  = 512 // of a program; those of real ones are below 60
	maxOperand = 64  // values that wait
)

// program runs the program of a FRAMEDATA: postfix, words apart by spaces. A
// word pushes a number or a variable, or takes two values: + - * / % and @
// (round down to a multiple); ^ reads memory; = sets a variable. Variables:
// $eip, $esp, … are registers, $T0, $T1, … are the program's own, .raSearch and
// such come from the record. Source: "IDiaFrameData::get_program" in the
// documentation of the DIA SDK; the form is that of cvinfo.h's FRAMEDATA.
type program struct {
	stack  mem.Reader
	r      Registers
	vars   map[string]uint32 // set, and those of the record
	search func() uint32     // the value of .raSearch
	lost   uint64            // registers whose saved value is not in the dump
	values []operand
}

type operand struct {
	name string // not read yet, so that it can be set
	v    uint32
	lost bool // depends on memory that is missing
}

func (p *program) run(text string) error {
	tokens := strings.Fields(text)
	if len(tokens) > maxTokens {
		return invalid("%d words", len(tokens))
	}
	for _, t := range tokens {
		if err := p.word(t); err != nil {
			return err
		}
	}
	_, pc := p.vars["$eip"]
	_, sp := p.vars["$esp"]
	if !pc || !sp || len(p.values) != 0 || p.lost&(1<<eip|1<<esp) != 0 {
		return invalid("it does not set $eip and $esp")
	}
	return nil
}

func (p *program) word(t string) error {
	switch t {
	case "+", "-", "*", "/", "%", "@":
		return p.binary(t[0])
	case "^":
		return p.read()
	case "=":
		return p.assign()
	}
	if len(p.values) == maxOperand {
		return invalid("more than %d values", maxOperand)
	}
	if t[0] == '$' || t[0] == '.' {
		p.values = append(p.values, operand{name: t})
		return nil
	}
	n, err := strconv.ParseInt(t, 0, 64)
	if err != nil {
		return invalid("the word %q", t)
	}
	p.values = append(p.values, operand{v: uint32(n)})
	return nil
}

// pop takes a value.
func (p *program) pop() (operand, error) {
	if len(p.values) == 0 {
		return operand{}, invalid("a value is missing")
	}
	o := p.values[len(p.values)-1]
	p.values = p.values[:len(p.values)-1]
	if o.name == "" {
		return o, nil
	}
	return p.value(o.name)
}

// value reads a variable.
func (p *program) value(name string) (operand, error) {
	if name == ".raSearch" && p.search != nil {
		p.vars[name], p.search = p.search(), nil
	}
	if v, ok := p.vars[name]; ok {
		i := p.r.index(trimDollar(name))
		return operand{v: v, lost: i >= 0 && p.lost>>i&1 != 0}, nil
	}
	if i := p.r.index(trimDollar(name)); i >= 0 {
		if v, ok := p.r.get(i); ok {
			return operand{v: uint32(v)}, nil
		}
	}
	return operand{}, invalid("%s is not known", name)
}

func (p *program) binary(op byte) error {
	b, err := p.pop()
	if err != nil {
		return err
	}
	a, err := p.pop()
	if err != nil {
		return err
	}
	v := a.v
	switch {
	case op == '+':
		v += b.v
	case op == '-':
		v -= b.v
	case op == '*':
		v *= b.v
	case b.v == 0:
		return invalid("a division by zero")
	case op == '/':
		v /= b.v
	case op == '%':
		v %= b.v
	default:
		v -= v % b.v
	}
	p.values = append(p.values, operand{v: v, lost: a.lost || b.lost})
	return nil
}

// read replaces an address by what lies there.
func (p *program) read() error {
	a, err := p.pop()
	if err != nil {
		return err
	}
	v, err := mem.ReadU32(p.stack, mem.VA(a.v))
	p.values = append(p.values, operand{v: v, lost: a.lost || err != nil})
	return nil
}

func (p *program) assign() error {
	v, err := p.pop()
	if err != nil {
		return err
	}
	if len(p.values) == 0 || p.values[len(p.values)-1].name == "" {
		return invalid("a value is set to nothing")
	}
	name := p.values[len(p.values)-1].name
	p.values = p.values[:len(p.values)-1]
	p.vars[name] = v.v
	if i := p.r.index(trimDollar(name)); i >= 0 {
		p.lost &^= 1 << i
		if v.lost {
			p.lost |= 1 << i
		}
	} else if v.lost {
		return invalid("%s rests on memory that is not in the dump", name)
	}
	return nil
}
