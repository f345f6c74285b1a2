package kernel

import (
	"fmt"
	"strings"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// Layouts of the object manager, 64-bit (dt nt!_OBJECT_HEADER, _OBJECT_DIRECTORY,
// _OBJECT_DIRECTORY_ENTRY, _OBJECT_HEADER_NAME_INFO, _OBJECT_HEADER_CREATOR_INFO in
// the public symbols of 17763 to 22621, where they are the same). The optional
// headers that InfoMask names stand before the OBJECT_HEADER, bit 0's nearest.
const (
	headerBody      = 0x30 // OBJECT_HEADER.Body: the object
	headerInfoMask  = 0x1a
	infoCreator     = 0x1
	infoName        = 0x2
	creatorInfoSize = 0x20
	nameInfoSize    = 0x20
	nameInfoName    = 0x8

	directoryBuckets = 37
	entryObject      = 0x8
	entrySize        = 0x18

	maxDirectoryEntries = 1 << 16
	maxNameDepth        = 16
)

// Object is an object with a name in the object manager's namespace.
type Object struct {
	Address mem.VA
	Name    string // in its directory
}

// objectName reads an object's own name and the directory that it stands in; ""
// where it has no name.
func (m *Machine) objectName(object mem.VA) (name string, directory mem.VA, err error) {
	header := object - headerBody
	mask, err := mem.Read(m.Memory, header+headerInfoMask, 1)
	if err != nil {
		return "", 0, fmt.Errorf("object header at %v: %w", header, err)
	}
	if mask[0]&infoName == 0 {
		return "", 0, nil
	}
	info := header - nameInfoSize
	if mask[0]&infoCreator != 0 {
		info -= creatorInfoSize
	}
	directory, err = mem.ReadVA(m.Memory, info)
	if err != nil {
		return "", 0, fmt.Errorf("name of the object at %v: %w", object, err)
	}
	return m.unicodeString(info + nameInfoName), directory, nil
}

// ObjectPath is an object's name with those of its directories: \Driver\MYFAULT.
// It is "" where the object has no name; what was found of it comes beside the error.
func (m *Machine) ObjectPath(object mem.VA) (string, error) {
	if m.Arch == dump.X86 {
		return "", fmt.Errorf("object at %v: 32-bit object headers are not decoded", object)
	}
	path := ""
	for n := 0; object != 0; n++ {
		if n == maxNameDepth {
			return path, fmt.Errorf("object at %v: its directories do not end after %d", object, maxNameDepth)
		}
		name, directory, err := m.objectName(object)
		if err != nil || name == "" {
			return path, err
		}
		if name == `\` { // the root directory
			return path, nil
		}
		path = `\` + name + path
		object = directory
	}
	return path, nil
}

// Directory lists the objects in a directory of the namespace, such as \Driver.
// What was read is returned beside the error.
func (m *Machine) Directory(path string) ([]Object, error) {
	if m.Arch == dump.X86 {
		return nil, fmt.Errorf("directory %s: 32-bit object headers are not decoded", path)
	}
	at, err := m.kernelPointer("ObpRootDirectoryObject", kdbgRootDirectory)
	if err != nil {
		return nil, fmt.Errorf("directory %s: %w", path, err)
	}
	for _, part := range strings.Split(strings.Trim(path, `\`), `\`) {
		if part == "" {
			continue
		}
		list, err := m.directoryAt(at)
		next, ok := named(list, part)
		switch {
		case !ok && err != nil:
			return nil, fmt.Errorf("directory %s: %w", path, err)
		case !ok:
			return nil, fmt.Errorf("directory %s: the directory at %v has no %q", path, at, part)
		}
		at = next
	}
	list, err := m.directoryAt(at)
	if err != nil {
		return list, fmt.Errorf("directory %s: %w", path, err)
	}
	return list, nil
}

// named finds an object by its name, in any case.
func named(list []Object, name string) (mem.VA, bool) {
	for _, o := range list {
		if strings.EqualFold(o.Name, name) {
			return o.Address, true
		}
	}
	return 0, false
}

// directoryAt lists the objects in the OBJECT_DIRECTORY at va: 37 chains of entries.
// A torn chain ends there; the others are read.
func (m *Machine) directoryAt(va mem.VA) ([]Object, error) {
	b, err := mem.Read(m.Memory, va, 8*directoryBuckets)
	if err != nil {
		return nil, fmt.Errorf("object directory at %v: %w", va, err)
	}
	var list []Object
	seen := map[mem.VA]bool{}
	for bucket := range directoryBuckets {
		for entry := mem.VA(le.U64(b, 8*bucket)); entry != 0; {
			if seen[entry] || len(seen) == maxDirectoryEntries {
				err = firstError(err, fmt.Errorf("object directory at %v: entry at %v comes again, or is one of too many", va, entry))
				break
			}
			seen[entry] = true
			e, errEntry := mem.Read(m.Memory, entry, entrySize)
			if errEntry != nil {
				err = firstError(err, fmt.Errorf("object directory at %v: entry at %v: %w", va, entry, errEntry))
				break
			}
			o := Object{Address: mem.VA(le.U64(e, entryObject))}
			var errName error
			if o.Name, _, errName = m.objectName(o.Address); errName != nil {
				err = firstError(err, errName)
			}
			list = append(list, o)
			entry = mem.VA(le.U64(e, 0))
		}
	}
	return list, err
}
