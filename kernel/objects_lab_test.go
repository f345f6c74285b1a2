package kernel_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"bugcheck/kernel"
	"bugcheck/lab"
	"bugcheck/lab/ram"
	"bugcheck/mem"
)

// labSymbols is a folder with the symbol file of the machine's kernel.
func labSymbols(t *testing.T, s *lab.System) string {
	t.Helper()
	dir := t.TempDir()
	image := s.Modules[0].Image
	if err := os.WriteFile(filepath.Join(dir, image.PDBName), image.PDB, 0o600); err != nil {
		t.Fatal(err)
	}
	return dir
}

// labObjects are what a machine was given besides what it had.
type labObjects struct {
	freed, big, overrun uint64 // blocks of pool
	irps                []uint64
	a, b, push          uint64 // locks
}

// prepare gives a machine requests, locks that wait for each other, and pool that a
// driver leaked, freed and ran over.
func prepare(t *testing.T, s *lab.System) (o labObjects) {
	t.Helper()
	must := func(va uint64, err error) uint64 {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
		return va
	}
	thread, threads := s.Process("notmyfault64.exe").Threads[0], s.Process("System").Threads
	disk := s.Driver("disk").Devices[0]
	for disk.Attached != nil {
		disk = disk.Attached
	}
	o.irps = append(o.irps, must(s.AddIRP(s.Driver("MYFAULT").Devices[0], lab.Request{Major: 14, IOCTL: 0x83360018, Thread: thread, User: true})),
		must(s.AddIRP(disk, lab.Request{Major: 3, Thread: thread, Current: 1})))
	o.a, o.b, o.push = s.Resource("Ntfa"), s.Resource("Ntfb"), must(s.Alloc("Push", 8, false))
	for _, err := range []error{s.Acquire(o.a, threads[5], false), s.Acquire(o.b, threads[6], false), s.WaitForResource(o.a, threads[6], false),
		s.WaitForResource(o.b, threads[5], true), s.PushLock(o.push, threads[7]), s.SetMemory(12345, 234567, 345678)} {
		must(0, err)
	}
	var list []uint64
	for range 50 {
		list = append(list, must(s.Alloc("Leak", 0x800, true)))
	}
	o.freed = list[1]
	must(0, s.Free(o.freed))
	o.big, o.overrun = must(s.Alloc("Big ", 0x5000, false)), must(s.Alloc("OOOO", 0x700, false))
	must(s.Alloc("Vict", 0x80, false))
	must(0, s.Space.Write(o.overrun, []byte(strings.Repeat("O", 0x740))))
	return o
}

// The objects of the lab's machines are read as they were made, without symbols and with.
func TestLab_Objects(t *testing.T) {
	for _, p := range plans {
		s := labSystem(t, p)
		o := prepare(t, s)
		f := labDump(t, s, ram.KernelBitmap)
		for _, symbols := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %d symbols %v", p.Arch, p.Build, symbols), func(t *testing.T) {
				m := kernel.Open(f)
				if symbols {
					m = kernel.OpenWith(t.Context(), f, finder(t, labSymbols(t, s)))
				}
				checkLabPoolUsage(t, s, m)
				checkLabPoolBlocks(t, s, m, o, symbols)
				checkLabDrivers(t, s, m, o)
				checkLabLocks(t, s, m, o)
				checkLabMemory(t, s, m, symbols)
			})
		}
	}
}

func checkLabPoolUsage(t *testing.T, s *lab.System, m *kernel.Machine) {
	t.Helper()
	list, err := m.PoolUsage()
	if err != nil {
		t.Error(err)
	}
	var nonPaged, paged uint64
	for _, tag := range list {
		n, p := s.PoolUse(tag.Tag)
		if tag.NonPaged.Bytes != n || tag.Paged.Bytes != p {
			t.Errorf("%s: %d and %d bytes, want %d and %d", tag.Tag, tag.NonPaged.Bytes, tag.Paged.Bytes, n, p)
		}
		nonPaged, paged = nonPaged+tag.NonPaged.Bytes, paged+tag.Paged.Bytes
		if tag.Tag == "Leak" && (tag.Paged.Blocks() != 49 || tag.NonPaged.Blocks() != 0) {
			t.Errorf("Leak: %d blocks, want 49", tag.Paged.Blocks())
		}
	}
	if n, p := s.PoolTotals(); nonPaged != n || paged != p {
		t.Errorf("%d and %d bytes in all, want %d and %d", nonPaged, paged, n, p)
	}
}

