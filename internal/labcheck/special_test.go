package labcheck_test

import (
	"bytes"
	"encoding/binary"
	"strings"
	"testing"

	"bugcheck/internal/labcheck"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/report"
)

// A page of special pool, as ReactOS lays it out (ntoskrnl/mm/ARM3/special.c): a header
// with the size and the tag, a byte that fills the page, the block at its end. The page
// behind it is not there.
func putSpecial(t *testing.T, s *lab.System, tag string, size int) (block, guard uint64) {
	t.Helper()
	const page, fill = 0xffffb20844c00000, 0x5a
	b := bytes.Repeat([]byte{fill}, 0x1000)
	binary.LittleEndian.PutUint16(b, uint16(size)|0x4000)
	b[3] = 0
	copy(b[4:], tag)
	start := (0x1000 - size) &^ 15
	copy(b[start:], bytes.Repeat([]byte{0x11}, 0x1000-start))
	if err := s.Space.Map(page, 0x1000, ram.Writable); err != nil {
		t.Fatal(err)
	}
	if err := s.Space.Write(page, b); err != nil {
		t.Fatal(err)
	}
	return page + uint64(start), page + 0x1000
}

// Special pool's stop codes name the block in front of the guard page and the block that
// was freed.
func TestSpecialPool(t *testing.T) {
	for _, tt := range []struct {
		code       uint32
		parameters func(block, guard uint64) [4]uint64
		want       []string
	}{
		{0xcd, func(_, guard uint64) [4]uint64 { return [4]uint64{guard + 4, 1, 0, 0} },
			[]string{"4 bytes behind the end of the page in front", "lies a block of special pool (nonpaged pool, 288 bytes at 0xffffb20844c00ee0, tag Lflt)", "stands in the code of labflt.sys"}},
		{0xc1, func(block, _ uint64) [4]uint64 { return [4]uint64{block, block - 8, 0, 0x23} },
			[]string{"8 bytes in front of the block", "in use (nonpaged pool, 288 bytes", "stands in the code of labflt.sys"}},
	} {
		b, err := labcheck.New("verifier", lab.Options{Arch: "x64", Build: 17763}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		block, guard := putSpecial(t, b.Crash.System, "Lflt", 288)
		if err := b.Crash.System.SetBugCheck(tt.code, tt.parameters(block, guard), ""); err != nil {
			t.Fatal(err)
		}
		r, err := b.Report("kernel", true)
		b.Close()
		if err != nil {
			t.Fatal(err)
		}
		all := evidenceOf(r)
		for _, want := range tt.want {
			if !strings.Contains(all, want) {
				t.Errorf("0x%x: no %q in\n%s", tt.code, want, all)
			}
		}
		if v := r.Verdict; v.Cause != report.CauseDriver || v.Image != "labflt.sys" {
			t.Errorf("0x%x: cause %s, image %s", tt.code, v.Cause, v.Image)
		}
	}
}

// The page of RAM that a stop code is about: what Windows has it down as, and that the
// page table says the same.
func TestRAMPage(t *testing.T) {
	for _, tt := range []struct {
		name  string
		flip  uint64
		want  string
		cause string
	}{
		{"agrees", 0, "down as in use, for the kernel's address 0x", report.CauseMemoryCorruption},
		{"one bit", 1 << 21, "one bit (bit 21) is wrong", report.CauseHardware},
		{"two bits", 3 << 21, "down as in use, for the kernel's address 0x", report.CauseMemoryCorruption},
	} {
		b, err := labcheck.New("verifier", lab.Options{Arch: "x64", Build: 26100}, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		s := b.Crash.System
		entry, err := s.Space.PTE(s.Module("labflt.sys").Base)
		if err != nil {
			t.Fatal(err)
		}
		page := entry.Frame()
		entry.Set(entry.Get() ^ tt.flip)
		if err := s.SetBugCheck(0x4e, [4]uint64{0x99, page, 0, 0}, ""); err != nil {
			t.Fatal(err)
		}
		r, err := b.Report("kernel", true)
		b.Close()
		if err != nil {
			t.Fatal(err)
		}
		all := evidenceOf(r)
		if r.Verdict.Cause != tt.cause || !strings.Contains(all, tt.want) || !strings.Contains(all, "physical page") {
			t.Errorf("%s: cause %s, want %s and %q in\n%s", tt.name, r.Verdict.Cause, tt.cause, tt.want, all)
		}
	}
}

// Of 0x1A with kind 0x61941 parameter 4 is taken for a trap frame where it agrees with
// parameters 2 and 3, and not elsewhere.
func TestBrokenPageTables(t *testing.T) {
	for _, o := range []lab.Options{{Arch: "x64", Build: 26100}, {Arch: "arm64", Build: 26100}} {
		b, err := labcheck.New("high-irql-kernel", o, t.TempDir())
		if err != nil {
			t.Fatal(err)
		}
		defer b.Close()
		first, err := b.Report("kernel", true)
		if err != nil {
			t.Fatal(err)
		}
		trap, address := uint64(first.Context.Address), b.Crash.System.Parameters[0]
		code, offset := uint64(0), uint64(0x160) // where KTRAP_FRAME has the error code
		if o.Arch == "arm64" {
			offset = 0x94
		}
		word, err := b.Crash.System.Word(trap + offset&^7)
		if err != nil {
			t.Fatal(err)
		}
		if code = word; offset&4 != 0 {
			code >>= 32
		}
		for _, tt := range []struct {
			parameters [4]uint64
			want       string
		}{
			{[4]uint64{0x61941, address, code, trap}, report.ContextTrapFrame},
			{[4]uint64{0x61941, address + 8, code, trap}, report.ContextHeader},
			{[4]uint64{0x61941, address, code ^ 9, trap}, report.ContextHeader},
		} {
			if err := b.Crash.System.SetBugCheck(0x1a, tt.parameters, ""); err != nil {
				t.Fatal(err)
			}
			r, err := b.Report("kernel", true)
			if err != nil {
				t.Fatal(err)
			}
			if r.Context.Kind != tt.want || r.Verdict.Cause != report.CauseMemoryCorruption {
				t.Errorf("%s, %#x: context %s, want %s; cause %s", o.Arch, tt.parameters, r.Context.Kind, tt.want, r.Verdict.Cause)
			}
		}
	}
}
