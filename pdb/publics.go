package pdb

import (
	"bytes"
	"fmt"
	"math/bits"
	"strconv"
	"sync/atomic"

	"bugcheck/internal/le"
)

// The public symbols: a header, a hash of the names, then the offsets of their
// records sorted by address. Source: PSGSIHDR and GSIHashHdr in PDB/dbi/gsi.h of
// microsoft-pdb.
const (
	publicsHeader = 0x1c
	hashHeader    = 0x10
	hashSignature = 0xffffffff
	hashVersion   = 0xeffe0000 + 19990810
	hashEntry     = 8  // offset of the record plus 1, references
	hashEntrySize = 12 // of an entry in memory, which is what buckets count in
	hashBuckets   = 4096
	hashMinimal   = 0x3ffff // with /debug:fastlink
)

// publics is the index of the public symbols.
type publics struct {
	*hash
	at, count uint32          // of the address map: offset, entries
	known     []atomic.Uint64 // addresses of the entries that were read; else 0
}

// hash is a table of names: the entries of a bucket lie one behind another.
type hash struct {
	s       *stream
	entries uint32   // where they begin
	starts  []uint32 // index of a bucket's first entry; one more than there are buckets
}

// readPublics reads the header and the buckets; the rest is read in place.
func (f *File) readPublics() (*publics, error) {
	p := &publics{hash: &hash{}}
	s := f.msf.stream(stream16(f.dbi.publics), "publics")
	if f.dbi.s == nil || s == nil {
		return p, nil
	}
	head, err := s.bytes(0, publicsHeader)
	if err != nil {
		return p, err
	}
	size, mapSize := le.U32(head, 0), le.U32(head, 4)
	if uint64(size)+uint64(mapSize) > uint64(s.len()-publicsHeader) {
		return p, wrong("publics: %d and %d bytes do not fit", size, mapSize)
	}
	p.s, p.at, p.count = s, publicsHeader+size, mapSize/4
	p.known = make([]atomic.Uint64, p.count)
	table, err := f.readHash(s, publicsHeader, size)
	if p.hash = table; table.s == nil {
		table.s = s
	}
	return p, err
}

// readGlobals reads the table of what modules refer to by name.
func (f *File) readGlobals() (*hash, error) {
	s := f.msf.stream(stream16(f.dbi.globals), "globals")
	if f.dbi.s == nil || s == nil {
		return &hash{}, nil
	}
	return f.readHash(s, 0, s.len())
}

// readHash decodes the buckets of the hash at at: a bit for each bucket that is
// not empty, then where its entries begin.
func (f *File) readHash(s *stream, at, size uint32) (*hash, error) {
	h := &hash{}
	if size < hashHeader {
		return h, nil
	}
	head, err := s.bytes(at, hashHeader)
	if err != nil {
		return h, err
	}
	entries, buckets := le.U32(head, 8), le.U32(head, 12)
	if le.U32(head, 0) != hashSignature || le.U32(head, 4) != hashVersion || uint64(hashHeader)+uint64(entries)+uint64(buckets) > uint64(size) {
		return h, wrong("%s: the hash is of no known format", s.name)
	}
	b, err := s.bytes(at+hashHeader+entries, buckets)
	if err != nil {
		return h, err
	}
	n := uint32(hashBuckets)
	if f.minimal {
		n = hashMinimal
	}
	h.s, h.entries = s, at+hashHeader
	h.starts, err = bucketStarts(b, n, entries/hashEntry)
	return h, err
}

