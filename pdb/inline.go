package pdb

import (
	"cmp"
	"slices"

	"bugcheck/internal/le"
)

const (
	maxScopes   = 1 << 20 // records in one procedure
	maxNesting  = 256     // of scopes in a procedure
	maxIDDepth  = 16      // of names in names
	siteHeader  = 12      // of S_INLINESITE, up to its annotations
	site2Header = 16
)

// scope is an inlined call that is open while the records of a procedure are
// walked; not inline for a block.
type scope struct {
	inline   bool
	contains bool
	loc      site
}

// site is the place in an inlined function.
type site struct {
	id         TypeIndex
	file, line uint32
}

// inlined lists the inlined calls at an offset of a procedure, the innermost
// first. The calls are nested in the symbols as they are in the code.
func (t *lineTables) inlined(f *File, proc record, end, offset uint32) (list []Location, err error) {
	var open, best []scope
	off, depth := proc.next(), 1
	for range maxScopes {
		if off+recordHead > end || depth == 0 {
			break
		}
		r, err := t.s.record(off)
		if err != nil {
			return list, err
		}
		off = r.next()
		switch {
		case opens(r.kind):
			if depth++; depth > maxNesting {
				return list, wrong("%s: more than %d scopes in each other at 0x%x", t.s.name, maxNesting, r.at)
			}
			s := t.scope(r, offset)
			if open = append(open, s); s.contains && len(open) > len(best) {
				best = slices.Clone(open)
			}
		case closes(r.kind):
			if depth--; len(open) > 0 {
				open = open[:len(open)-1]
			}
		}
	}
	for _, s := range slices.Backward(best) {
		if s.inline {
			loc, bad := t.location(f, s)
			keep(&err, bad)
			list = append(list, loc)
		}
	}
	return list, err
}

func opens(kind uint16) bool {
	switch kind {
	case symBlock, symWith, symThunk, symSeparated, symInlineSite, symInlineSite2:
		return true
	}
	return isProcedure(kind)
}

func closes(kind uint16) bool {
	return kind == symEnd || kind == symInlineSiteEnd || kind == symProcIDEnd
}

// scope decodes a record that opens one.
func (t *lineTables) scope(r record, offset uint32) scope {
	header := siteHeader
	switch r.kind {
	case symInlineSite2:
		header = site2Header
	case symInlineSite:
	default:
		return scope{}
	}
	if len(r.data) < header {
		return scope{inline: true}
	}
	s := scope{inline: true, loc: site{id: TypeIndex(le.U32(r.data, 8))}}
	i, ok := slices.BinarySearchFunc(t.inlinees, s.loc.id, func(e inlinee, id TypeIndex) int { return cmp.Compare(e.id, id) })
	if ok {
		s.loc.file, s.loc.line = t.inlinees[i].file, t.inlinees[i].line
	}
	at, contains := annotate(r.data[header:], s.loc, offset)
	if s.contains = contains; contains {
		s.loc = at
	} else {
		s.loc.line = 0
	}
	if !ok { // no start, so no line and no file
		s.loc.line = 0
	}
	return s
}

// location names the function of a scope, and its file. A call that encloses
// another has no line of its own if its annotations leave out the inner one.
func (t *lineTables) location(f *File, s scope) (Location, error) {
	loc := Location{Inline: true, Line: s.loc.line}
	ids, err := f.ids()
	var bad error
	loc.Function, bad = ids.idName(f, s.loc.id, 0)
	keep(&err, bad)
	if loc.Line != 0 {
		loc.File, bad = t.fileName(f, s.loc.file)
		keep(&err, bad)
	}
	return loc, err
}

// Operations of the annotations: BinaryAnnotationOpcode in cvinfo.h. An
// operation and its operands are compressed numbers.
const (
	opOffset              = 1
	opBase                = 2
	opChangeOffset        = 3
	opChangeLength        = 4
	opChangeFile          = 5
	opChangeLine          = 6
	opChangeOffsetAndLine = 11
	opChangeLengthAndCode = 12
	opLast                = 13
)

// annotations are run one operation after another.
type annotations struct {
	c    *le.Cursor
	now  site   // its line and file so far
	code uint32 // offset in the procedure so far
}

// annotate runs the annotations of an inlined call: they say which stretches of
// the procedure are of the call, and their lines. Lines count from where the
// inlined function begins. A stretch ends where the next begins, or at a length.
func annotate(b []byte, start site, offset uint32) (at site, contains bool) {
	a := annotations{c: le.NewCursor(b), now: start}
	var row site
	var begin uint32
	open := false
	for a.c.Len() > 0 {
		begins, length, ok := a.step(begin)
		if !ok {
			break
		}
		if begins && open && offset >= begin && offset < a.code {
			return row, true
		}
		if begins {
			begin, row, open = a.code, a.now, true
		}
		if length != 0 && open {
			if offset >= begin && offset-begin < length {
				return row, true
			}
			open = false
		}
	}
	return at, false
}

// step runs one operation: whether a stretch begins, and its length if that is
// said; begin is where the last one began. False at the end, and for what is not
// known: code in another part of the image is among that, which no linker writes.
func (a *annotations) step(begin uint32) (begins bool, length uint32, ok bool) {
	switch op := number(a.c); op {
	case 0, opBase:
		return false, 0, false
	case opOffset, opChangeOffset:
		a.code += number(a.c)
		begins = true
	case opChangeLength:
		length = number(a.c)
		a.code = begin + length
	case opChangeFile:
		a.now.file = number(a.c)
	case opChangeLine:
		a.now.line += signed(number(a.c))
	case opChangeOffsetAndLine:
		v := number(a.c)
		a.code += v & 0xf
		a.now.line += signed(v >> 4)
		begins = true
	case opChangeLengthAndCode:
		length = number(a.c)
		a.code += number(a.c)
		begins = true
	default:
		if op > opLast {
			return false, 0, false
		}
		number(a.c) // columns and the like
	}
	return begins, length, a.c.Err() == nil
}

// number reads a compressed number of one, two or four bytes.
func number(c *le.Cursor) uint32 {
	b := uint32(c.U8())
	switch {
	case b&0x80 == 0:
		return b
	case b&0xc0 == 0x80:
		return b&0x3f<<8 | uint32(c.U8())
	case b&0xe0 == 0xc0:
		return b&0x1f<<24 | uint32(c.U8())<<16 | uint32(c.U8())<<8 | uint32(c.U8())
	}
	c.Skip(c.Len() + 1)
	return 0
}

// signed takes the sign from the lowest bit.
func signed(v uint32) uint32 {
	if v&1 != 0 {
		return -(v >> 1)
	}
	return v >> 1
}

// idName is the qualified name of a function by its number in the IPI stream.
func (t *types) idName(f *File, id TypeIndex, depth int) (string, error) {
	if depth > maxIDDepth {
		return "", wrong("ids: more than %d names in each other", maxIDDepth)
	}
	r, err := t.record(id)
	if err != nil {
		return "", err
	}
	if len(r.data) < 8 {
		return "", wrong("id 0x%x has %d bytes", uint32(id), len(r.data))
	}
	parent := TypeIndex(le.U32(r.data, 0))
	scope := ""
	switch r.kind {
	case leafFunction:
		if parent != 0 {
			scope, err = t.idName(f, parent, depth+1)
		}
	case leafMember:
		scope = f.TypeText(parent)
	case leafString:
		return name(untilNUL(r.data[4:])), nil
	default:
		return "", wrong("id 0x%x is no function", uint32(id))
	}
	own := name(untilNUL(r.data[8:]))
	if scope != "" {
		own = scope + "::" + own
	}
	return own, err
}
