package kernel_test

import (
	"fmt"
	"sync"
	"testing"
	"time"

	"bugcheck/dump"
	"bugcheck/internal/damage"
	"bugcheck/kernel"
	"bugcheck/lab"
)

// walkDamaged opens a damaged file and walks it. While the header stands, it
// must open and have the right stop code.
func walkDamaged(t *testing.T, what string, file damage.File, at int, h damage.Header, code uint32) {
	t.Helper()
	start := time.Now()
	f, err := dump.Open(file, file.Size())
	switch {
	case err != nil && at >= h.Size:
		t.Errorf("%s: Open: %v, but the header is whole", what, err)
	case err == nil && at >= h.Size && f.Header.BugCheckCode != code:
		t.Errorf("%s: stop code %#x, want %#x", what, f.Header.BugCheckCode, code)
	}
	if err == nil {
		walk(t, kernel.OpenWith(t.Context(), f, finder(t, "")))
	}
	if d := time.Since(start); d > 10*time.Second {
		t.Errorf("%s: took %v", what, d)
	}
}

// Each page of a dump zeroed, removed, and the file cut there: everything that
// is still reachable is asked.
func TestMachine_Damage(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		step := damage.PageSize
		if testing.Short() {
			step *= 5
		}
		for at := 0; at < len(b); at += step {
			for _, kind := range damage.Kinds {
				what := fmt.Sprintf("page at %#x %s", at, kind.Name)
				walkDamaged(t, what, kind.File(b, at, min(at+damage.PageSize, len(b))), at, damage.HeaderOf(b), d.Code)
			}
		}
	})
}

// One machine is asked by eight goroutines at once; go test -race proves that
// it is immutable.
func TestMachine_Concurrent(t *testing.T) {
	for _, b := range builds {
		d := lab.SystemThreadException(b)
		if !isX86(d) {
			d.Blocks = append(d.Blocks, ioMachine(b).Blocks...)
		}
		m := open(t, d)
		want := addresses(m.Stack(m.HeaderRegisters(), nil))
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				walk(t, m)
				walkAddress(t, m, irpAt)
				m.SMBIOS()
				m.File.Processor()
				if got := addresses(m.Stack(m.HeaderRegisters(), nil)); fmt.Sprint(got) != fmt.Sprint(want) {
					t.Errorf("%v: frames %v, want %v", b, got, want)
				}
			})
		}
		wg.Wait()
	}
}
