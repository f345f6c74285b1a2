package bench

import (
	"encoding/binary"
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/memtest"
	"bugcheck/mem"
)

// gib64 is a machine of 64 GiB, in pages.
const gib64 = 64 << 30 / mem.PageSize

// wholeDump writes a bitmap dump of a machine with pages of RAM, of which every
// page is there where share is 1, else about one in share; what stands in m is
// there always. The file is sparse.
func wholeDump(b *testing.B, pages, share uint64, m *memtest.Memory, root mem.PA) (*os.File, int64) {
	b.Helper()
	rnd := rand.New(rand.NewPCG(1, 2))
	head := make([]byte, (0x2038+pages/8+0xfff)&^0xfff)
	copy(head, "PAGEDU64")
	copy(head[0x2000:], "FDMPDUMP")
	for off, v := range map[int]uint64{0x10: uint64(root), 0x30: 0x8664, 0xf98: 5, 0x2020: uint64(len(head)), 0x2030: pages} {
		binary.LittleEndian.PutUint64(head[off:], v)
	}
	for i := range pages / 8 {
		if head[0x2038+i] = 0xff; share > 1 {
			head[0x2038+i] = byte(1 << rnd.Uint64N(8))
		}
	}
	for _, n := range m.Numbers() {
		head[0x2038+n/8] |= 1 << (n % 8)
	}
	file, err := os.Create(filepath.Join(b.TempDir(), "MEMORY.DMP"))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { file.Close() })
	size := int64(len(head)) + int64(pages)*mem.PageSize
	if err := file.Truncate(size); err != nil {
		b.Fatal(err)
	}
	if _, err := file.WriteAt(head, 0); err != nil {
		b.Fatal(err)
	}
	f := openDump(b, file, size)
	for _, n := range m.Numbers() {
		off, _ := f.PageOffset(mem.PA(n * mem.PageSize))
		if _, err := file.WriteAt(m.Page(mem.PA(n*mem.PageSize)), off); err != nil {
			b.Fatal(err)
		}
	}
	return file, size
}

func openDump(b *testing.B, file *os.File, size int64) *dump.File {
	b.Helper()
	f, err := dump.Open(file, size)
	if err != nil {
		b.Fatal(err)
	}
	return f
}

// BenchmarkOpenWhole opens dumps of machines of 1 and 64 GiB.
func BenchmarkOpenWhole(b *testing.B) {
	for name, pages := range map[string]uint64{"1GiB": gib64 / 64, "64GiB": gib64} {
		b.Run(name, func(b *testing.B) {
			file, size := wholeDump(b, pages, 1, memtest.New(), 0)
			b.ReportAllocs()
			for b.Loop() {
				openDump(b, file, size)
			}
		})
	}
}

// BenchmarkPageLookup finds random pages in the map of 64 GiB, of which one page
// in eight is there.
func BenchmarkPageLookup(b *testing.B) {
	file, size := wholeDump(b, gib64, 8, memtest.New(), 0)
	f := openDump(b, file, size)
	rnd := rand.New(rand.NewPCG(3, 4))
	list := make([]mem.PA, 1<<16)
	for i := range list {
		list[i] = mem.PA(rnd.Uint64N(gib64) * mem.PageSize)
	}
	i, found := 0, 0
	for b.Loop() {
		if _, ok := f.PageOffset(list[i%len(list)]); ok {
			found++
		}
		i++
	}
	if i > 1<<12 && found == 0 {
		b.Fatal("no page is found")
	}
}

// BenchmarkSpace reads pointers of a kernel: a list that stays in some pages, a
// list all over 64 MiB, and the same 64 MiB a page at a time.
func BenchmarkSpace(b *testing.B) {
	const base, pages = mem.VA(0xffffa00000000000), 16384
	m := memtest.New()
	tables := memtest.NewTables(m, mem.PagingX64)
	rnd := rand.New(rand.NewPCG(5, 6))
	for _, n := range rnd.Perm(pages) {
		tables.Map(base+mem.VA(n*mem.PageSize), m.NewPage(), 1)
	}
	file, size := wholeDump(b, gib64, 8, m, tables.Root)
	for _, tt := range []struct {
		name string
		over uint64 // bytes
	}{{"near", 64 * mem.PageSize}, {"far", pages * mem.PageSize}} {
		b.Run(tt.name, func(b *testing.B) {
			s := openDump(b, file, size).Memory
			for b.Loop() {
				if _, err := mem.ReadU64(s, base+mem.VA(rnd.Uint64N(tt.over/8)*8)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	b.Run("translate", func(b *testing.B) {
		s := openDump(b, file, size).Space(tables.Root)
		for b.Loop() {
			if _, err := s.Translate(base + mem.VA(rnd.Uint64N(pages)*mem.PageSize)); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("pages", func(b *testing.B) {
		s := openDump(b, file, size).Memory
		p := make([]byte, 64*mem.PageSize)
		b.SetBytes(int64(len(p)))
		for i := 0; b.Loop(); i++ {
			if _, err := s.ReadAt(p, base+mem.VA(i*len(p)%(pages*mem.PageSize))); err != nil {
				b.Fatal(err)
			}
		}
	})
}