// bucketStarts spreads the stored starts over all n buckets.
func bucketStarts(b []byte, n, entries uint32) ([]uint32, error) {
	if len(b) == 0 {
		return nil, nil
	}
	words := int(n/32 + 1)
	if len(b) < 4*words {
		return nil, wrong("a hash has %d bytes of buckets", len(b))
	}
	ones := 0
	for i := range words {
		ones += bits.OnesCount32(le.U32(b, 4*i))
	}
	stored := b[4*words:]
	if len(stored) < 4*ones {
		return nil, wrong("a hash has %d buckets, but %d bytes for them", ones, len(stored))
	}
	starts := make([]uint32, n+1)
	next := entries
	for i := int(n); i >= 0; i-- {
		if starts[i] = next; le.U32(b, 4*(i/32))&(1<<(i%32)) != 0 {
			ones--
			next = min(le.U32(stored, 4*ones)/hashEntrySize, next)
			starts[i] = next
		}
	}
	return starts, nil
}

// find calls use with each record whose name may hash as name does, until it
// says that it found one.
func (h *hash) find(f *File, name string, use func(record) bool) bool {
	if len(h.starts) == 0 {
		return false
	}
	bucket := hashName(name) % uint32(len(h.starts)-1)
	for i := h.starts[bucket]; i < h.starts[bucket+1]; i++ {
		off, err := h.s.u32(h.entries + i*hashEntry)
		if err != nil || off == 0 {
			continue
		}
		if r, err := f.records.record(off - 1); err == nil && use(r) {
			return true
		}
	}
	return false
}

// hashName is the hash of a name without regard to case: LHashPbCb in
// PDB/include/misc.h of microsoft-pdb, hashStringV1 of LLVM.
func hashName(name string) uint32 {
	h := uint32(0)
	b := name
	for ; len(b) >= 4; b = b[4:] {
		h ^= uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
	}
	if len(b) >= 2 {
		h ^= uint32(b[0]) | uint32(b[1])<<8
		b = b[2:]
	}
	if len(b) == 1 {
		h ^= uint32(b[0])
	}
	h |= 0x20202020
	h ^= h >> 11
	return h ^ h>>16
}

// publicAddress reads where the public symbol whose record is at off lies.
func (f *File) publicAddress(off uint32) (address, bool) {
	b, err := f.records.bytes(off, recordHead+10)
	if err != nil {
		return 0, false
	}
	if kind := le.U16(b, 2); kind != symPublic && kind != symPublicOld {
		return 0, false
	}
	return newAddress(le.U16(b, 12), le.U32(b, 8)), true
}

// publicAt finds the nearest public symbol at or before an address, in the same
// section.
func (f *File) publicAt(at address) (place, bool) {
	p, _ := f.publics()
	i := p.search(f, at+1)
	if i == 0 {
		return place{}, false
	}
	off, begin, ok := p.entry(f, i-1)
	if !ok || begin.section() != at.section() || begin > at {
		return place{}, false
	}
	if i > 1 && p.address(f, i-2) == begin {
		off, _, _ = p.entry(f, p.search(f, begin))
	}
	r, err := f.records.record(off)
	if err != nil {
		return place{}, false
	}
	return locate(r)
}

// search is the index of the first entry of the address map at or behind at.
func (p *publics) search(f *File, at address) uint32 {
	lo, hi := uint32(0), p.count
	for lo < hi {
		mid := lo + (hi-lo)/2
		if p.address(f, mid) < at {
			lo = mid + 1
		} else {
			hi = mid
		}
	}
	return lo
}

// address is where an entry lies; the first to ask reads its record. Searches so
// touch few records.
func (p *publics) address(f *File, i uint32) address {
	if at := p.known[i].Load(); at != 0 {
		return address(at)
	}
	_, at, _ := p.entry(f, i)
	p.known[i].Store(uint64(at))
	return at
}

// entry is the record and the address of one entry of the address map; zero and
// false for one that is damaged.
func (p *publics) entry(f *File, i uint32) (off uint32, at address, ok bool) {
	if i >= p.count {
		return 0, 0, false
	}
	off, err := p.s.u32(p.at + 4*i)
	if err != nil {
		return 0, 0, false
	}
	at, ok = f.publicAddress(off)
	return off, at, ok
}

