package kernel

import (
	"reflect"
	"strings"
	"testing"

	"bugcheck/mem"
)

const (
	rootVariable    = worldData + 0x100
	driverDirectory = directory + 0x1100
	deviceDirectory = directory + 0x2100
	entries         = mem.VA(0xffff8805_08000000)
)

// put adds an object to a bucket of a directory, as its first entry.
func (w world) put(dir, entry, object mem.VA, bucket int) {
	first := mem.VA(0)
	if page := w[dir&^0xfff]; page != nil {
		first, _ = mem.ReadVA(w.reader(), dir+mem.VA(8*bucket))
	}
	w.words(entry, first, object)
	w.words(dir+mem.VA(8*bucket), entry)
}

// namespaceWorld is a namespace with \Driver\MYFAULT, \Driver\storahci and
// \Device\Video0.
func namespaceWorld() world {
	w := ioWorld()
	root := directory + 0x100
	w.words(rootVariable, root)
	w.words(root+8*36, 0)
	w.named(root, 0, `\`)
	w.named(driverDirectory, root, "Driver")
	w.named(deviceDirectory, root, "Device")
	w.put(root, entries, driverDirectory, 3)
	w.put(root, entries+0x20, deviceDirectory, 3)
	w.words(driverDirectory+8*36, 0)
	w.words(deviceDirectory+8*36, 0)
	w.device(deviceAt, driverAt, device2At, 0, device2At)
	w.device(device2At, driver2At, 0, deviceAt, 0)
	w.driver(driver2At, worldStorport, 0, `\Driver\storahci`, worldStorport+0x1000, worldMyfault+0x40, worldStorport, worldKernel+0x10)
	w.named(driverAt, driverDirectory, "MYFAULT")
	w.named(driver2At, driverDirectory, "storahci")
	w.named(deviceAt, deviceDirectory, "Video0")
	w.put(driverDirectory, entries+0x40, driverAt, 0)
	w.put(driverDirectory, entries+0x60, driver2At, 36)
	w.put(deviceDirectory, entries+0x80, deviceAt, 7)
	return w
}

var rootDirectory = map[int]mem.VA{kdbgRootDirectory: rootVariable}

func TestDirectory(t *testing.T) {
	m := namespaceWorld().machine("19041", rootDirectory)
	for _, tt := range []struct {
		path string
		want []Object
	}{
		{`\`, []Object{{deviceDirectory, "Device"}, {driverDirectory, "Driver"}}},
		{`\driver`, []Object{{driverAt, "MYFAULT"}, {driver2At, "storahci"}}},
		{`\Device`, []Object{{deviceAt, "Video0"}}},
	} {
		if got, err := m.Directory(tt.path); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v; want %+v", tt.path, got, err, tt.want)
		}
	}
	if got, err := m.Directory(`\Nowhere`); err == nil || !strings.Contains(err.Error(), `has no "Nowhere"`) {
		t.Errorf(`\Nowhere: %+v, %v`, got, err)
	}
	for object, want := range map[mem.VA]string{driverAt: `\Driver\MYFAULT`, deviceAt: `\Device\Video0`, device2At: ""} {
		if got, err := m.ObjectPath(object); err != nil || got != want {
			t.Errorf("ObjectPath(%v) = %q, %v; want %q", object, got, err, want)
		}
	}
}

// TestObjectPath_Creator: the name stands before the creator's header.
func TestObjectPath_Creator(t *testing.T) {
	w := world{}
	w.u8(driverAt-0x30+0x1a, 3)
	w.words(driverAt-0x70, 0)
	w.text(driverAt-0x68, texts, "alone")
	if got, err := w.machine("19041", nil).ObjectPath(driverAt); err != nil || got != `\alone` {
		t.Errorf("got %q, %v", got, err)
	}
}

func TestDirectory_Torn(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(w world)
		want int // objects in \Driver
		err  string
	}{
		{"a chain into itself", func(w world) { w.words(entries+0x40, entries+0x40) }, 2, "ffff8805`08000040 comes again"},
		{"a chain that is torn", func(w world) { w.words(entries+0x40, 0x1230) }, 2, "00000000`00001230 is not in the dump"},
		{"a nameless object", func(w world) { delete(w, driver2At&^0xfff) }, 2, "object header at ffffa00d`040010d0"},
		{"no directory", func(w world) { delete(w, driverDirectory&^0xfff) }, 0, "ffff8805`06001"},
		{"no root", func(w world) { delete(w, rootVariable&^0xfff) }, 0, "ObpRootDirectoryObject"},
	} {
		w := namespaceWorld()
		tt.harm(w)
		list, err := w.machine("19041", rootDirectory).Directory(`\Driver`)
		if len(list) != tt.want || err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %d objects, %v; want %d and %q", tt.name, len(list), err, tt.want, tt.err)
		}
	}
	w := namespaceWorld()
	w.words(driverDirectory-0x50, driverDirectory) // a directory in itself
	if path, err := w.machine("19041", rootDirectory).ObjectPath(driverAt); err == nil || !strings.HasSuffix(path, `\Driver\MYFAULT`) {
		t.Errorf("a directory in itself: %q, %v", path, err)
	}
}