func checkLabPoolBlocks(t *testing.T, s *lab.System, m *kernel.Machine, o labObjects, symbols bool) {
	t.Helper()
	for tag, pool := range map[string]kernel.Pool{"Irp ": kernel.NonPaged, "Proc": kernel.NonPaged, "Thre": kernel.NonPaged, "IoNm": kernel.Paged, "Leak": kernel.Paged} {
		for _, va := range s.Blocks(tag) {
			p, err := m.PoolBlock(mem.VA(va) + 8)
			if err != nil || p.Address != mem.VA(va) || p.Tag != tag || p.Pool != pool || p.Free || p.Damaged || p.Guessed {
				t.Errorf("block %v of %q: %+v, %v", mem.VA(va), tag, p, err)
			}
		}
	}
	p, err := m.PoolBlock(mem.VA(o.freed) + 0x100)
	if !mem.IsMissing(err) && (err != nil || !p.Free || p.Size < 0x800 || s.Build >= 18362 && p.Pool != kernel.Paged) {
		t.Errorf("the free block: %+v, %v", p, err)
	}
	if p, err = m.PoolBlock(mem.VA(o.big) + 0x4321); symbols && (err != nil || p.Kept != kernel.KeptBig || p.Tag != "Big " || p.Pool != kernel.NonPaged) {
		t.Errorf("the big block: %+v, %v", p, err)
	}
	p, err = m.PoolBlock(mem.VA(o.overrun) + 0x100)
	if err != nil || p.Tag != "OOOO" || p.Address != mem.VA(o.overrun) || p.After == nil || p.After.Intact || !strings.HasPrefix(p.After.Text, "OOOO") {
		t.Errorf("the overrun block: %+v, %v; behind it %+v", p, err, p.After)
	}
}

func checkLabDrivers(t *testing.T, s *lab.System, m *kernel.Machine, o labObjects) {
	t.Helper()
	if got := m.TagDrivers("Leak")["Leak"]; !slices.Equal(got, []string{"myfault.sys"}) {
		t.Errorf("the tag Leak is that of %v, want myfault.sys", got)
	}
	list, err := m.DriverObjects()
	if err != nil || len(list) != len(s.Drivers) {
		t.Errorf("%d drivers, %v; want %d", len(list), err, len(s.Drivers))
	}
	for _, want := range s.Drivers {
		i := slices.IndexFunc(list, func(d kernel.DriverObject) bool { return d.Address == mem.VA(want.Address) })
		if i < 0 {
			t.Errorf("%s is not in the list", want.Name)
			continue
		}
		d := list[i]
		if d.Name != want.Name || d.Image != want.Module.Name || d.Size != uint64(want.Module.Size) || len(d.Devices) != len(want.Devices) ||
			len(d.Foreign(m.Modules[0].Name)) > 0 {
			t.Errorf("%+v, want %s with %d devices", d, want.Name, len(want.Devices))
		}
		for _, device := range want.Devices {
			checkLabDevice(t, m, device)
		}
	}
	thread := s.Process("notmyfault64.exe").Threads[0]
	requests, err := m.ThreadIRPs(mem.VA(thread.Address))
	if err != nil || len(requests) < 2 {
		t.Fatalf("%d requests, %v", len(requests), err)
	}
	requests = requests[len(requests)-2:]
	for i, want := range []struct {
		major     uint8
		driver    string
		locations int
	}{{14, "myfault.sys", 1}, {3, "", len(requests[1].Locations)}} {
		r := requests[i]
		h, ok := r.Holder()
		if r.Address != mem.VA(o.irps[i]) || r.Thread != mem.VA(thread.Address) || r.Major != want.major || len(r.Locations) != want.locations ||
			!ok || !h.Current || !h.Pending() || want.driver != "" && h.Driver != want.driver {
			t.Errorf("request %d: %+v", i, r)
		}
	}
	if p := requests[0].Locations[0].Parameters; p[2] != 0x83360018 {
		t.Errorf("parameters %x", p)
	}
}

