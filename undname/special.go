package undname

import "strings"

// specialSymbol reads a symbol whose whole form depends on its code, behind
// the first ?; false leaves the name as it is.
func (p *parser) specialSymbol() (symbol, bool) {
	switch {
	case !strings.HasPrefix(p.rest(), "?_"):
		return symbol{}, false
	case p.take("?_7"):
		return p.table("`vftable'"), true
	case p.take("?_8"):
		return p.table("`vbtable'"), true
	case p.take("?_S"):
		return p.table("`local vftable'"), true
	case p.take("?_R4"):
		return p.table("`RTTI Complete Object Locator'"), true
	case p.take("?_9"):
		return p.vcall(), true
	case p.take("?_B"):
		return p.guard("`local static guard'"), true
	case p.take("?__J"):
		return p.guard("`local static thread guard'"), true
	case p.take("?_C"):
		return p.stringLiteral(), true
	case p.take("?_R0"):
		s := symbol{form: typeInfo, typ: p.result(), extra: "`RTTI Type Descriptor'"}
		p.need("@8")
		return s, true
	case p.take("?_R1"):
		return p.baseClass(), true
	case p.take("?_R2"):
		return p.untyped("`RTTI Base Class Array'"), true
	case p.take("?_R3"):
		return p.untyped("`RTTI Class Hierarchy Descriptor'"), true
	case p.take("?__E"):
		return p.initializer("`dynamic initializer for "), true
	case p.take("?__F"):
		return p.initializer("`dynamic atexit destructor for "), true
	}
	return symbol{}, false
}

// named reads the names that enclose a part whose text is known.
func (p *parser) named(text string) symbol {
	s := symbol{leaf: part{text: text, key: text}}
	s.scope, _ = p.enclosed()
	return s
}

// table reads a table of virtual functions or bases: the classes to which it
// belongs stand behind it.
func (p *parser) table(text string) symbol {
	s := p.named(text)
	s.form = table
	if c := p.next(); c != '6' && c != '7' {
		p.fail("no table")
	}
	s.quals = p.qualifiers()
	for p.err == nil && !p.take("@") {
		if s.extra == "" {
			s.extra = "{for `" + p.typeName()
		} else {
			s.extra += "'s `" + p.typeName()
		}
		p.spend(len(s.extra))
	}
	if s.extra != "" {
		s.extra += "'}"
	}
	return s
}

// vcall reads a thunk that calls a virtual function: its place in the table.
func (p *parser) vcall() symbol {
	s := p.named("`vcall'")
	s.form, s.thunk = code, true
	p.need("$B")
	s.extra = "{" + p.unsigned() + p.comma() + "{flat}}"
	p.need("A")
	s.prefix = p.convention() + " "
	return s
}

// guard reads the flag of a static variable of a function.
func (p *parser) guard(text string) symbol {
	s := p.named(text)
	if !p.take("4IA") {
		p.need("5")
	}
	if p.err == nil && p.pos < len(p.in) {
		if n := p.unsigned(); n != "0" {
			s.extra = "{" + n + "}"
		}
	}
	return s
}

func (p *parser) untyped(text string) symbol {
	s := p.named(text)
	p.need("8")
	return s
}

// baseClass reads where a base class lies in an object.
func (p *parser) baseClass() symbol {
	text := "`RTTI Base Class Descriptor at (" + p.unsigned() + p.comma()
	text += p.signed() + p.comma()
	text += p.unsigned() + p.comma()
	text += p.unsigned() + ")'"
	s := p.named(text)
	p.take("8")
	return s
}

// initializer reads a function that makes or ends a global variable. Its name
// is the variable's, as a whole symbol, or only the name.
func (p *parser) initializer(text string) symbol {
	if !p.enter() {
		return symbol{}
	}
	member := !strings.HasPrefix(p.rest(), "?$") && p.take("?")
	of := p.declarator(false)
	p.leave()
	if p.err != nil {
		return symbol{}
	}
	if of.form != variable {
		if member {
			p.fail("an initializer of no variable")
		}
		of.leaf.text = text + "'" + of.scope + of.leaf.text + "''"
		of.scope = ""
		p.spend(len(of.leaf.text))
		return of
	}
	name := p.nested(&of)
	// Old versions of clang leave out the ? and one @.
	p.need("@")
	if member {
		p.need("@")
	}
	open := "`"
	if p.brief {
		open = "'"
	}
	s := symbol{leaf: part{text: text + open + name + "''"}}
	p.spend(len(s.leaf.text))
	p.function(&s, false)
	return s
}
