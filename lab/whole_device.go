package lab

// DriverObject is a driver.
type DriverObject struct {
	Address uint64
	Name    string // \Driver\MYFAULT
	Module  *KernelModule
	Devices []*DeviceObject
}

// DeviceObject is a device.
type DeviceObject struct {
	Address  uint64
	Name     string // MyFault, in \Device; "" for none
	Driver   *DriverObject
	Attached *DeviceObject // the device on top of it
	Below    *DeviceObject // what it is attached to
	Node     uint64        // DEVICE_NODE of a physical device object
	Stack    uint8         // StackSize
}

// drivers of the machine: service, image, folder of its object.
var drivers = []struct{ name, image, folder string }{
	{"PnpManager", "ntoskrnl.exe", "Driver"}, {"ACPI", "ACPI.sys", "Driver"}, {"pci", "pci.sys", "Driver"}, {"vmbus", "vmbus.sys", "Driver"},
	{"storvsc", "storvsc.sys", "Driver"}, {"disk", "disk.sys", "Driver"}, {"partmgr", "partmgr.sys", "Driver"}, {"volmgr", "volmgr.sys", "Driver"},
	{"volsnap", "volsnap.sys", "Driver"}, {"netvsc", "netvsc.sys", "Driver"}, {"Tcpip", "tcpip.sys", "Driver"}, {"BasicDisplay", "BasicDisplay.sys", "Driver"},
	{"FltMgr", "FLTMGR.SYS", "FileSystem"}, {"Ntfs", "Ntfs.sys", "FileSystem"}, {"MYFAULT", "myfault.sys", "Driver"},
	{"USBXHCI", "USBXHCI.SYS", "Driver"}, {"kbdhid", "kbdhid.sys", "Driver"}, {"labnet", "labnet.sys", "Driver"}, {"labdisp", "labdisp.sys", "Driver"},
	{"labusb", "labusb.sys", "Driver"}, {"labflt", "labflt.sys", "FileSystem"},
}

// stacks of devices, each from the physical device object up: service, name of the device;
// the instance path of the first's DEVICE_NODE and the service that it is for.
var stacks = []struct {
	instance, service string
	devices           [][2]string
}{
	{`HTREE\ROOT\0`, "", [][2]string{{"PnpManager", ""}}},
	{`ACPI\PNP0A03\0`, "pci", [][2]string{{"ACPI", "00000001"}, {"pci", ""}}},
	{`VMBUS\{ba6163d9-04a1-4d29-b605-72e2ffb1dc7f}\0`, "storvsc", [][2]string{{"vmbus", "00000027"}, {"storvsc", "RaidPort0"}}},
	{`SCSI\DISK&VEN_MSFT&PROD_VIRTUAL_DISK\0`, "disk", [][2]string{{"storvsc", "0000002c"}, {"disk", `DR0`}, {"partmgr", ""}}},
	{`STORAGE\VOLUME\{2f30a6b4-0000-0000-0000-100000000000}`, "volsnap", [][2]string{{"volmgr", "HarddiskVolume3"}, {"volsnap", ""}}},
	{`VMBUS\{f8615163-df3e-46c5-913f-f2d2f965ed0e}\0`, "netvsc", [][2]string{{"vmbus", "00000028"}, {"netvsc", "NDMP1"}}},
	{`PCI\VEN_1AF4&DEV_1000\0`, "labnet", [][2]string{{"pci", "NTPNP_PCI0009"}, {"labnet", "NDMP2"}}},
	{`PCI\VEN_1AF4&DEV_1050\0`, "labdisp", [][2]string{{"pci", "NTPNP_PCI0010"}, {"labdisp", "Video1"}}},
	{`USB\VID_1D6B&PID_0104\LAB0001`, "labusb", [][2]string{{"USBXHCI", "USBPDO-1"}, {"labusb", ""}}},
	{`PCI\VEN_1414&DEV_5353\0`, "BasicDisplay", [][2]string{{"pci", "NTPNP_PCI0008"}, {"BasicDisplay", "Video0"}}},
}

