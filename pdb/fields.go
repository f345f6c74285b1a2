package pdb

import (
	"bytes"

	"bugcheck/internal/le"
)

// TypeKind is what a Type is.
type TypeKind uint8

// The kinds.
const (
	Struct TypeKind = iota + 1
	Class
	Union
	Enum
	Interface
)

func (k TypeKind) String() string {
	if int(k) < len(kindNames) {
		return kindNames[k]
	}
	return "type"
}

var kindNames = [...]string{"type", "struct", "class", "union", "enum", "interface"}

// Type is the layout of a structure, class or union, or the values of an
// enumeration.
type Type struct {
	Name   string
	Kind   TypeKind
	Index  TypeIndex
	Size   uint64  // bytes; of an enumeration that of its values
	Fields []Field // as stored: base classes first
	Values []Value // of an enumeration
	Base   string  // of an enumeration: the type of its values
}

// Field is one field, or a base class.
type Field struct {
	Name   string // of a base class its own; __VFN_table for the virtual function table
	Offset uint32 // bytes
	Size   uint64 // bytes; of a bit field that of its type
	Bit    uint8  // of a bit field: its lowest bit
	Bits   uint8  // of a bit field: its length; else 0
	Type   string // as the debugger's dt writes it: "Ptr64 _KTHREAD", "[4] UChar", "Pos 0, 1 Bit"
	Index  TypeIndex
	Base   bool // a base class
}

// Value is a name of an enumeration.
type Value struct {
	Name  string
	Value int64
}

// Type finds a structure, class, union or enumeration by its name, and decodes
// its layout. What is damaged of it is left off, with an error; false if there
// is no such type.
func (f *File) Type(name string) (Type, bool, error) {
	t, err := f.types()
	if t.end == t.first {
		return Type{}, false, err
	}
	index, u, ok := t.lookUp(name)
	if !ok {
		_, err := t.names()
		return Type{}, false, err
	}
	typ, err := t.layout(index, u)
	return typ, true, wrapType(name, err)
}

// TypeAt is the structure, class, union or enumeration with a number, or the one
// that it refers to; false for other types.
func (f *File) TypeAt(index TypeIndex) (Type, bool, error) {
	t, _ := f.types()
	at, u, ok := t.definition(index)
	if !ok {
		return Type{}, false, nil
	}
	typ, err := t.layout(at, u)
	return typ, true, wrapType(typ.Name, err)
}

// TypeText is the name of any type as the debugger's dt writes it.
func (f *File) TypeText(index TypeIndex) string {
	t, _ := f.types()
	return t.text(index, 0)
}

// Types lists the names of all defined structures, classes, unions and
// enumerations, in the order of their numbers. Types without a name are left
// off. What is damaged is left off; the error names the first such.
func (f *File) Types() ([]string, error) {
	t, err := f.types()
	var list []string
	off := t.at
	for i := t.first; i < t.end; i++ {
		n, bad := t.length(off)
		if bad != nil {
			keep(&err, bad)
			break
		}
		r, bad := t.s.record(off)
		keep(&err, bad)
		if u, ok := decodeUDT(r); ok && !u.forward() && !anonymous(u.name) {
			list = append(list, name(u.name))
		}
		off += n
	}
	return list, err
}

// anonymous tells the names that compilers give to types without one.
func anonymous(name []byte) bool {
	return len(name) == 0 || bytes.HasSuffix(name, []byte("__unnamed")) || bytes.Contains(name, []byte("<unnamed-")) || bytes.Contains(name, []byte("<anonymous-"))
}

func (t *types) layout(index TypeIndex, u udt) (Type, error) {
	typ := Type{Name: name(u.name), Kind: kindOf(u.leaf), Index: index, Size: u.size}
	if u.leaf == leafEnum {
		typ.Base, typ.Size = t.text(u.base, 0), t.size(u.base, 0)
	}
	if u.fields == 0 {
		return typ, nil
	}
	err := t.eachMember(u.fields, func(m member) bool {
		if m.kind == memberValue {
			typ.Values = append(typ.Values, Value{name(m.name), int64(m.value)})
		} else {
			typ.Fields = append(typ.Fields, t.field(m))
		}
		return true
	})
	return typ, err
}

func kindOf(leaf uint16) TypeKind {
	switch leaf {
	case leafClass:
		return Class
	case leafUnion:
		return Union
	case leafEnum:
		return Enum
	case leafInterface:
		return Interface
	}
	return Struct
}

func (t *types) field(m member) Field {
	f := Field{Name: name(m.name), Offset: uint32(m.value), Index: m.typ, Size: t.size(m.typ, 0), Type: t.text(m.typ, 0)}
	switch m.kind {
	case memberBase:
		f.Name, f.Base = f.Type, true
	case memberTable:
		f.Name = "__VFN_table"
	}
	if r, err := t.record(m.typ); err == nil && r.kind == leafBitfield && len(r.data) >= 6 {
		f.Bits, f.Bit = r.data[4], r.data[5]
	}
	return f
}