func TestDriverObjects(t *testing.T) {
	list, err := namespaceWorld().machine("19041", rootDirectory).DriverObjects()
	if len(list) != 2 || err == nil || !strings.Contains(err.Error(), `has no "FileSystem"`) {
		t.Fatalf("%d drivers, %v", len(list), err)
	}
	d := list[0]
	if d.Address != driverAt || d.Name != `\Driver\MYFAULT` || d.Image != "myfault.sys" || d.Start != worldMyfault || d.Size != 0x8000 {
		t.Errorf("got %+v", d)
	}
	if want := (Routine{worldMyfault + 0x1000, "myfault.sys"}); d.Major[14] != want || len(d.Foreign("ntoskrnl.exe")) != 0 {
		t.Errorf("routine 14 is %+v, foreign %v", d.Major[14], d.Foreign("ntoskrnl.exe"))
	}
	if want := []mem.VA{deviceAt, device2At}; !reflect.DeepEqual(d.Devices, want) {
		t.Errorf("devices %v, want %v", d.Devices, want)
	}
	if got, want := list[1].Foreign("ntoskrnl.exe"), []int{1}; !reflect.DeepEqual(got, want) {
		t.Errorf("foreign routines %v, want %v: %+v", got, want, list[1].Major)
	}
}

// TestDriverObject_Framework: a driver all of whose routines are its framework's is
// not hooked.
func TestDriverObject_Framework(t *testing.T) {
	w := namespaceWorld()
	w.driver(driverAt, worldMyfault, 0, "x", worldStorport)
	d, err := w.machine("19041", nil).DriverObject(driverAt)
	if got := d.Foreign("ntoskrnl.exe"); err != nil || got != nil {
		t.Errorf("foreign routines %v, %v; want none", got, err)
	}
	w.words(driverAt+0x70+8*3, 0xffffa00d_00000000) // in no image
	d, err = w.machine("19041", nil).DriverObject(driverAt)
	if got := d.Foreign("ntoskrnl.exe"); err != nil || !reflect.DeepEqual(got, []int{3}) {
		t.Errorf("foreign routines %v, %v; want 3", got, err)
	}
}

func TestDeviceStack(t *testing.T) {
	w := namespaceWorld()
	w.words(deviceAt+0x18, 0)
	m := w.machine("19041", rootDirectory)
	for _, va := range []mem.VA{deviceAt, device2At} { // from any of its devices
		list, err := m.DeviceStack(va)
		if err != nil || len(list) != 2 || list[0].Address != deviceAt || list[0].Name != `\Device\Video0` || list[0].Driver != "myfault.sys" ||
			list[0].Object != driverAt || list[1].Address != device2At || list[1].Driver != "storport.sys" {
			t.Errorf("DeviceStack(%v) = %+v, %v", va, list, err)
		}
	}
	w.words(deviceAt+0x18, device2At) // each above the other
	if list, err := w.machine("19041", nil).DeviceStack(deviceAt); err == nil || len(list) > 2*maxDeviceStack {
		t.Errorf("a stack that is a ring: %d devices, %v", len(list), err)
	}
	delete(w, device2At&^0xfff)
	if list, err := w.machine("19041", nil).DeviceStack(deviceAt); !mem.IsMissing(err) || len(list) != 1 {
		t.Errorf("a torn stack: %+v, %v", list, err)
	}
}
