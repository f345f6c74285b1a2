package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// PoolTag is what the blocks of one tag take up.
type PoolTag struct {
	Tag             string // four characters: Leak
	NonPaged, Paged PoolCount
}

// Bytes is what the tag takes up of both pools.
func (t PoolTag) Bytes() uint64 { return t.NonPaged.Bytes + t.Paged.Bytes }

// PoolCount counts the blocks of a tag in one pool.
type PoolCount struct {
	Bytes         uint64 // in use
	Allocs, Frees uint64 // since the start
}

// Blocks is the number in use.
func (c PoolCount) Blocks() uint64 { return c.Allocs - min(c.Frees, c.Allocs) }

// trackerLayout is a POOL_TRACKER_TABLE: Key stands at 0; the other fields by
// their offsets.
type trackerLayout struct {
	size, countWidth                   int
	nonPagedBytes, nonPagedAllocs, npf int
	pagedBytes, pagedAllocs, pf        int
}

// trackers are the layouts there are (dt nt!_POOL_TRACKER_TABLE): of 15063 to 19041
// and of 20348 to 26100 (JPCERTCC/Windows-Symbol-Tables; ntdiff/headers), which only
// grew; of 7601 to 14393, 64-bit.
var trackers = []trackerLayout{
	{0x38, 8, 0x8, 0x10, 0x18, 0x20, 0x28, 0x30},
	{0x50, 8, 0x8, 0x10, 0x18, 0x20, 0x28, 0x30},
	{0x28, 4, 0x10, 0x4, 0x8, 0x20, 0x18, 0x1c},
}

// trackerX86 is that of 32-bit kernels from 17763 on (novafacing/vergilius-rs).
var trackerX86 = trackerLayout{0x30, 8, 0x4, 0x8, 0x10, 0x18, 0x20, 0x28}

const (
	maxTrackerRows   = 1 << 16 // of one table; Windows makes 4096
	maxTrackerTables = 2048    // one a processor
	maxAllRows       = 1 << 24 // of all tables
	maxTrackerBytes  = 1 << 44 // more is no count of bytes but something else
	trackerChunk     = 1 << 16 // bytes read at once
	probedRows       = 512
	protectedTag     = 1 << 31 // PROTECTED_POOL, set in the keys of some tags
)

// tracker adds up rows by their key.
type tracker struct {
	m      *Machine
	layout trackerLayout
	sums   map[uint32]*[6]uint64
	left   int // rows that may still be read
	errs   []error
}

// PoolUsage lists the pool by tag, the largest first, from PoolTrackTable and the
// tables of the other processors. What was read is returned beside the errors.
func (m *Machine) PoolUsage() ([]PoolTag, error) {
	table, err := m.kernelPointer("PoolTrackTable", kdbgPoolTrackTable)
	if err != nil {
		return nil, fmt.Errorf("pool tags: %w", err)
	}
	t := &tracker{m: m, sums: map[uint32]*[6]uint64{}, left: maxAllRows}
	if t.layout, err = m.trackerLayout(table); err != nil {
		return nil, fmt.Errorf("pool tags: table at %v: %w", table, err)
	}
	rows := m.smallVariable("PoolTrackTableSize", maxTrackerRows)
	tables, err := m.tagTables(table)
	t.note(err)
	for _, va := range tables {
		t.table(va, rows)
	}
	if va, err := m.kernelPointer("PoolTrackTableExpansion", kdbgOnlySymbols); err == nil && va != 0 {
		t.table(va, m.smallVariable("PoolTrackTableExpansionSize", maxTrackerRows))
	}
	return t.list(), errors.Join(t.errs...)
}

func (t *tracker) note(err error) {
	if err != nil {
		t.errs = append(t.errs, fmt.Errorf("pool tags: %w", err))
	}
}

// smallVariable reads a count; zero where it is not known or not below limit+1.
func (m *Machine) smallVariable(name string, limit uint64) int {
	at, ok := m.Variable(name)
	if !ok {
		return 0
	}
	n, err := m.pointer(at)
	if err != nil || uint64(n) > limit {
		return 0
	}
	return int(n)
}

