package dump_test

import (
	"fmt"
	"slices"
	"testing"

	"bugcheck/dump"
	"bugcheck/internal/damage"
	"bugcheck/lab"
)

// openDamaged opens a damaged file; nil where the damage is in the header and
// what is left is refused. While the header stands, the stop code must be right.
func openDamaged(t *testing.T, what string, file damage.File, at int, h damage.Header, code uint32) *dump.File {
	t.Helper()
	f, err := dump.Open(file, file.Size())
	if err != nil {
		if at >= h.Size {
			t.Errorf("%s: Open: %v, but the header is whole", what, err)
		}
		return nil
	}
	if at >= h.Size && f.Header.BugCheckCode != code {
		t.Errorf("%s: stop code %#x, want %#x", what, f.Header.BugCheckCode, code)
	}
	return f
}

// Each page of a dump zeroed, removed, and the file cut there.
func TestOpen_Damage(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		whole, h := open(t, b), damage.HeaderOf(b)
		end := int(u32(b, h.Size+4)) // SizeOfDump
		for at := 0; at < len(b); at += damage.PageSize {
			for _, kind := range damage.Kinds {
				what := fmt.Sprintf("page at %#x %s", at, kind.Name)
				f := openDamaged(t, what, kind.File(b, at, min(at+damage.PageSize, len(b))), at, h, d.Code)
				if f == nil {
					continue
				}
				walk(t, f)
				if at < h.Size {
					continue
				}
				if kind.Name != "zeroed" && at < end && len(f.Notes) == 0 {
					t.Errorf("%s: no note names the hole", what)
				}
				if kind.Name == "cut" && at < end && !f.Truncated {
					t.Errorf("%s: Truncated is false, SizeOfDump is %#x", what, end)
				}
				checkHoles(t, what, f, whole)
			}
		}
	})
}

// checkHoles checks that what a damaged dump lacks is named in its notes.
func checkHoles(t *testing.T, what string, f, whole *dump.File) {
	t.Helper()
	for _, part := range []struct {
		name      string
		got, want int
	}{
		{"loaded modules", len(f.Drivers), len(whole.Drivers)},
		{"stack", len(f.Blocks.Stack), len(whole.Blocks.Stack)},
		{"debugger data block", len(f.Blocks.DebuggerData), len(whole.Blocks.DebuggerData)},
	} {
		if part.got < part.want && !noted(f, part.name, "small dump") {
			t.Errorf("%s: %s: %d of %d are there, and the notes do not say it: %v", what, part.name, part.got, part.want, f.Notes)
		}
	}
}

func noted(f *dump.File, places ...string) bool {
	for _, n := range f.Notes {
		if slices.Contains(places, n.Where) {
			return true
		}
	}
	return false
}

// Half a dump keeps its stop code and says what is gone.
func TestOpen_HalfADump(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		half := open(t, b[:len(b)/2])
		if !half.Truncated || half.Header.BugCheckCode != d.Code || half.Header.Parameters != d.Parameters {
			t.Errorf("Truncated %v, stop code %#x %#x; want true, %#x %#x", half.Truncated,
				half.Header.BugCheckCode, half.Header.Parameters, d.Code, d.Parameters)
		}
		end := u32(b, damage.HeaderOf(b).Size+4)
		want := fmt.Sprintf("The file is cut: %d of %d bytes are there.", len(b)/2, end)
		if len(half.Notes) == 0 || half.Notes[0].Where != "small dump" || half.Notes[0].Text.String() != want {
			t.Errorf("notes %v, want first: small dump: %s", half.Notes, want)
		}
		checkHoles(t, "half", half, open(t, b))
	})
}

// A file that is the header alone.
func TestOpen_HeaderOnly(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		f := open(t, b[:damage.HeaderOf(b).Size])
		if !f.Truncated || f.Header.BugCheckCode != d.Code || len(f.Drivers) != 0 || !noted(f, "small dump") {
			t.Errorf("Truncated %v, stop code %#x, %d drivers, notes %v", f.Truncated, f.Header.BugCheckCode, len(f.Drivers), f.Notes)
		}
	})
}

// The mark behind the dump proper is not where the directory says.
func TestOpen_NoEndMark(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		b := labBytes(t, d)
		h := damage.HeaderOf(b)
		mark := u32(b, h.Size+8) // ValidOffset
		put32(b, int(mark), 0)
		f := open(t, b)
		if !noted(f, "small dump") || f.Truncated || len(f.Drivers) != len(d.Drivers) {
			t.Errorf("notes %v, truncated %v, %d drivers; want a note and all else", f.Notes, f.Truncated, len(f.Drivers))
		}
	})
}

// A dump that ends inside a tagged block keeps the blocks before it.
func TestOpen_CutTaggedData(t *testing.T) {
	eachLab(t, func(t *testing.T, d *lab.Dump) {
		d.SMBIOS, d.Slack = nil, nil
		d.Tagged = append(d.Tagged[:2:2], lab.Blob{GUID: "00112233-4455-6677-8899-aabbccddeeff", Data: make([]byte, 0x1000)})
		b := labBytes(t, d)
		f := open(t, b[:len(b)-0x800])
		if len(f.Tagged) != 2 || !f.Truncated || !noted(f, "tagged data") {
			t.Errorf("%d tagged blocks, truncated %v, notes %v; want 2 and a note", len(f.Tagged), f.Truncated, f.Notes)
		}
		if f.BootBuild() != 19045 || len(f.Drivers) != len(d.Drivers) {
			t.Errorf("boot build %d, %d drivers; want what stands before the cut", f.BootBuild(), len(f.Drivers))
		}
	})
}