// buildDevices makes driver objects, the device stacks, the file system's devices that no
// stack of hardware holds, and \Device\MyFault.
func (s *System) buildDevices() {
	s.objects.dirs[`Device\Harddisk0`] = s.directory("Harddisk0", "Device")
	s.enter(s.objects.dirs["Device"], "Harddisk0", s.objects.dirs[`Device\Harddisk0`])
	for _, d := range drivers {
		s.addDriver(d.name, d.image, d.folder)
	}
	var nodes []uint64
	for _, st := range stacks {
		var below *DeviceObject
		for _, d := range st.devices {
			dev := s.AddDevice(s.Driver(d[0]), d[1], 0x22, below)
			if below == nil {
				dev.Node = s.deviceNode(dev, st.instance, st.service)
				nodes = append(nodes, dev.Node)
			}
			below = dev
		}
	}
	s.linkNodes(nodes)
	volume := s.AddDevice(s.Driver("Ntfs"), "", 8, nil)
	filter := s.AddDevice(s.Driver("FltMgr"), "", 8, volume)
	s.AddDevice(s.Driver("Tcpip"), "Tcp", 0x12, nil)
	s.AddDevice(s.Driver("MYFAULT"), "MyFault", 0x8336, nil)
	for _, d := range s.Drivers {
		s.writeDriver(d)
	}
	// Requests that wait for something to happen, as on every machine: explorer.exe and
	// services.exe watch folders (IRP_MJ_DIRECTORY_CONTROL, IRP_MN_NOTIFY_CHANGE_DIRECTORY).
	for i, name := range []string{"explorer.exe", "services.exe"} {
		_, err := s.AddIRP(filter, Request{Major: 12, Minor: 2, Thread: s.Process(name).Threads[1+i], User: true, Current: 1})
		s.fail(err)
	}
}

// Driver returns the driver of a service's name; nil where there is none.
func (s *System) Driver(name string) *DriverObject {
	for _, d := range s.Drivers {
		if base := d.Name[lastSlash(d.Name)+1:]; base == name {
			return d
		}
	}
	return nil
}

func lastSlash(s string) int {
	for i := len(s) - 1; i >= 0; i-- {
		if s[i] == '\\' {
			return i
		}
	}
	return -1
}

