package pdb

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"sync"

	"bugcheck/internal/le"
)

// TypeIndex is the number of a type in its PDB. Those below 0x1000 are the
// simple types, which have no record.
type TypeIndex uint32

const firstIndex TypeIndex = 0x1000

// The header of the type streams: HDR in PDB/dbi/tpi.h of microsoft-pdb.
const (
	typesHeader  = 0x38
	maxMarkGap   = 1 << 11 // types between two marks; linkers set one each 8 KiB, which has fewer
	maxBases     = 256     // base classes of one class, with theirs
	markEvery    = 128     // types, where we set them
	maxBuckets   = 1 << 20 // linkers use 0x3ffff
	ourBuckets   = 1 << 12
	markSize     = 8
	hashKeySize  = 4
	maxSameHash  = 512 // types of one bucket that are compared; there are some tens
	maxTypeDepth = 32  // of types in types, followed from one
)

// types is a type stream: records one behind another, found by marks that say
// where some of them lie.
type types struct {
	s          *stream
	first, end TypeIndex
	at, limit  uint32 // of the records
	marks      []mark
	hash       typeHash
	names      func() (*typeNames, error)
}

// mark is where a record lies.
type mark struct {
	index TypeIndex
	off   uint32
}

// typeHash is where the hashes of the types lie.
type typeHash struct {
	s         *stream
	buckets   uint32
	at, count uint32 // count is 0 if there is none
}

// typeNames lists types by the hash of their name.
type typeNames struct {
	buckets uint32
	starts  []uint32 // at least one more than there are buckets
	list    []TypeIndex
}

// readTypes decodes the header of a type stream and its marks. A PDB without
// the stream has no types, which is no error.
func (f *File) readTypes(number uint32, what string) (*types, error) {
	t := &types{s: f.msf.stream(number, what)}
	t.names = sync.OnceValues(t.readNames)
	if t.s == nil || number == streamIPI && !f.hasIDs {
		return t, nil
	}
	b, err := t.s.bytes(0, typesHeader)
	if err != nil {
		return t, err
	}
	size, records := le.U32(b, 4), le.U32(b, 0x10)
	first, end := TypeIndex(le.U32(b, 8)), TypeIndex(le.U32(b, 0xc))
	// A record has at least its length and its kind.
	if first < firstIndex || end < first || size < typesHeader || uint64(size)+uint64(records) > uint64(t.s.size) || uint32(end-first) > records/recordHead {
		return t, wrong("%s: the header says types 0x%x to 0x%x in %d of %d bytes", what, uint32(first), uint32(end), records, t.s.size)
	}
	t.first, t.end, t.at, t.limit = first, end, size, size+records
	hash := f.msf.stream(stream16(le.U16(b, 0x14)), what+" hash")
	t.hash = typeHash{s: hash, buckets: le.U32(b, 0x1c), at: le.U32(b, 0x20), count: le.U32(b, 0x24) / hashKeySize}
	if le.U32(b, 0x18) != hashKeySize || t.hash.count != uint32(end-first) || t.hash.buckets == 0 || t.hash.buckets > maxBuckets ||
		uint64(t.hash.at)+uint64(t.hash.count)*hashKeySize > uint64(hash.len()) {
		t.hash = typeHash{}
	}
	if t.marks = t.storedMarks(hash, le.U32(b, 0x28), le.U32(b, 0x2c)); t.marks == nil {
		err = t.setMarks()
	}
	return t, err
}

// storedMarks reads the marks of the hash stream; nil if there are none, or they
// cannot be right.
func (t *types) storedMarks(hash *stream, at, size uint32) []mark {
	b, err := hash.bytes(at, size)
	if err != nil || len(b) < markSize {
		return nil
	}
	list := make([]mark, 0, len(b)/markSize)
	next := mark{t.first, t.at}
	for ; len(b) >= markSize; b = b[markSize:] {
		m := mark{TypeIndex(le.U32(b, 0)), le.U32(b, 4) + t.at}
		if len(list) == 0 && m != next || m.index < next.index || m.index-next.index > maxMarkGap || m.off < next.off || m.off >= t.limit {
			return nil
		}
		next = m
		list = append(list, m)
	}
	if t.end-next.index > maxMarkGap {
		return nil
	}
	return list
}

