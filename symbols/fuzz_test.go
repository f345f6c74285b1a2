package symbols

import (
	"bytes"
	"context"
	"errors"
	"testing"

	"bugcheck/pe"
	"bugcheck/win"
)

// fuzzPDB is a PDB of blocks of 0x200 bytes: the directory's number is in block
// 2, the directory in 3, the info stream in 4, the DBI stream in 5.
func fuzzPDB(id pe.PDB) []byte {
	b := make([]byte, 7*0x200)
	copy(b, msfMagic)
	for at, v := range map[int]byte{0x21: 2, 0x24: 1, 0x28: 7, 0x2c: 28, 0x34: 2, 0x400: 3, 0x600: 4, 0x608: 0x1c, 0x610: 12, 0x614: 4, 0x618: 5, 0xa08: byte(id.Age)} {
		b[at] = v
	}
	copy(b[0x80c:], id.GUID[:])
	copy(b[0xa00:], "\xff\xff\xff\xff")
	return b
}

// FuzzIdentity reads identities out of hostile files.
func FuzzIdentity(f *testing.F) {
	id := pe.PDB{GUID: win.GUID{1, 2, 3}, Age: 7, Path: "a.pdb"}
	q := PDBRequest(id)
	whole := fuzzPDB(id)
	if err := verify(q, bytes.NewReader(whole), int64(len(whole)), "seed"); err != nil {
		f.Fatal(err)
	}
	f.Add(whole)
	f.Fuzz(func(t *testing.T, b []byte) {
		for _, q := range []Request{q, ImageRequest("a.sys", 1, 2)} {
			err := verify(q, bytes.NewReader(b), int64(len(b)), "fuzz")
			if err != nil && !errors.Is(err, ErrMismatch) {
				t.Errorf("%v is no mismatch", err)
			}
		}
	})
}

func FuzzPack(f *testing.F) {
	id := pe.PDB{GUID: win.GUID{1, 2, 3}, Age: 7, Path: "a.pdb"}
	finder, err := Open(Options{})
	if err != nil {
		f.Fatal(err)
	}
	q := PDBRequest(id)
	finder.calls[q] = &call{done: make(chan struct{}), at: located{r: bytes.NewReader(fuzzPDB(id)), size: 7 * 0x200}}
	close(finder.calls[q].done)
	var b bytes.Buffer
	if _, err := finder.WritePack(context.Background(), &b, []Request{q}); err != nil {
		f.Fatal(err)
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, b []byte) {
		finder, err := Open(Options{})
		if err != nil {
			t.Fatal(err)
		}
		p := &pack{path: "x.zip", size: int64(len(b))}
		p.once.Do(func() { p.err = p.index(bytes.NewReader(b)) })
		if at, err := p.find(context.Background(), finder, q); err == nil {
			if key, err := keyOf(PDB, at.r, at.size); err != nil || key != q.Key {
				t.Errorf("found %s, %v", key, err)
			}
		}
		for _, e := range p.isfs {
			_, _ = ISFRef{pack: p, entry: e}.Open()
		}
	})
}
