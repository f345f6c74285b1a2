package pdb

import (
	"bytes"
	"fmt"
	"math/bits"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// Versions and features of the PDB stream: pdb.h and PDB1::loadPdbStream of
// microsoft-pdb.
const (
	versionVC70    = 20000404
	versionVC140   = 20140508
	featureVC110   = 20091201   // stream 4 holds ids; so it does with the number of VC140
	featureMinimal = 0x494e494d // "MINI"
	maxInfo        = 1 << 20    // a map of some ten names takes 200 bytes
)

// readInfo decodes the PDB stream: identity and the streams by name.
func (f *File) readInfo() error {
	s := f.msf.stream(streamPDB, "PDB stream")
	b, err := s.bytes(0, min(s.len(), maxInfo))
	if err != nil {
		return err
	}
	c := le.NewCursor(b)
	f.Version, f.Signature, f.FileAge = c.U32(), c.U32(), c.U32()
	copy(f.GUID[:], c.Bytes(len(win.GUID{})))
	if err := c.Err(); err != nil {
		return short("header", err)
	}
	if f.Version < versionVC70 || f.Version > versionVC140 {
		return wrong("version %d is not known", f.Version)
	}
	f.Age = f.FileAge
	f.named = namedStreams(c)
	for c.Len() >= 4 && c.Err() == nil {
		switch c.U32() {
		case featureMinimal:
			f.minimal = true
		case featureVC110, versionVC140:
			f.hasIDs = true
		}
	}
	return nil
}

// namedStreams decodes the map of names to streams: texts, then a hash table
// with a bit for each slot in use (nmtni.h, map.h of microsoft-pdb). What is
// damaged of it is left off.
func namedStreams(c *le.Cursor) map[string]uint32 {
	texts := c.Bytes(c.Count(uint64(c.U32()), 1))
	n := c.U32()
	c.U32() // slots
	present := bitCount(c)
	bitCount(c) // slots of deleted names
	named := map[string]uint32{}
	for range min(n, present) {
		at, number := c.U32(), c.U32()
		if c.Err() != nil || at >= uint32(len(texts)) {
			break
		}
		text, _, _ := bytes.Cut(texts[at:], []byte{0})
		named[string(text)] = number
	}
	return named
}

// bitCount reads a bit vector and counts its ones.
func bitCount(c *le.Cursor) uint32 {
	n := 0
	for range c.Count(uint64(c.U32()), 4) {
		n += bits.OnesCount32(c.U32())
	}
	return uint32(n)
}

// A table of texts: header, then the texts; what refers to one has its offset
// behind the header (nmt.h of microsoft-pdb).
const (
	namesMagic  = 0xeffeeffe
	namesHeader = 12
)

// openNames finds the table of texts that all modules share.
func (f *File) openNames() (*stream, error) {
	number, ok := f.named["/names"]
	if !ok {
		return nil, wrong("no stream /names")
	}
	s := f.msf.stream(number, "/names")
	head, err := s.bytes(0, namesHeader)
	if err != nil {
		return nil, fmt.Errorf("/names: %w", err)
	}
	if le.U32(head, 0) != namesMagic {
		return nil, wrong("/names: signature 0x%x", le.U32(head, 0))
	}
	return s, nil
}

// nameAt is a text of /names.
func (f *File) nameAt(off uint32) (string, error) {
	s, err := f.names()
	if err != nil {
		return "", err
	}
	if off >= s.len()-namesHeader {
		return "", s.pastEnd(off, 1)
	}
	return s.text(off + namesHeader)
}

// name makes a name printable. Most are plain, and cost one pass.
func name(b []byte) string {
	for _, c := range b {
		if c < 0x20 || c >= 0x7f {
			return win.Clean(string(b))
		}
	}
	return string(b)
}