// Entries of a field list.
const (
	fieldBase          = 0x1400
	fieldVirtualBase   = 0x1401
	fieldIndirectBase  = 0x1402
	fieldContinued     = 0x1404 // LF_INDEX
	fieldTable         = 0x1409 // LF_VFUNCTAB
	fieldFriend        = 0x140a
	fieldTableAt       = 0x140c // LF_VFUNCOFF
	fieldEnumerate     = 0x1502
	fieldFriendFn      = 0x150c
	fieldMember        = 0x150d
	fieldStatic        = 0x150e
	fieldMethods       = 0x150f
	fieldNested        = 0x1510
	fieldMethod        = 0x1511 // LF_ONEMETHOD
	fieldNestedEx      = 0x1512
	fieldBaseInterface = 0x151a
	maxFieldLists      = 1024 // that one type may have: each holds up to 64 KiB
)

type memberKind uint8

const (
	memberField memberKind = iota + 1
	memberBase
	memberTable
	memberValue
)

// member is an entry of a field list that says something of the layout.
type member struct {
	kind  memberKind
	typ   TypeIndex
	value uint64 // offset in bytes; of an enumeration the value
	name  []byte
}

// eachMember calls use with each member of a field list and of those that
// continue it, until use says that it has enough.
func (t *types) eachMember(list TypeIndex, use func(member) bool) error {
	seen := map[TypeIndex]bool{}
	for range maxFieldLists {
		if seen[list] {
			return wrong("the fields go on in a circle at type 0x%x", uint32(list))
		}
		seen[list] = true
		r, err := t.record(list)
		if err != nil {
			return err
		}
		if r.kind != leafFieldList {
			return wrong("type 0x%x is no list of fields", uint32(list))
		}
		next, err := eachIn(r, use)
		if err != nil || next == 0 {
			return err
		}
		list = next
	}
	return wrong("more than %d lists of fields", maxFieldLists)
}

// eachIn walks one field list; next is the list that continues it, if any.
func eachIn(r record, use func(member) bool) (next TypeIndex, err error) {
	c := le.NewCursor(r.data)
	for c.Len() >= 2 && c.Err() == nil {
		m, more, ok := decodeMember(c)
		if more != 0 {
			return more, c.Err()
		}
		if c.Err() == nil && ok && !use(m) {
			return 0, nil
		}
		c.Skip(padding(r.data[min(c.Pos(), len(r.data)):]))
	}
	return 0, short("list of fields", c.Err())
}

// padding is what fills up to a multiple of four: 0xf3 0xf2 0xf1, the low half
// being how many are left.
func padding(b []byte) int {
	if len(b) == 0 || b[0] < 0xf0 {
		return 0
	}
	return min(max(int(b[0]&0xf), 1), len(b))
}

// decodeMember decodes one entry; ok for those that say something of the layout.
func decodeMember(c *le.Cursor) (m member, next TypeIndex, ok bool) {
	leaf, attributes := c.U16(), c.U16() // or padding, or a count
	switch leaf {
	case fieldMember:
		m = member{kind: memberField, typ: TypeIndex(c.U32()), value: numeric(c), name: cutText(c)}
	case fieldEnumerate:
		m = member{kind: memberValue, value: numeric(c), name: cutText(c)}
	case fieldBase, fieldBaseInterface:
		m = member{kind: memberBase, typ: TypeIndex(c.U32()), value: numeric(c)}
	case fieldTable:
		m = member{kind: memberTable, typ: TypeIndex(c.U32())}
	case fieldContinued:
		return m, TypeIndex(c.U32()), false
	default:
		skipMember(c, leaf, attributes)
		return m, 0, false
	}
	return m, 0, true
}

// skipMember passes over an entry that says nothing of the layout. Virtual bases
// are among them: where they lie is known at run time only.
func skipMember(c *le.Cursor, leaf, attributes uint16) {
	const introducing, pureIntroducing = 4, 6 // CV_methodprop_e
	c.Skip(4)
	switch leaf {
	case fieldVirtualBase, fieldIndirectBase:
		c.Skip(4)
		numeric(c)
		numeric(c)
	case fieldFriend:
	case fieldTableAt:
		c.Skip(4)
	case fieldMethod:
		if p := attributes >> 2 & 7; p == introducing || p == pureIntroducing {
			c.Skip(4)
		}
		cutText(c)
	case fieldStatic, fieldMethods, fieldNested, fieldNestedEx, fieldFriendFn:
		cutText(c)
	default:
		c.Skip(c.Len() + 1) // an entry of unknown length
	}
}

func cutText(c *le.Cursor) []byte {
	rest := c.Len()
	if c.Err() != nil || rest == 0 {
		c.Skip(1)
		return nil
	}
	b := *c
	all := b.Bytes(rest)
	i := bytes.IndexByte(all, 0)
	if i < 0 {
		c.Skip(rest + 1)
		return nil
	}
	c.Skip(i + 1)
	return all[:i]
}