// setMarks walks all records and sets marks of our own. Behind damage there are
// no types.
func (t *types) setMarks() error {
	off := t.at
	for i := t.first; i < t.end; i++ {
		if (i-t.first)%markEvery == 0 {
			t.marks = append(t.marks, mark{i, off})
		}
		n, err := t.length(off)
		if err != nil {
			t.end = i
			return err
		}
		off += n
	}
	return nil
}

// length is the length of the record at off, with its head.
func (t *types) length(off uint32) (uint32, error) {
	head, err := t.s.bytes(off, 2)
	if err != nil {
		return 0, err
	}
	n := uint32(le.U16(head, 0)) + 2
	if n < recordHead || uint64(off)+uint64(n) > uint64(t.limit) {
		return 0, wrong("%s: record of %d bytes at 0x%x", t.s.name, n, off)
	}
	return n, nil
}

// record reads the record of a type.
func (t *types) record(index TypeIndex) (record, error) {
	if index < t.first || index >= t.end {
		return record{}, wrong("no type 0x%x", uint32(index))
	}
	i, found := slices.BinarySearchFunc(t.marks, index, func(m mark, index TypeIndex) int { return cmp.Compare(m.index, index) })
	if !found {
		i--
	}
	m := t.marks[i]
	for ; m.index < index; m.index++ {
		n, err := t.length(m.off)
		if err != nil {
			return record{}, err
		}
		m.off += n
	}
	if _, err := t.length(m.off); err != nil {
		return record{}, err
	}
	return t.s.record(m.off)
}

// readNames sorts the types by hash: by those stored, else by our own.
func (t *types) readNames() (*typeNames, error) {
	n := &typeNames{}
	if t.end == t.first {
		return n, nil
	}
	n.buckets = t.hash.buckets
	values, err := t.storedHashes()
	if err != nil || values == nil {
		n.buckets = ourBuckets
		values, err = t.ownHashes()
	}
	n.starts = make([]uint32, n.buckets+3)
	for _, v := range values {
		n.starts[v+2]++
	}
	for i := 2; i < len(n.starts); i++ {
		n.starts[i] += n.starts[i-1]
	}
	n.list = make([]TypeIndex, len(values))
	for i, v := range values {
		n.list[n.starts[v+1]] = t.first + TypeIndex(i)
		n.starts[v+1]++
	}
	return n, err
}

// storedHashes reads the hash of each type, modulo the number of buckets; nil if
// there are none.
func (t *types) storedHashes() ([]uint32, error) {
	h := t.hash
	if h.count == 0 || h.count < uint32(t.end-t.first) {
		return nil, nil
	}
	b, err := h.s.bytes(h.at, h.count*hashKeySize)
	if err != nil {
		return nil, err
	}
	values := make([]uint32, t.end-t.first)
	for i := range values {
		values[i] = le.U32(b, 4*i) % h.buckets
	}
	return values, nil
}

// ownHashes computes what storedHashes reads, from the names of definitions.
// Other types are in a bucket behind the last.
func (t *types) ownHashes() ([]uint32, error) {
	values := make([]uint32, t.end-t.first)
	off := t.at
	for i := range values {
		r, err := t.s.record(off)
		if err != nil {
			return values[:i], err
		}
		values[i] = ourBuckets
		if u, ok := decodeUDT(r); ok && !u.forward() {
			values[i] = hashName(string(u.hashed())) % ourBuckets
		}
		off = r.next()
	}
	return values, nil
}