// checkLabDevice holds a device's stack against the lab's.
func checkLabDevice(t *testing.T, m *kernel.Machine, device *lab.DeviceObject) {
	t.Helper()
	top := device
	for top.Attached != nil {
		top = top.Attached
	}
	var want, got []string
	for d := top; d != nil; d = d.Below {
		want = append(want, fmt.Sprintf("%v %s", mem.VA(d.Address), d.Driver.Module.Name))
	}
	stack, err := m.DeviceStack(mem.VA(device.Address))
	for _, d := range stack {
		got = append(got, fmt.Sprintf("%v %s", d.Address, d.Driver))
		if d.Address == mem.VA(device.Address) && !strings.HasSuffix(d.Name, device.Name) {
			t.Errorf("device %q, want %q", d.Name, device.Name)
		}
	}
	if err != nil || !slices.Equal(got, want) {
		t.Errorf("stack of %v: %v, %v; want %v", mem.VA(device.Address), got, err, want)
	}
}

func checkLabLocks(t *testing.T, s *lab.System, m *kernel.Machine, o labObjects) {
	t.Helper()
	threads := s.Process("System").Threads
	one, two, three := mem.VA(threads[5].Address), mem.VA(threads[6].Address), mem.VA(threads[7].Address)
	list, err := m.Resources(kernel.Resource.Contended)
	if err != nil || len(list) != 2 || list[0].Address != mem.VA(o.a) || list[1].Address != mem.VA(o.b) {
		t.Fatalf("%+v, %v", list, err)
	}
	rings := kernel.Deadlocks(list)
	if len(rings) != 1 || len(rings[0]) != 2 || !slices.Contains(rings[0], kernel.LockWait{Thread: one, Resource: mem.VA(o.b), Owner: two}) ||
		!slices.Contains(rings[0], kernel.LockWait{Thread: two, Resource: mem.VA(o.a), Owner: one}) {
		t.Errorf("deadlocks: %v", rings)
	}
	owned, err := m.Resources(kernel.Resource.Owned)
	if err != nil || len(owned) != 4 || !owned[0].Exclusive || owned[1].Exclusive || len(owned[1].Owners) != 2 {
		t.Errorf("owned: %+v, %v", owned, err)
	}
	p, err := m.PushLock(mem.VA(o.push))
	if err != nil || !p.Exclusive || len(p.Waiters) != 1 || p.Waiters[0].Thread != three || !p.Waiters[0].Exclusive {
		t.Errorf("push lock: %+v, %v", p, err)
	}
}

func checkLabMemory(t *testing.T, s *lab.System, m *kernel.Machine, symbols bool) {
	t.Helper()
	v, err := m.VirtualMemory()
	state := symbols || m.Field("_MI_SYSTEM_INFORMATION", "Partitions.Partition") >= 0
	if err != nil && state {
		t.Error(err)
	}
	nonPaged, paged := s.PoolTotals()
	for _, tt := range []struct {
		name string
		got  *uint64
		want uint64
	}{
		{"physical", v.Physical, s.Memory.Frames()}, {"available", v.Available, 12345}, {"committed", v.Committed, 234567},
		{"commit limit", v.CommitLimit, 345678}, {"nonpaged pool", v.NonPagedPool, nonPaged >> 12}, {"paged pool", v.PagedPool, paged >> 12},
	} {
		if !state && strings.Contains(tt.name, "pool") {
			continue // MiState was not found
		}
		if tt.got == nil || *tt.got != tt.want && !strings.Contains(tt.name, "pool") || tt.want/2 > *tt.got {
			t.Errorf("%s: %v, want %d", tt.name, tt.got, tt.want)
		}
	}
	if len(v.PagingFiles) != 1 || v.PagingFiles[0].Name != `\??\C:\pagefile.sys` || v.PagingFiles[0].Size != s.Memory.Frames()/8 {
		t.Errorf("paging files: %+v", v.PagingFiles)
	}
	block := mem.VA(s.Blocks("Proc")[0])
	space, ok := m.Memory.(*mem.Space)
	if !ok {
		t.Fatalf("the memory is %T", m.Memory)
	}
	where, err := space.Translate(block)
	if err != nil {
		t.Fatal(err)
	}
	if p, err := m.PFN(where); err != nil || !p.Active || p.Shares != 1 || p.References != 1 {
		t.Errorf("page frame of %v: %+v, %v", block, p, err)
	}
}