// Publics lists the public symbols by address. What is damaged is left off; the
// error names the first such.
func (f *File) Publics() ([]Symbol, error) {
	p, err := f.publics()
	var list []Symbol
	left := int64(f.records.len()) // of text: no two publics share a record
	for i := range p.count {
		off, bad := p.s.u32(p.at + 4*i)
		if bad == nil {
			var r record
			if r, bad = f.records.record(off); bad == nil {
				if place, ok := locate(r); ok {
					if left -= int64(len(place.name)); left < 0 {
						return list, wrong("the names of the public symbols together are longer than their records")
					}
					list = append(list, f.symbol(place))
					continue
				}
				bad = wrong("public %d: a record of kind 0x%x", i, r.kind)
			}
		}
		keep(&err, bad)
	}
	return list, err
}

// Find finds a symbol by its exact stored name, in private symbols first, since
// those have a size. On x86 the plain name of a C function also finds its
// decorated one (_NtClose@4). It looks into the hashes and lists nothing; a C++
// function is found by its plain name only where private symbols are there.
func (f *File) Find(name string) (Symbol, bool) {
	if sym, ok := f.findGlobal(name); ok {
		return sym, true
	}
	if sym, ok := f.findPublic(name); ok || f.Machine != machineX86 || name == "" {
		return sym, ok
	}
	if sym, ok := f.findPublic("_" + name); ok {
		return sym, true
	}
	for n := 0; n <= maxArguments; n += 4 {
		at := "@" + strconv.Itoa(n)
		for _, decorated := range []string{"_" + name + at, "@" + name + at} {
			if sym, ok := f.findPublic(decorated); ok {
				return sym, true
			}
		}
	}
	return Symbol{}, false
}

const (
	machineX86   = 0x14c
	maxArguments = 128 // bytes of arguments that Find tries; no export of Windows has as many
)

// shortName is the length of the longest names that object files hold in place.
// lld 19 hashes public symbols whose names are that long with the bytes behind
// the name, so those are looked for one by one if the hash does not lead to them
// (TestOracle_Publics, _fltused).
const shortName = 8

func (f *File) findPublic(name string) (found Symbol, ok bool) {
	p, _ := f.publics()
	ok = p.find(f, name, func(r record) bool {
		found, ok = f.match(r, name)
		return ok
	})
	if ok || len(name) != shortName {
		return found, ok
	}
	for i := range p.count {
		if off, _, has := p.entry(f, i); has {
			if r, err := f.records.record(off); err == nil {
				if found, ok = f.match(r, name); ok {
					break
				}
			}
		}
	}
	return found, ok
}

// match decodes a record if it has this name, and lies in the image.
func (f *File) match(r record, name string) (Symbol, bool) {
	p, ok := locate(r)
	if !ok || string(p.name) != name {
		return Symbol{}, false
	}
	rva, ok := f.rva(p.at)
	if !ok {
		return Symbol{}, false
	}
	sym := f.symbol(p)
	sym.RVA = rva
	return sym, true
}

// Where a reference to a procedure (REFSYM2) has what.
const (
	refRecord = 4
	refModule = 8 // from 1
	refName   = 10
)

func (f *File) findGlobal(name string) (found Symbol, ok bool) {
	g, _ := f.globals()
	ok = g.find(f, name, func(r record) bool {
		if r.kind == symProcedureRef || r.kind == symLocalProcRef {
			var err error
			if r, err = f.follow(r, name); err != nil {
				return false
			}
		}
		found, ok = f.match(r, name)
		return ok
	})
	return found, ok
}

// follow reads the procedure that a reference leads to.
func (f *File) follow(r record, name string) (record, error) {
	b := r.data
	if len(b) < refName || !bytes.HasPrefix(b[refName:], []byte(name)) {
		return record{}, wrong("another name")
	}
	m, _ := f.modules()
	i := int(le.U16(b, refModule)) - 1
	if i < 0 || i >= len(m.list) {
		return record{}, fmt.Errorf("%q: %w", name, wrong("module %d of %d", i, len(m.list)))
	}
	return m.list[i].open().record(le.U32(b, refRecord))
}