// find calls use with each definition whose name may hash as name does, until
// it says that it found one.
func (t *types) find(name string, use func(TypeIndex, udt) bool) (bool, error) {
	n, err := t.names()
	if n.buckets == 0 {
		return false, err
	}
	bucket := hashName(name) % n.buckets
	same := n.list[n.starts[bucket]:n.starts[bucket+1]]
	for _, index := range same[:min(len(same), maxSameHash)] {
		r, bad := t.record(index)
		keep(&err, bad)
		if u, ok := decodeUDT(r); ok && !u.forward() && use(index, u) {
			return true, nil
		}
	}
	return false, err
}

// Records of types: LEAF_ENUM_e and the structures under it in cvinfo.h.
const (
	leafModifier  = 0x1001
	leafPointer   = 0x1002
	leafProcedure = 0x1008
	leafMethod    = 0x1009 // LF_MFUNCTION
	leafFieldList = 0x1203
	leafBitfield  = 0x1205
	leafArray     = 0x1503
	leafClass     = 0x1504
	leafStructure = 0x1505
	leafUnion     = 0x1506
	leafEnum      = 0x1507
	leafInterface = 0x1519
	leafFunction  = 0x1601 // LF_FUNC_ID
	leafMember    = 0x1602 // LF_MFUNC_ID
	leafString    = 0x1605

	// As later compilers may write them: properties of 32 bits, the count behind.
	// Source: issue 50 of microsoft-pdb.
	leafClass2     = 0x1608
	leafStructure2 = 0x1609
	leafUnion2     = 0x160a
	leafInterface2 = 0x160b
)

// Properties of a class, union or enumeration: CV_prop_t.
const (
	propForward = 0x80
	propScoped  = 0x100
	propUnique  = 0x200
)

// udt is the record of a class, structure, interface, union or enumeration.
type udt struct {
	leaf         uint16
	properties   uint16
	fields, base TypeIndex // base: of an enumeration
	size         uint64    // bytes
	name, unique []byte
}

func (u udt) forward() bool { return u.properties&propForward != 0 }

// hashed is the name that linkers hash: the unique one for types in functions.
func (u udt) hashed() []byte {
	if u.properties&propScoped != 0 && len(u.unique) > 0 {
		return u.unique
	}
	return u.name
}

func decodeUDT(r record) (u udt, ok bool) {
	c := le.NewCursor(r.data)
	wide := r.kind >= leafClass2 && r.kind <= leafInterface2
	if wide {
		u.leaf = [...]uint16{leafClass, leafStructure, leafUnion, leafInterface}[r.kind-leafClass2]
		u.properties = uint16(c.U32())
	} else {
		u.leaf = r.kind
		c.Skip(2) // number of fields, cut to 16 bits
		u.properties = c.U16()
	}
	size := func() uint64 {
		if wide {
			numeric(c) // number of fields
		}
		return numeric(c)
	}
	switch u.leaf {
	case leafClass, leafStructure, leafInterface:
		u.fields = TypeIndex(c.U32())
		c.Skip(8) // derived classes, shape of the virtual function table
		u.size = size()
	case leafUnion:
		u.fields = TypeIndex(c.U32())
		u.size = size()
	case leafEnum:
		u.base, u.fields = TypeIndex(c.U32()), TypeIndex(c.U32())
	default:
		return u, false
	}
	if c.Err() != nil {
		return u, false
	}
	rest := c.Bytes(c.Len())
	u.name = untilNUL(rest)
	if u.properties&propUnique != 0 && len(rest) > len(u.name) {
		u.unique = untilNUL(rest[len(u.name)+1:])
	}
	return u, true
}

