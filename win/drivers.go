package win

import (
	"strings"
	"sync"
)

// Driver is what is known of an image by its name alone.
type Driver struct {
	Owner string // "microsoft", "NVIDIA"
	What  string // "NTFS file system"
	Kind  string // filesystem, network, display, …

	// Abused: a list of drivers with known holes, by which malware gets into the kernel,
	// names it (https://www.loldrivers.io). Other builds of it may be sound.
	Abused bool
}

// Microsoft reports that the image is part of Windows.
func (d Driver) Microsoft() bool { return d.Owner == "microsoft" }

var driverTable = sync.OnceValue(func() map[string][]string {
	m := map[string][]string{}
	for _, row := range Table("drivers", 6) {
		m[row[0]] = row
	}
	return m
})

// Driver looks up an image name, in any case; false if it is not in the table.
// dump_X is a copy of X that Windows loads to write crash dumps with.
func (l Lang) Driver(image string) (Driver, bool) {
	image = strings.ToLower(image)
	row, ok := driverTable()[image]
	if copied, isCopy := strings.CutPrefix(image, "dump_"); !ok && isCopy {
		row, ok = driverTable()[copied]
	}
	if !ok {
		return Driver{}, false
	}
	d := Driver{Owner: row[1], What: row[2], Kind: row[4], Abused: row[5] == "loldrivers"}
	if l == Japanese {
		d.What = row[3]
	}
	return d, true
}
