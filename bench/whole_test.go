package bench

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"math/rand/v2"
	"os"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"bugcheck/dump"
	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/mem"
)

// labDump writes a sparse dump of a lab machine with size bytes of memory, a sixteenth of it
// the kernel's and a quarter the processes', and returns 10,000 addresses in 8 MiB of it, each
// as the physical and the virtual one.
func labDump(t testing.TB, path string, format ram.Format, size uint64) (pages []mem.PA, addresses []mem.VA, root mem.PA) {
	t.Helper()
	s, err := lab.NewSystem("x64", 22621, size)
	if err != nil {
		t.Fatal(err)
	}
	const pool, mapped = 0xffffa00000000000, 2048
	if err := s.Space.Map(pool, mapped*ram.PageSize, ram.Writable); err != nil {
		t.Fatal(err)
	}
	for _, r := range s.Memory.Runs() {
		for pfn := r.Base; pfn < r.Base+r.Count; pfn++ {
			if c := classOf(pfn); s.Memory.Class(pfn) == ram.ClassFree && c != ram.ClassFree {
				s.Memory.SetClass(pfn, c)
			}
		}
	}
	r := rand.New(rand.NewPCG(64, 1))
	for range 10000 {
		va := pool + r.Uint64N(mapped)*ram.PageSize + r.Uint64N(0xff8)
		pa, err := s.Space.Translate(va)
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Memory.Write(pa, []byte("filled")); err != nil {
			t.Fatal(err)
		}
		pages, addresses = append(pages, mem.PA(pa)), append(addresses, mem.VA(va))
	}
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := s.Dump(f, format); err != nil {
		t.Fatal(err)
	}
	return pages, addresses, mem.PA(s.Space.Root())
}

// classOf spreads what is in use over the memory, in pieces of 16 pages.
func classOf(pfn uint64) ram.Class {
	switch pfn / 16 * 7 % 16 {
	case 0:
		return ram.ClassKernel
	case 1, 2, 3, 4:
		return ram.ClassUser
	}
	return ram.ClassFree
}

// TestWholePeer is the process that whole-peers.sh measures. $WHOLE_PEER is "make FILE
// FORMAT GIB", which also writes FILE.questions; "time FILE", with questions on standard
// input; or "scan FILE".
func TestWholePeer(t *testing.T) {
	args := strings.Fields(os.Getenv("WHOLE_PEER"))
	if len(args) < 2 {
		t.Skip("whole-peers.sh runs it")
	}
	switch args[0] {
	case "make":
		makePeer(t, args[1], args[2], args[3])
	case "time":
		timePeer(t, args[1])
	case "scan":
		f, r := openWhole(t, args[1])
		defer r.Close()
		start := time.Now()
		n, hits := scan(f, r)
		fmt.Printf("scan %.0f MiB/s, %d found\n", float64(n)/(1<<20)/time.Since(start).Seconds(), hits)
	}
}

func makePeer(t *testing.T, path, format, gib string) {
	kind, err := ram.ParseFormat(format)
	if err != nil {
		t.Fatal(err)
	}
	size, err := strconv.ParseUint(gib, 10, 16)
	if err != nil {
		t.Fatal(err)
	}
	pages, addresses, root := labDump(t, path, kind, size<<30)
	var b bytes.Buffer
	for i := range pages {
		fmt.Fprintf(&b, "p %#x\nv %#x %#x\n", uint64(pages[i]), uint64(root), uint64(addresses[i]))
	}
	if err := os.WriteFile(path+".questions", b.Bytes(), 0o600); err != nil {
		t.Fatal(err)
	}
}

// timePeer prints nanoseconds under the names that the peer uses.
func timePeer(t *testing.T, path string) {
	start := time.Now()
	f, r := openWhole(t, path)
	defer r.Close()
	opened := time.Since(start)
	var pages []mem.PA
	var addresses []mem.VA
	var root mem.PA
	for s := bufio.NewScanner(os.Stdin); s.Scan(); {
		var pa, base, va uint64
		if n, _ := fmt.Sscanf(s.Text(), "p 0x%x", &pa); n == 1 {
			pages = append(pages, mem.PA(pa))
		} else if n, _ := fmt.Sscanf(s.Text(), "v 0x%x 0x%x", &base, &va); n == 2 {
			addresses, root = append(addresses, mem.VA(va)), mem.PA(base)
		}
	}
	b, page := make([]byte, 8), make([]byte, mem.PageSize)
	space := f.Space(root)
	start = time.Now()
	modules := len(kernel.Open(f).Modules)
	fmt.Printf("alone %d\n", opened.Nanoseconds())
	fmt.Printf("open %d\n", (opened + time.Since(start)).Nanoseconds())
	fmt.Printf("modules %d\n", modules)
	fmt.Printf("lookup %.1f\n", each(pages, func(pa mem.PA) { _, _ = f.PageOffset(pa) }))
	fmt.Printf("physical %.1f\n", each(pages, func(pa mem.PA) { _, _ = f.Physical.ReadPhysical(b, pa) }))
	fmt.Printf("translate %.1f\n", each(addresses, func(va mem.VA) { _, _ = space.Translate(va) }))
	fmt.Printf("read %.1f\n", each(addresses, func(va mem.VA) { _, _ = space.ReadAt(page, va) }))
}

// each is the nanoseconds of one call of f, over all of the items, again and again for 0.2 s.
func each[T any](items []T, f func(T)) float64 {
	start, calls := time.Now(), 0
	for time.Since(start) < 200*time.Millisecond {
		for _, item := range items {
			f(item)
		}
		calls += len(items)
	}
	return float64(time.Since(start).Nanoseconds()) / float64(calls)
}

func openWhole(t testing.TB, path string) (*dump.File, *os.File) {
	t.Helper()
	r, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	info, err := r.Stat()
	if err != nil {
		t.Fatal(err)
	}
	f, err := dump.Open(r, info.Size())
	if err != nil {
		t.Fatal(err)
	}
	return f, r
}

// scan looks for a word in all physical memory of a dump with two goroutines, as a search
// for pool tags or strings does. It returns how much it read, and how often it was there.
func scan(f *dump.File, r io.ReaderAt) (size int64, hits int) {
	const piece = 1 << 20
	work := make(chan dump.PhysicalRun, 64)
	var group sync.WaitGroup
	var lock sync.Mutex
	for range 2 {
		group.Go(func() {
			b := make([]byte, piece)
			for run := range work {
				n, _ := r.ReadAt(b[:run.Size], run.Offset)
				found := bytes.Count(b[:n], []byte("filled"))
				lock.Lock()
				size, hits = size+int64(n), hits+found
				lock.Unlock()
			}
		})
	}
	for run := range f.PhysicalRuns() {
		for run.Size > piece {
			work <- dump.PhysicalRun{Address: run.Address, Size: piece, Offset: run.Offset}
			run.Address, run.Offset, run.Size = run.Address+piece, run.Offset+piece, run.Size-piece
		}
		work <- run
	}
	close(work)
	group.Wait()
	return size, hits
}
