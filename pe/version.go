package pe

import (
	"fmt"

	"bugcheck/internal/le"
	"bugcheck/win"
)

// VersionNumber is a version of four parts.
type VersionNumber [4]uint16

// String writes 10.0.19041.1.
func (v VersionNumber) String() string {
	return fmt.Sprintf("%d.%d.%d.%d", v[0], v[1], v[2], v[3])
}

// Version is the version resource of an image.
type Version struct {
	File    VersionNumber     // of VS_FIXEDFILEINFO; zero if it is absent
	Product VersionNumber     //
	Flags   uint32            // VS_FF_*: 1 debug, 2 prerelease, 8 private build
	Strings map[string]string // CompanyName, FileDescription, FileVersion, OriginalFilename, …; nil if absent
}

const (
	versionResource  = 16      // RT_VERSION
	maxResourceDepth = 8       // type, name and language make three
	maxResourceEntry = 4096    // entries of one directory that are searched
	maxVersionSize   = 1 << 16 // its own length has 16 bits
	fixedSize        = 0x34
	fixedSignature   = 0xfeef04bd
	subdirectory     = 1 << 31 // in an entry: what follows is a directory
)

// Version decodes the version resource, of the first language if it is there in
// several; the zero Version if there is none. What is damaged is left off.
func (f *File) Version() (Version, error) {
	b, err := f.versionData()
	if len(b) == 0 {
		return Version{}, wrapVersion(err)
	}
	v, bad := parseVersion(b)
	keep(&err, bad)
	return v, wrapVersion(err)
}

func wrapVersion(err error) error {
	if err != nil {
		return fmt.Errorf("version resource: %w", err)
	}
	return nil
}

// versionData finds and reads the resource; nil if there is none. The way down
// the tree has a limited depth, so a tree that bites its tail ends too.
func (f *File) versionData() ([]byte, error) {
	dir := f.Directories[ResourceDirectory]
	if dir.RVA == 0 {
		return nil, nil
	}
	p := f.pages()
	at, ok, err := p.resource(dir.RVA, versionResource)
	for depth := 0; ok && at&subdirectory != 0; depth++ {
		if depth == maxResourceDepth {
			return nil, wrong("more than %d levels of directories", maxResourceDepth)
		}
		at, ok, err = p.resource(dir.RVA+RVA(at&^subdirectory), 0)
	}
	if !ok {
		return nil, err
	}
	return p.resourceData(dir.RVA + RVA(at))
}

// resourceData reads what an IMAGE_RESOURCE_DATA_ENTRY points to.
func (p *pages) resourceData(entry RVA) ([]byte, error) {
	b, err := p.bytes(entry, 0x10)
	if err != nil {
		return nil, err
	}
	at, size := RVA(le.U32(b, 0)), le.U32(b, 4)
	if size > maxVersionSize {
		return nil, wrong("%d bytes are too many", size)
	}
	data := make([]byte, size)
	n, err := p.f.ReadAt(data, at)
	return data[:n], err
}

// resource looks into an IMAGE_RESOURCE_DIRECTORY for the entry of an id; id 0
// takes the first entry. The result is its OffsetToData.
func (p *pages) resource(dir RVA, id uint32) (at uint32, ok bool, err error) {
	b, err := p.bytes(dir, 0x10)
	if err != nil {
		return 0, false, err
	}
	n := min(uint32(le.U16(b, 0xc))+uint32(le.U16(b, 0xe)), maxResourceEntry)
	for i := range n {
		e, err := p.bytes(dir+0x10+RVA(i)*8, 8)
		if err != nil {
			return 0, false, err
		}
		if id == 0 || le.U32(e, 0) == id {
			return le.U32(e, 4), true, nil
		}
	}
	return 0, false, nil
}

// versionNode is a block of the version resource: length, length of the value,
// type, a key in UTF-16, a value, and blocks inside it, each on a multiple of
// four. Source: VS_VERSIONINFO, StringFileInfo, StringTable and String in
// Microsoft's documentation of version information.
type versionNode struct {
	key  string
	size int    // of the value; characters in some compilers' text blocks
	body []byte // value and inner blocks
}

// nextNode cuts the first block off b; nil rest at the end. Zero bytes behind the
// last block are padding.
func nextNode(b []byte) (n versionNode, rest []byte, err error) {
	if len(b) < 6 || le.U16(b, 0) == 0 {
		return n, nil, nil
	}
	size := int(le.U16(b, 0))
	if size < 6 || size > len(b) {
		return n, nil, &le.ShortError{Want: size, Have: len(b)}
	}
	n.size = int(le.U16(b, 2))
	key := b[6:size]
	n.key = win.UTF16(key)
	end := 6
	for end+1 < size && le.U16(b, end) != 0 {
		end += 2
	}
	n.body = b[min(align4(end+2), size):size]
	return n, b[min(align4(size), len(b)):], nil
}

func align4(n int) int { return (n + 3) &^ 3 }

func parseVersion(b []byte) (Version, error) {
	root, _, err := nextNode(b)
	if err != nil {
		return Version{}, err
	}
	if root.key != "VS_VERSION_INFO" {
		return Version{}, wrong("it starts with %q", root.key)
	}
	var v Version
	if root.size >= fixedSize && len(root.body) >= fixedSize {
		v.fixed(root.body)
	}
	inner := root.body[min(align4(root.size), len(root.body)):]
	for len(inner) > 0 && err == nil {
		var n versionNode
		if n, inner, err = nextNode(inner); n.key == "StringFileInfo" {
			keep(&err, v.tables(n.body))
		}
	}
	return v, err
}

// fixed decodes VS_FIXEDFILEINFO.
func (v *Version) fixed(b []byte) {
	if le.U32(b, 0) != fixedSignature {
		return
	}
	v.File = VersionNumber{le.U16(b, 0xa), le.U16(b, 0x8), le.U16(b, 0xe), le.U16(b, 0xc)}
	v.Product = VersionNumber{le.U16(b, 0x12), le.U16(b, 0x10), le.U16(b, 0x16), le.U16(b, 0x14)}
	v.Flags = le.U32(b, 0x1c) & le.U32(b, 0x18)
}

// tables decodes the StringTables, one a language; the first to name a string wins.
func (v *Version) tables(b []byte) error {
	for len(b) > 0 {
		table, rest, err := nextNode(b)
		if err != nil {
			return err
		}
		if err := v.strings(table.body); err != nil {
			return err
		}
		b = rest
	}
	return nil
}

// strings decodes the Strings of a table. Compilers disagree on whether a
// value's length counts bytes or characters, so it goes to its NUL.
func (v *Version) strings(b []byte) error {
	for len(b) > 0 {
		s, rest, err := nextNode(b)
		if err != nil {
			return err
		}
		if _, has := v.Strings[s.key]; !has && s.key != "" {
			if v.Strings == nil {
				v.Strings = map[string]string{}
			}
			v.Strings[s.key] = win.UTF16(s.body)
		}
		b = rest
	}
	return nil
}