// trackerLayout takes the layout whose size the kernel's says, else the one under
// which the first rows of a table make the most sense.
func (m *Machine) trackerLayout(table mem.VA) (trackerLayout, error) {
	if m.Arch == dump.X86 {
		return trackerX86, nil
	}
	size := m.SizeOf("_POOL_TRACKER_TABLE")
	for _, l := range trackers {
		if l.size == size {
			return l, nil
		}
	}
	best, most := trackerLayout{}, 0
	for _, l := range trackers {
		b := m.readUpTo(table, l.size*probedRows)
		good := 0
		for ; len(b) >= l.size; b = b[l.size:] {
			switch row, ok := l.row(b); {
			case !ok:
				good -= 2
			case row.key != 0:
				good++
			}
		}
		if good > most {
			best, most = l, good
		}
	}
	if most == 0 {
		return best, fmt.Errorf("it is not in the dump, or no table of pool tags")
	}
	return best, nil
}

// readUpTo returns what can be read of n bytes at va from its start.
func (m *Machine) readUpTo(va mem.VA, n int) []byte {
	b := make([]byte, n)
	got, _ := m.Memory.ReadAt(b, va)
	return b[:got]
}

// trackerRow is one row: the counters in the order of PoolTag's fields.
type trackerRow struct {
	key      uint32
	counters [6]uint64
}

// row decodes the row at the start of b; false if it cannot be one.
func (l trackerLayout) row(b []byte) (trackerRow, bool) {
	r := trackerRow{key: le.U32(b, 0)}
	for i, at := range []int{l.nonPagedBytes, l.nonPagedAllocs, l.npf, l.pagedBytes, l.pagedAllocs, l.pf} {
		if l.countWidth == 4 && i%3 != 0 || l.size == trackerX86.size && i%3 == 0 {
			r.counters[i] = uint64(int64(int32(le.U32(b, at))))
		} else {
			r.counters[i] = le.U64(b, at)
		}
		// One processor's counter may be below zero: others freed what it allocated.
		if v := int64(r.counters[i]); v > maxTrackerBytes || v < -maxTrackerBytes {
			return r, false
		}
	}
	return r, r.key == 0 && r.counters == [6]uint64{} || r.key != 0 && plausibleTag(r.key)
}

// plausibleTag reports that a tag is made of printable characters, all but one:
// Windows has some with a zero or a control character at the end.
func plausibleTag(key uint32) bool {
	key &^= protectedTag
	odd := 0
	for i := range 4 {
		if c := byte(key >> (8 * i)); c < ' ' || c > '~' {
			odd++
		}
	}
	return odd <= 1
}

// TagText is a tag in characters, as debuggers write it; those that cannot be
// printed as dots.
func TagText(key uint32) string {
	key &^= protectedTag
	var b [4]byte
	for i := range b {
		if b[i] = byte(key >> (8 * i)); b[i] < ' ' || b[i] > '~' {
			b[i] = '.'
		}
	}
	return string(b[:])
}

// table adds up the rows of a table; rows 0: until one cannot be read or makes no
// sense. Pages that are missing are passed over.
func (t *tracker) table(va mem.VA, rows int) {
	known := rows > 0
	if !known {
		rows = maxTrackerRows
	}
	size := t.layout.size
	for done := 0; done < rows; {
		want := min(rows-done, trackerChunk/size)
		if t.left -= want; t.left < 0 {
			t.note(fmt.Errorf("table at %v: more than %d rows before it", va, maxAllRows))
			return
		}
		b := t.m.readUpTo(va+mem.VA(done*size), want*size)
		for ; len(b) >= size; b = b[size:] {
			if row, ok := t.layout.row(b); ok {
				t.add(row)
			} else if !known {
				return
			}
			done++
			want--
		}
		if want == 0 {
			continue
		}
		missing := va + mem.VA(done*size)
		if known || done == 0 {
			t.note(fmt.Errorf("table at %v: row %d: %w", va, done, &mem.Fault{Address: missing, Reason: mem.NotInDump}))
		}
		if !known { // the end of the table and a page that is missing look alike
			return
		}
		next := (missing + mem.VA(size) + pageSize - 1) &^ (pageSize - 1)
		done = int(next-va+mem.VA(size)-1) / size
	}
}

