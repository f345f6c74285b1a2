package symbols

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"fmt"
	"io"
	"slices"
	"strconv"
	"strings"

	"github.com/therootcompany/xz"

	"bugcheck/pe"
	"bugcheck/win"
)

// maxISFDictionary bounds what an xz stream asks for before it gives anything,
// bytes: that of xz -9.
const maxISFDictionary = 64 << 20

// unpackISF reads all of a file, through gzip or xz where it begins so.
func unpackISF(r io.ReaderAt, size int64) ([]byte, error) {
	var head [6]byte
	n, _ := r.ReadAt(head[:], 0)
	var in io.Reader = io.NewSectionReader(r, 0, size)
	var err error
	packed := true
	switch start := string(head[:n]); {
	case strings.HasPrefix(start, "\x1f\x8b"):
		in, err = gzip.NewReader(in)
	case strings.HasPrefix(start, "\xfd7zXZ\x00"):
		in, err = xz.NewReader(in, maxISFDictionary)
	default:
		packed = false
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrISF, err)
	}
	var b bytes.Buffer
	if packed {
		b.Grow(int(min(size*11, maxISF))) // JSON of symbols packs to a tenth
	} else if size <= maxISF {
		b.Grow(int(size))
	}
	if _, err = b.ReadFrom(io.LimitReader(in, maxISF+1)); b.Len() > maxISF {
		return nil, fmt.Errorf("%w: it unpacks to more than %d MiB", ErrISF, maxISF>>20)
	}
	if err != nil {
		err = fmt.Errorf("%w: %w", ErrISF, err)
	}
	return b.Bytes(), err
}

// isfDecoder fills an ISF. The layout of the JSON is that of format version 6
// (the schema in volatility3, framework/schemas); what is not known is passed
// over.
type isfDecoder struct {
	jsonScanner
	f     *ISF
	all   strings.Builder   // the names of symbols
	names map[string]string // one string for each name of a type
	kind  []byte            // what typeName builds
}

func decodeISF(b []byte) (*ISF, error) {
	d := &isfDecoder{jsonScanner: jsonScanner{b: b}, f: &ISF{sizes: map[string]uint32{}}, names: map[string]string{}}
	if d.peek() != '{' {
		return nil, fmt.Errorf("%w: it does not begin with {", ErrISF)
	}
	known := false
	d.object(func(key []byte) {
		switch string(key) {
		case "metadata":
			d.object(d.metadata)
		case "base_types":
			d.object(d.baseType)
		case "symbols":
			known = true
			d.object(d.symbol)
		case "user_types":
			known = true
			d.object(d.userType)
		default:
			d.skip()
		}
	})
	if d.err == nil && !known {
		return nil, fmt.Errorf("%w: it has no symbols and no types", ErrISF)
	}
	d.finish()
	return d.f, d.err
}

// finish sorts what was collected.
func (d *isfDecoder) finish() {
	f := d.f
	f.text = d.all.String()
	byName := func(a, b symbol) int { return strings.Compare(f.nameOf(a), f.nameOf(b)) }
	if !slices.IsSortedFunc(f.symbols, byName) { // Volatility writes them sorted
		slices.SortStableFunc(f.symbols, byName)
	}
	order := make([]uint64, len(f.symbols))
	for i, s := range f.symbols {
		order[i] = uint64(s.rva)<<32 | uint64(i)
	}
	slices.Sort(order)
	f.byRVA = make([]uint32, len(order))
	for i, o := range order {
		f.byRVA[i] = uint32(o)
	}
	slices.SortFunc(f.types, func(a, b ISFType) int { return cmp.Compare(a.Name, b.Name) })
}

func (d *isfDecoder) metadata(key []byte) {
	if string(key) != "windows" {
		d.skip()
		return
	}
	d.object(func(key []byte) {
		if string(key) == "pdb" {
			d.object(d.pdb)
		} else {
			d.skip()
		}
	})
}

func (d *isfDecoder) pdb(key []byte) {
	p := &d.f.PDB
	switch string(key) {
	case "GUID":
		guid, ok := guidOf(string(d.text()))
		if !ok {
			d.fail("a damaged GUID")
		}
		p.GUID = guid
	case "age":
		p.Age = uint32(d.number())
	case "database":
		p.Path = win.Clean(string(d.text()))
	case "machine_type":
		d.f.Machine = pe.Machine(d.number())
		d.f.Wide = d.f.Wide || d.f.Machine == pe.X64 || d.f.Machine == pe.ARM64
	default:
		d.skip()
	}
}

func (d *isfDecoder) baseType(key []byte) {
	name := string(key)
	d.object(func(key []byte) {
		if string(key) != "size" {
			d.skip()
			return
		}
		size := uint32(d.number())
		d.f.sizes[name] = size
		if name == "pointer" {
			d.f.Wide = size == 8
		}
	})
}

func (d *isfDecoder) symbol(name []byte) {
	address, has := uint64(0), false
	d.object(func(key []byte) {
		if string(key) == "address" {
			address, has = d.whole()
		} else {
			d.skip()
		}
	})
	if !has || address >= 1<<32 || len(name) == 0 {
		return // a symbol of another system, or none
	}
	start := uint32(d.all.Len())
	d.all.Write(name)
	d.f.symbols = append(d.f.symbols, symbol{name: start, end: uint32(d.all.Len()), rva: pe.RVA(address)})
}

func (d *isfDecoder) userType(name []byte) {
	t := ISFType{Name: d.intern(name)}
	d.object(func(key []byte) {
		switch string(key) {
		case "size":
			t.Size = uint32(d.number())
		case "kind":
			t.Union = string(d.text()) == "union"
		case "fields":
			d.object(func(name []byte) { t.Fields = append(t.Fields, d.field(name)) })
		default:
			d.skip()
		}
	})
	slices.SortFunc(t.Fields, func(a, b ISFField) int { return strings.Compare(a.Name, b.Name) })
	d.f.types = append(d.f.types, t)
}

func (d *isfDecoder) field(name []byte) ISFField {
	m := ISFField{Name: d.intern(name)}
	d.object(func(key []byte) {
		switch string(key) {
		case "offset":
			m.Offset = uint32(d.number())
		case "type":
			t := d.fieldType(&m)
			m.Type = d.intern(t)
		default:
			d.skip()
		}
	})
	return m
}

// fieldType reads a type of any kind and writes it in one line; a bit field
// leaves its place in m.
func (d *isfDecoder) fieldType(m *ISFField) []byte {
	var kind, name, inner []byte
	var count uint64
	d.object(func(key []byte) {
		switch string(key) {
		case "kind":
			kind = d.text()
		case "name":
			name = d.text()
		case "subtype", "type":
			inner = d.fieldType(m)
		case "count":
			count = d.number()
		case "bit_position":
			m.Bit = uint8(d.number())
		case "bit_length":
			m.Bits = uint8(d.number())
		default:
			d.skip()
		}
	})
	switch string(kind) {
	case "pointer":
		return slices.Concat([]byte("*"), inner)
	case "array":
		d.kind = append(strconv.AppendUint(append(d.kind[:0], '['), count, 10), ']')
		return slices.Concat(d.kind, inner)
	case "bitfield":
		return inner
	case "function":
		return []byte("function")
	}
	return name
}

// intern returns one string for equal bytes: the names of types and fields
// repeat.
func (d *isfDecoder) intern(b []byte) string {
	if s, ok := d.names[string(b)]; ok {
		return s
	}
	s := string(b)
	d.names[s] = s
	return s
}