func (s *System) addDriver(name, image, folder string) {
	d := &DriverObject{Name: `\` + folder + `\` + name, Module: s.Module(image)}
	d.Address = s.object("Driver", 0x150+0x50, "Driv", name, folder)
	s.enter(s.objects.dirs[folder], name, d.Address)
	s.Drivers = append(s.Drivers, d)
}

// writeDriver writes DRIVER_OBJECT (wdm.h; dt nt!_DRIVER_OBJECT) and the DRIVER_EXTENSION
// behind it.
func (s *System) writeDriver(d *DriverObject) {
	var w buf
	w.grow(0x1a0)
	w.put16(0, 4)
	w.put16(2, 0x150)
	if len(d.Devices) > 0 {
		w.put64(8, d.Devices[len(d.Devices)-1].Address) // the newest comes first
	}
	w.put32(0x10, 0x12)
	w.put64(0x18, d.Module.Base)
	w.put32(0x20, d.Module.Size)
	w.put64(0x28, d.Module.Entry)
	w.put64(0x30, d.Address+0x150)
	w.putText(0x38, d.Name, s.text("IoNm", d.Name, true))
	entry := d.Module.Base + 0x1000
	if d.Module.Image != nil {
		entry = d.Module.Base + uint64(d.Module.Image.Entry)
	}
	w.put64(0x58, entry)
	w.put64(0x68, entry+0x40)
	for i := 0; i < 28; i++ {
		dispatch := s.Symbol("IopInvalidDeviceRequest")
		if i == 0 || i == 2 || i == 14 || i == 22 || i == 27 {
			dispatch = entry + 0x100
		}
		w.put64(0x70+8*i, dispatch)
	}
	w.put64(0x150, d.Address)
	service := d.Name[lastSlash(d.Name)+1:]
	w.putText(0x168, service, s.text("IoNm", service, true))
	s.put(d.Address, w.b)
}

// AddDevice makes a device of a driver, on top of another where below is not nil. kind is
// its DeviceType. wdm.h; dt nt!_DEVICE_OBJECT, nt!_DEVOBJ_EXTENSION.
func (s *System) AddDevice(d *DriverObject, name string, kind uint32, below *DeviceObject) *DeviceObject {
	dev := &DeviceObject{Name: name, Driver: d, Below: below, Stack: 1}
	directory := "Device"
	if name == "DR0" {
		directory = `Device\Harddisk0`
	}
	dev.Address = s.object("Device", 0x150+0x70, "Devi", name, directory)
	if name != "" {
		s.enter(s.objects.dirs[directory], name, dev.Address)
	}
	if below != nil {
		dev.Stack = below.Stack + 1
		below.Attached = dev
	}
	var w buf
	w.grow(0x1c0)
	w.put16(0, 3)
	w.put16(2, 0x150)
	w.put32(4, 1)
	w.put64(8, d.Address)
	if n := len(d.Devices); n > 0 {
		w.put64(0x10, d.Devices[n-1].Address)
	}
	w.put32(0x30, 0x40) // DO_DEVICE_HAS_NAME
	w.put32(0x48, kind)
	w.put8(0x4c, dev.Stack)
	w.put64(0x138, dev.Address+0x150)
	w.put16(0x150, 13)
	w.put64(0x158, dev.Address)
	if below != nil {
		w.put64(0x180, below.Address) // AttachedTo
		s.word(below.Address+0x18, dev.Address)
	}
	s.put(dev.Address, w.b)
	d.Devices = append(d.Devices, dev)
	if len(d.Devices) > 1 {
		s.word(d.Address+8, dev.Address)
	}
	return dev
}

// deviceNode makes the DEVICE_NODE of a physical device object. Started: DeviceNodeStarted
// 0x308 of _PNP_DEVNODE_STATE.
func (s *System) deviceNode(dev *DeviceObject, instance, service string) uint64 {
	r := s.record("_DEVICE_NODE", s.alloc("PpDn", s.layout.Size("_DEVICE_NODE"), false))
	r.set64("PhysicalDeviceObject", dev.Address)
	r.setText("InstancePath", instance, s.text("PpDn", instance, true))
	if service != "" {
		r.setText("ServiceName", service, s.text("PpDn", service, true))
	}
	r.set32("State", 0x308)
	r.set32("PreviousState", 0x307)
	r.set32("Flags", 0x6c000130)
	r.write()
	s.word(dev.Address+0x150+0x28, r.va)
	return r.va
}

// linkNodes makes the first node the root and all others its children: Sibling 0, Child 8,
// Parent 0x10, LastChild 0x18.
func (s *System) linkNodes(nodes []uint64) {
	root := nodes[0]
	s.pointer("IopRootDeviceNode", root)
	for i, n := range nodes[1:] {
		s.word(n+0x10, root)
		if i > 0 {
			s.word(nodes[i], n)
		}
		s.fail(s.Set(n, "_DEVICE_NODE", "Level", 4, 1))
	}
	s.word(root+8, nodes[1])
	s.word(root+0x18, nodes[len(nodes)-1])
}

// Request says what an IRP asks for.
type Request struct {
	Major, Minor uint8
	IOCTL        uint32 // of Major 14
	Thread       *EThread
	User         bool      // user mode asked
	Current      int       // how many drivers down from the top the request is: 0 the topmost
	Completion   uint64    // CompletionRoutine of the levels above
	Arguments    [4]uint64 // Parameters, where IOCTL is 0
}

// AddIRP makes a request to the stack of devices that ends with top, and puts it on its
// thread's list. wdm.h; dt nt!_IRP: 0xd0 bytes, then stack locations of 0x48 bytes, the last
// for the topmost device.
func (s *System) AddIRP(top *DeviceObject, q Request) (uint64, error) {
	n := int(top.Stack)
	irp := s.alloc("Irp ", uint64(0xd0+0x48*n), false)
	current := n - q.Current // CurrentLocation counts from 1
	var w buf
	w.grow(0xd0 + 0x48*n)
	w.put16(0, 6)
	w.put16(2, uint16(0xd0+0x48*n))
	w.put32(0x10, 0x60000)
	w.put64s(0x20, irp+0x20, irp+0x20)
	if q.User {
		w.put8(0x40, 1)
	}
	w.put8(0x42, uint8(n))
	w.put8(0x43, uint8(current))
	if q.Thread != nil {
		w.put64(0x98, q.Thread.Address) // Tail.Overlay.Thread
	}
	w.put64(0xb8, irp+0xd0+0x48*uint64(current-1)) // Tail.Overlay.CurrentStackLocation
	for at, dev := n, top; dev != nil && at >= current; at, dev = at-1, dev.Below {
		o := 0xd0 + 0x48*(at-1)
		w.put(o, []byte{q.Major, q.Minor, 0, 0})
		if at == current {
			w.put8(o+3, 1) // SL_PENDING_RETURNED
		}
		w.put64s(o+8, q.Arguments[:]...)
		if q.IOCTL != 0 {
			w.put64s(o+8, 0, 0, uint64(q.IOCTL), 0)
		}
		w.put64(o+0x28, dev.Address)
		if at < n {
			w.put64(o+0x38, q.Completion)
			if q.Completion != 0 {
				w.put8(o+3, 0xe0|w.b[o+3])
			}
		}
	}
	s.put(irp, w.b)
	if q.Thread != nil {
		q.Thread.Irps = append(q.Thread.Irps, irp)
		if list, ok := s.layout.Field("_ETHREAD", "IrpList"); ok {
			s.fail(s.InsertTail(q.Thread.Address+list, irp+0x20))
		}
	}
	return irp, s.err
}
