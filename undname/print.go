package undname

// writeType writes a type that has no name in it.
func (p *parser) writeType(b []byte, t *node) []byte {
	start := len(b)
	if p.err == nil {
		b = p.after(p.before(b, t), t)
		p.spend(len(b) - start)
	}
	return b
}

// space separates a word from the word or template before it.
func space(b []byte) []byte {
	if len(b) == 0 {
		return b
	}
	switch c := b[len(b)-1]; {
	case c >= 'a' && c <= 'z', c >= 'A' && c <= 'Z', isDigit(c), c == '_', c == '>':
		return append(b, ' ')
	}
	return b
}

// before writes what of a type stands before the name.
func (p *parser) before(b []byte, t *node) []byte {
	if len(b) > maxResult {
		p.fail("too long when written out")
	}
	if p.err != nil {
		return b
	}
	switch t.form {
	case simple:
		return qualify(append(b, t.text...), t.quals, true)
	case tagged:
		if !p.brief {
			b = append(b, t.sign...)
		}
		return qualify(append(b, t.text...), t.quals, true)
	case custom:
		return append(b, t.text...)
	case array:
		return qualify(p.before(b, t.inner), t.quals, true)
	case function:
		return append(space(p.beforeResult(b, t)), t.text...)
	}
	return p.beforePointer(b, t)
}

// beforeResult writes what of the result of a function stands before its name.
func (p *parser) beforeResult(b []byte, t *node) []byte {
	if t.inner == nil {
		return b
	}
	return append(p.before(b, t.inner), ' ')
}

func (p *parser) beforePointer(b []byte, t *node) []byte {
	to := t.inner.form
	if to == function {
		b = p.beforeResult(b, t.inner)
	} else {
		b = p.before(b, t.inner)
	}
	b = space(b)
	if p.brief && (b[len(b)-1] == '*' || b[len(b)-1] == '\'') && t.class == "" {
		b = append(b, ' ') // int * *
	}
	if t.quals&isUnaligned != 0 {
		b = append(b, "__unaligned "...)
	}
	switch to {
	case array:
		b = append(b, '(')
	case function:
		b = append(append(b, '('), t.inner.text...)
		if !p.brief || t.class != "" {
			b = append(b, ' ')
		}
	}
	if t.class != "" {
		b = append(append(b, t.class...), "::"...)
	}
	return qualify(append(b, t.sign...), t.quals, p.brief)
}

// after writes what of a type stands behind the name.
func (p *parser) after(b []byte, t *node) []byte {
	if len(b) > maxResult {
		p.fail("too long when written out")
	}
	if p.err != nil {
		return b
	}
	switch t.form {
	case pointer:
		if t.inner.form == array || t.inner.form == function {
			b = append(b, ')')
		}
		return p.after(b, t.inner)
	case array:
		return p.after(append(b, t.text...), t.inner)
	case function:
		b = p.afterParameters(p.writeParameters(b, t), t)
		if t.inner != nil {
			return p.after(b, t.inner)
		}
	}
	return b
}

func (p *parser) writeParameters(b []byte, t *node) []byte {
	b = append(b, '(')
	for i, param := range t.params {
		if i > 0 {
			b = append(b, p.comma()...)
		}
		b = p.after(p.before(b, param), param)
		if p.err != nil {
			return b
		}
	}
	switch {
	case t.variadic && len(t.params) > 0:
		b = append(append(b, p.comma()...), "..."...)
	case t.variadic:
		b = append(b, "..."...)
	case len(t.params) == 0:
		b = append(b, "void"...)
	}
	return append(b, ')')
}

func (p *parser) afterParameters(b []byte, t *node) []byte {
	b = qualify(b, t.quals&^isUnaligned, true)
	if t.quals&isUnaligned != 0 {
		b = append(b, " __unaligned"...)
	}
	if t.isNoexcept {
		b = append(b, " noexcept"...)
	}
	if t.sign != "" {
		b = append(append(b, ' '), t.sign...)
	}
	return b
}

// qualify writes qualifiers, each with a space before it; the first only if
// spaced.
func qualify(b []byte, q quals, spaced bool) []byte {
	for i, word := range [...]string{"const", "volatile", "__restrict"} {
		if q&(1<<i) == 0 {
			continue
		}
		if spaced {
			b = append(b, ' ')
		}
		b = append(b, word...)
		spaced = true
	}
	return b
}
