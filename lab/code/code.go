// Package code holds the images of the invented machine: a kernel, drivers and
// programs that are compiled from sources in src, with real code, unwind data
// and symbol files, for the builds that Images names. It lays stacks for them:
// Forge turns a list of functions into the memory that their frames leave.
//
// The functions carry the names that published stacks show, and call each other
// as those do, but they do no work: this is no Windows. Structures in the
// kernel's symbol file are those of src/layouts.tsv, which names its sources.
//
// build.sh makes the images; a test holds data against it.
package code

import (
	"archive/tar"
	"bufio"
	"bytes"
	"embed"
	"errors"
	"fmt"
	"io"
	"path"
	"slices"
	"sort"
	"strconv"
	"strings"

	"github.com/klauspost/compress/zstd"
)

//go:embed data/*.tar.zst
var archives embed.FS

// Images are all images of one build of Windows on one architecture. They do not
// change once they are open.
type Images struct {
	Arch  string // "x64" or "arm64"
	Build int    // 19041 and its like

	images     []*Image
	structures map[string]*structure
}

// Builds lists the builds that Open knows for an architecture.
func Builds(arch string) []int {
	switch arch {
	case "x64":
		return []int{17763, 19041, 20348, 22621, 26100}
	case "arm64":
		return []int{22000, 26100}
	}
	return nil
}

// Open unpacks the images of a build; Builds names those there are.
func Open(arch string, build int) (*Images, error) {
	if !slices.Contains(Builds(arch), build) {
		return nil, fmt.Errorf("no images of build %d for %q", build, arch)
	}
	files, err := unpack(arch, strconv.Itoa(build))
	if err != nil {
		return nil, fmt.Errorf("images of %s: %w", arch, err)
	}
	i := &Images{Arch: arch, Build: build}
	if i.structures, err = readStructures(arch, build); err != nil {
		return nil, err
	}
	for name, file := range files {
		if !isImage(name) {
			continue
		}
		image, err := newImage(name, file, files)
		if err != nil {
			return nil, fmt.Errorf("image %s: %w", name, err)
		}
		i.images = append(i.images, image)
	}
	sort.Slice(i.images, func(a, b int) bool { return i.images[a].Name < i.images[b].Name })
	return i, nil
}

func isImage(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".exe", ".dll", ".sys":
		return true
	}
	return false
}

// unpack returns the files of one build and those that all share, by name.
func unpack(arch, build string) (map[string][]byte, error) {
	packed, err := archives.ReadFile("data/" + arch + ".tar.zst")
	if err != nil {
		return nil, err
	}
	d, err := zstd.NewReader(bytes.NewReader(packed), zstd.WithDecoderConcurrency(1))
	if err != nil {
		return nil, err
	}
	defer d.Close()
	files := map[string][]byte{}
	for r := tar.NewReader(d); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return files, nil
		}
		if err != nil {
			return nil, err
		}
		folder, name := path.Split(h.Name)
		if folder != build+"/" && folder != "common/" {
			continue
		}
		if files[name], err = io.ReadAll(r); err != nil {
			return nil, err
		}
	}
}

// Names lists the images.
func (i *Images) Names() []string {
	var names []string
	for _, image := range i.images {
		names = append(names, image.Name)
	}
	return names
}

// Image finds an image by its file name, in any case of letters.
func (i *Images) Image(name string) (*Image, bool) {
	for _, image := range i.images {
		if strings.EqualFold(image.Name, name) {
			return image, true
		}
	}
	return nil, false
}

// Image is one image: its file and its symbol file.
type Image struct {
	Name      string // "ntoskrnl.exe"
	Machine   uint16 // of the file header
	File      []byte // not to be changed
	PDBName   string // as the debug directory names it: "ntkrnlmp.pdb"
	PDBKey    string // what symbol stores call its folder: GUID and age
	PDB       []byte // not to be changed
	Preferred uint64 // the base it is linked for
	Size      uint32 // SizeOfImage
	Entry     uint32
	Timestamp uint32
	Checksum  uint32
	Sections  []Section

	directories [16]directory
	headers     uint32 // SizeOfHeaders
	symbols     []symbol
	byName      map[string]uint32
	calls       []call
	functions   []function
}