// numeric reads a number: below 0x8000 itself, else a kind and a value; signed
// ones are extended to 64 bits.
func numeric(c *le.Cursor) uint64 {
	switch v := c.U16(); v {
	case 0x8000:
		return uint64(int8(c.U8()))
	case 0x8001:
		return uint64(int16(c.U16()))
	case 0x8002:
		return uint64(c.U16())
	case 0x8003:
		return uint64(int32(c.U32()))
	case 0x8004:
		return uint64(c.U32())
	case 0x8009, 0x800a:
		return c.U64()
	case 0x8017, 0x8018: // 128 bits
		low := c.U64()
		c.Skip(8)
		return low
	default:
		if v >= 0x8000 {
			c.Skip(c.Len() + 1) // real numbers and texts: never where we read one
		}
		return uint64(v)
	}
}

// definition follows modifiers, and the forward reference of a class, union or
// enumeration to its definition; false for other types.
func (t *types) definition(index TypeIndex) (TypeIndex, udt, bool) {
	for range maxTypeDepth {
		r, err := t.record(index)
		if err != nil {
			return 0, udt{}, false
		}
		if r.kind == leafModifier && len(r.data) >= 4 {
			index = TypeIndex(le.U32(r.data, 0))
			continue
		}
		u, ok := decodeUDT(r)
		if ok && u.forward() {
			if at, full, ok := t.resolve(u); ok {
				return at, full, true
			}
		}
		return index, u, ok
	}
	return 0, udt{}, false
}

// resolve finds the definition of a forward reference, by its unique name if
// both have one.
func (t *types) resolve(u udt) (index TypeIndex, full udt, ok bool) {
	ok, _ = t.find(string(u.hashed()), func(at TypeIndex, d udt) bool {
		if (d.leaf == leafEnum) != (u.leaf == leafEnum) || (d.leaf == leafUnion) != (u.leaf == leafUnion) || string(d.name) != string(u.name) {
			return false
		}
		if len(d.unique) > 0 && len(u.unique) > 0 && string(d.unique) != string(u.unique) {
			return false
		}
		index, full = at, d
		return true
	})
	return index, full, ok
}

// Field is the offset in bytes of a field of a class or union, also of one in
// its base classes; of a field in a field by a path: Field("_KTHREAD",
// "ApcState.Process"). False if there is no such type or field.
func (f *File) Field(typ, path string) (offset uint32, ok bool) {
	t, err := f.types()
	if err != nil && t.end == t.first {
		return 0, false
	}
	_, u, ok := t.lookUp(typ)
	if !ok {
		return 0, false
	}
	for {
		part, rest, more := strings.Cut(path, ".")
		m, ok := t.member(u, part, map[TypeIndex]bool{})
		if !ok {
			return 0, false
		}
		offset += uint32(m.value)
		if !more {
			return offset, true
		}
		if _, u, ok = t.definition(m.typ); !ok {
			return 0, false
		}
		path = rest
	}
}

// lookUp finds the definition of a type by its name.
func (t *types) lookUp(name string) (index TypeIndex, u udt, ok bool) {
	ok, _ = t.find(name, func(at TypeIndex, d udt) bool {
		index, u = at, d
		return string(d.name) == name
	})
	return index, u, ok
}

// member finds a field of a class, also in its base classes; seen are the lists
// of fields that were walked.
func (t *types) member(u udt, name string, seen map[TypeIndex]bool) (found member, ok bool) {
	if seen[u.fields] || len(seen) > maxBases {
		return found, false
	}
	seen[u.fields] = true
	var bases []member
	_ = t.eachMember(u.fields, func(m member) bool {
		switch {
		case m.kind == memberField && string(m.name) == name:
			found, ok = m, true
		case m.kind == memberBase:
			bases = append(bases, m)
		}
		return !ok
	})
	for _, b := range bases {
		if ok {
			break
		}
		if _, base, is := t.definition(b.typ); is {
			found, ok = t.member(base, name, seen)
			found.value += b.value
		}
	}
	return found, ok
}

// wrapType names the type in an error.
func wrapType(name string, err error) error {
	if err == nil {
		return nil
	}
	return fmt.Errorf("type %q: %w", name, err)
}