const pageSize = mem.PageSize

func (t *tracker) add(r trackerRow) {
	if r.key == 0 {
		return
	}
	key := r.key &^ protectedTag
	sum := t.sums[key]
	if sum == nil {
		sum = new([6]uint64)
		t.sums[key] = sum
	}
	for i, v := range r.counters {
		sum[i] += v
	}
}

// list sorts the sums. One that is below zero was torn by the crash between two
// processors' counters: it counts as zero.
func (t *tracker) list() []PoolTag {
	var list []PoolTag
	for key, sum := range t.sums {
		for i := range sum {
			sum[i] = uint64(max(int64(sum[i]), 0))
		}
		list = append(list, PoolTag{
			Tag:      TagText(key),
			NonPaged: PoolCount{Bytes: sum[0], Allocs: sum[1], Frees: sum[2]},
			Paged:    PoolCount{Bytes: sum[3], Allocs: sum[4], Frees: sum[5]},
		})
	}
	slices.SortFunc(list, func(a, b PoolTag) int {
		return cmp.Or(cmp.Compare(b.Bytes(), a.Bytes()), cmp.Compare(a.Tag, b.Tag))
	})
	return list
}

// tagTables are the tables of all processors: ExPoolTagTables, whose first is
// PoolTrackTable itself.
func (m *Machine) tagTables(first mem.VA) ([]mem.VA, error) {
	n := int(min(max(m.Header.Processors, 1), maxTrackerTables))
	at, ok := m.Variable("ExPoolTagTables")
	if !ok {
		at, ok = m.findTagTables(first, n)
	}
	if !ok {
		if n == 1 {
			return []mem.VA{first}, nil
		}
		return []mem.VA{first}, fmt.Errorf("the tables of the other processors were not found: what processor 0 did is counted alone")
	}
	b := m.readUpTo(at, n*m.Arch.PointerSize())
	tables := []mem.VA{first}
	for i := 1; i < n; i++ {
		v := field64(b, i*m.Arch.PointerSize(), m.Arch)
		if v == nil {
			return tables, fmt.Errorf("ExPoolTagTables: %w", &mem.Fault{Address: at + mem.VA(len(b)), Reason: mem.NotInDump})
		}
		if va := mem.VA(*v); m.isKernelAddress(va) && !slices.Contains(tables, va) {
			tables = append(tables, va)
		}
	}
	return tables, nil
}

// Where ExPoolTagTables stands around PoolTrackTable in the kernels whose public
// symbols are known: 0x4038 before it (22000) to 0x48 behind it (20348).
const (
	tagTablesBefore = 0x6000
	tagTablesBehind = 0x1000
)

// findTagTables looks for ExPoolTagTables near PoolTrackTable: the same first
// address again, then page-aligned ones for the other processors.
func (m *Machine) findTagTables(first mem.VA, n int) (mem.VA, bool) {
	variable, err := m.kernelVariable("PoolTrackTable", kdbgPoolTrackTable)
	width := mem.VA(m.Arch.PointerSize())
	if err != nil || variable < tagTablesBefore {
		return 0, false
	}
	for at := (variable - tagTablesBefore) &^ (width - 1); at < variable+tagTablesBehind; at += width {
		if at&(pageSize-1) == 0 && len(m.readUpTo(at, 1)) == 0 {
			at += pageSize - width // a page that is missing
			continue
		}
		if v, err := m.pointer(at); err != nil || v != first || at == variable {
			continue
		}
		b := m.readUpTo(at, n*int(width))
		good := len(b) == n*int(width)
		for i := 1; good && i < n; i++ {
			v := mem.VA(*field64(b, i*int(width), m.Arch))
			good = v&(pageSize-1) == 0 && m.isKernelAddress(v)
		}
		if good {
			return at, true
		}
	}
	return 0, false
}