// symbol is a name and its RVA. They are sorted by RVA.
type symbol struct {
	rva  uint32
	name string
}

// call is a call: where it returns to, and whom it calls; "*": not known, for
// it is indirect.
type call struct {
	returns uint32
	callee  string
}

func newImage(name string, file []byte, files map[string][]byte) (*Image, error) {
	i := &Image{Name: name, File: file, byName: map[string]uint32{}}
	if err := i.readHeaders(); err != nil {
		return nil, err
	}
	if err := i.readSymbols(files[name+".sym"]); err != nil {
		return nil, err
	}
	if err := i.readFunctions(); err != nil {
		return nil, err
	}
	i.PDB = files[i.PDBName]
	if i.PDB == nil {
		return nil, fmt.Errorf("its symbol file %q is not in the archive", i.PDBName)
	}
	return i, nil
}

// readSymbols reads what src/gen.py wrote: lines "rva name" and "call rva callee".
func (i *Image) readSymbols(b []byte) error {
	lines := bufio.NewScanner(bytes.NewReader(b))
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			return fmt.Errorf("line of symbols %q", lines.Text())
		}
		rva, err := strconv.ParseUint(f[len(f)-2], 16, 32)
		if err != nil {
			return fmt.Errorf("line of symbols %q", lines.Text())
		}
		if f[0] == "call" {
			i.calls = append(i.calls, call{uint32(rva), f[2]})
			continue
		}
		i.symbols = append(i.symbols, symbol{uint32(rva), f[1]})
		i.byName[f[1]] = uint32(rva)
	}
	return lines.Err()
}

// Symbol is the RVA of a function, a label in one or a variable. A marked
// instruction is a label too: "HighIrqlFault_fault".
func (i *Image) Symbol(name string) (rva uint32, ok bool) {
	rva, ok = i.byName[name]
	return rva, ok
}

// Near names the last symbol at or before an RVA.
func (i *Image) Near(rva uint32) (name string, offset uint32, ok bool) {
	n := sort.Search(len(i.symbols), func(k int) bool { return i.symbols[k].rva > rva })
	if n == 0 {
		return "", 0, false
	}
	s := i.symbols[n-1]
	return s.name, rva - s.rva, true
}

// Function is where a function begins and ends. A leaf function, which has no
// unwind data, ends where the next symbol stands.
func (i *Image) Function(name string) (start, end uint32, ok bool) {
	start, ok = i.byName[name]
	if !ok {
		return 0, 0, false
	}
	if f, ok := i.function(start); ok && f.begin == start {
		return f.begin, f.end, true
	}
	n := sort.Search(len(i.symbols), func(k int) bool { return i.symbols[k].rva > start })
	if n == len(i.symbols) {
		return 0, 0, false
	}
	return start, i.symbols[n].rva, true
}

// CallSite is the return address behind the first call in a function that calls
// callee, a function of this image or an import; "*" or "": the first call
// through a pointer.
func (i *Image) CallSite(function, callee string) (returnRVA uint32, ok bool) {
	start, end, ok := i.Function(function)
	if !ok {
		return 0, false
	}
	if callee == "" {
		callee = "*"
	}
	for _, c := range i.calls {
		if c.returns > start && c.returns <= end && c.callee == callee {
			return c.returns, true
		}
	}
	return 0, false
}

// ExceptionTable is where the function table (.pdata) stands, and its size in bytes.
func (i *Image) ExceptionTable() (rva, size uint32) {
	d := i.directories[exceptionDirectory]
	return d.rva, d.size
}

// CallSites lists the return addresses of all calls in the image.
func (i *Image) CallSites() []uint32 {
	var list []uint32
	for _, c := range i.calls {
		list = append(list, c.returns)
	}
	return list
}
