package render_test

import (
	"bytes"
	"strings"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/memtest"
	"bugcheck/mem"
	"bugcheck/render"
)

// Info says how much of the machine's memory a dump holds, and how its page
// tables are read.
func TestInfo_Physical(t *testing.T) {
	for _, tt := range []struct {
		machine uint64
		want    []string
	}{
		{0x400, []string{"Physical memory", "2 of 4 MiB", "Page tables", "x86 PAE at 1a000"}},
		{0, []string{"Physical memory", "2 MiB"}},
	} {
		f := &dump.File{Kind: dump.Full, Arch: dump.X86, Physical: memtest.New(), Pages: 0x200, PhysicalPages: tt.machine,
			Paging: mem.Paging{Kind: mem.PagingPAE}, Header: dump.Header{DirectoryTable: 0x1a000}}
		var b bytes.Buffer
		if err := render.Info(&b, "MEMORY.DMP", f); err != nil {
			t.Fatal(err)
		}
		for _, want := range tt.want {
			if !strings.Contains(b.String(), want) {
				t.Errorf("%d pages in the machine: %q is not in\n%s", tt.machine, want, b.String())
			}
		}
	}
}
