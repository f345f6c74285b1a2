package code

import (
	_ "embed"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

//go:embed src/layouts.tsv
var layoutTable string

// structure is one of the kernel's structures in one build.
type structure struct {
	size   int
	fields map[string]field
}

type field struct {
	offset int
	kind   string // as src/layouts.tsv writes it: "_LIST_ENTRY*", "u8[15]", "u32:3:1"
}

// readStructures reads the column of one build.
func readStructures(arch string, build int) (map[string]*structure, error) {
	all := map[string]*structure{}
	column, name := -1, ""
	for line := range strings.Lines(layoutTable) {
		row := strings.Split(strings.TrimSuffix(line, "\n"), "\t")
		if strings.HasPrefix(line, "# structure") {
			column = slices.Index(row, fmt.Sprintf("%s %d", arch, build))
		}
		if strings.HasPrefix(line, "#") {
			continue
		}
		if column < 0 || column >= len(row) {
			return nil, fmt.Errorf("layouts of %s %d: line %q", arch, build, line)
		}
		if row[0] != "" {
			name = row[0]
		}
		v := value(row, column)
		if v < 0 {
			continue
		}
		if row[1] == "sizeof" {
			all[name] = &structure{size: v, fields: map[string]field{}}
		} else if s := all[name]; s != nil {
			s.fields[row[1]] = field{v, row[2]}
		}
	}
	return all, nil
}

// value is the number in a column: "=" repeats the column before, "-" is none.
func value(row []string, column int) int {
	for column > 3 && row[column] == "=" {
		column--
	}
	v, err := strconv.ParseUint(row[column], 16, 31)
	if err != nil {
		return -1
	}
	return int(v)
}

// Size is the size of a structure of the kernel in bytes, by a name such as
// "_EPROCESS".
func (i *Images) Size(name string) (size int, ok bool) {
	s := i.structures[name]
	if s == nil {
		return 0, false
	}
	return s.size, true
}

// Field is the offset of a field. The path may lead through structures that lie
// in one another: "Tcb.ApcState.Process" of "_ETHREAD".
func (i *Images) Field(name, path string) (offset int, ok bool) {
	offset, _, ok = i.field(name, path)
	return offset, ok
}

// Bits is where a bit field stands: the offset of its storage, its first bit, its
// length in bits.
func (i *Images) Bits(name, path string) (offset, first, length int, ok bool) {
	offset, kind, ok := i.field(name, path)
	if n, _ := fmt.Sscanf(kind[strings.IndexByte(kind, ':')+1:], "%d:%d", &first, &length); !ok || n != 2 {
		return 0, 0, 0, false
	}
	return offset, first, length, true
}

func (i *Images) field(name, path string) (offset int, kind string, ok bool) {
	s := i.structures[name]
	if s == nil {
		return 0, "", false
	}
	if f, ok := s.fields[path]; ok {
		return f.offset, f.kind, true
	}
	for at := len(path); ; {
		if at = strings.LastIndexByte(path[:at], '.'); at < 0 {
			return 0, "", false
		}
		if f, ok := s.fields[path[:at]]; ok && f.kind != "nested" {
			inner, kind, ok := i.field(f.kind, path[at+1:])
			return f.offset + inner, kind, ok
		}
	}
}
