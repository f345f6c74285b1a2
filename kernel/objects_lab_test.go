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

// eachLabObjects runs a test on machines of the lab, without symbols and with.
func eachLabObjects(t *testing.T, make func(t *testing.T, s *lab.System), test func(t *testing.T, s *lab.System, m *kernel.Machine, symbols bool)) {
	for _, p := range []lab.Plan{
		{Arch: "x64", Build: 17763}, {Arch: "x64", Build: 19041}, {Arch: "x64", Build: 22621}, {Arch: "x64", Build: 26100}, {Arch: "arm64", Build: 26100},
	} {
		s := labSystem(t, p)
		if make != nil {
			make(t, s)
		}
		f := labDump(t, s, ram.KernelBitmap)
		for _, symbols := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s %d symbols %v", p.Arch, p.Build, symbols), func(t *testing.T) {
				m := kernel.Open(f)
				if symbols {
					m = kernel.OpenWith(t.Context(), f, finder(t, labSymbols(t, s)))
				}
				test(t, s, m, symbols)
			})
		}
	}
}

// poolTables reports that the machine has its pool tables: in some of the lab's kernels
// MiSystemPartition reaches over the variables behind it.
func poolTables(s *lab.System) bool {
	rows, err := s.Word(s.Symbol("PoolTrackTableSize"))
	return err == nil && rows == 2048
}

func TestLab_PoolUsage(t *testing.T) {
	eachLabObjects(t, func(t *testing.T, s *lab.System) {
		for range 50 {
			if _, err := s.Alloc("Leak", 0x800, true); err != nil {
				t.Fatal(err)
			}
		}
	}, func(t *testing.T, s *lab.System, m *kernel.Machine, symbols bool) {
		if !poolTables(s) {
			t.Skip("the machine has no pool tables")
		}
		list, err := m.PoolUsage()
		if err != nil && !strings.Contains(err.Error(), "processor 0") { // the lab counts everything there
			t.Error(err)
		}
		var nonPaged, paged uint64
		for _, tag := range list {
			n, p := s.PoolUse(tag.Tag)
			if tag.NonPaged.Bytes != n || tag.Paged.Bytes != p {
				t.Errorf("%s: %d and %d bytes, want %d and %d", tag.Tag, tag.NonPaged.Bytes, tag.Paged.Bytes, n, p)
			}
			nonPaged, paged = nonPaged+tag.NonPaged.Bytes, paged+tag.Paged.Bytes
			if tag.Tag == "Leak" && (tag.Paged.Blocks() != 50 || tag.NonPaged.Blocks() != 0) {
				t.Errorf("Leak: %d blocks, want 50", tag.Paged.Blocks())
			}
		}
		if n, p := s.PoolTotals(); nonPaged != n || paged != p {
			t.Errorf("%d and %d bytes in all, want %d and %d", nonPaged, paged, n, p)
		}
	})
}

func TestLab_PoolBlock(t *testing.T) {
	var freed, big, overrun uint64
	eachLabObjects(t, func(t *testing.T, s *lab.System) {
		var list []uint64
		for range 3 {
			va, err := s.Alloc("Leak", 0x800, true)
			if err != nil {
				t.Fatal(err)
			}
			list = append(list, va)
		}
		freed = list[1]
		if err := s.Free(freed); err != nil {
			t.Fatal(err)
		}
		var err error
		if big, err = s.Alloc("Big ", 0x5000, false); err != nil {
			t.Fatal(err)
		}
		if overrun, err = s.Alloc("OOOO", 0x700, false); err != nil {
			t.Fatal(err)
		}
		if _, err = s.Alloc("Vict", 0x80, false); err != nil {
			t.Fatal(err)
		}
		if err := s.Space.Write(overrun, []byte(strings.Repeat("O", 0x740))); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T, s *lab.System, m *kernel.Machine, symbols bool) {
		known := symbols || s.Build < 18362 // without symbols a segment heap can only be guessed
		all, wrong := 0, 0
		for _, tag := range []string{"Irp ", "Proc", "Thre", "IoNm", "Leak"} {
			for _, va := range s.Blocks(tag) {
				all++
				p, err := m.PoolBlock(mem.VA(va) + 8)
				if err != nil || p.Address != mem.VA(va) || p.Tag != tag || p.Free || p.Damaged || p.Guessed == known {
					wrong++
					if known {
						t.Errorf("block %v of %q: %+v, %v", mem.VA(va), tag, p, err)
					}
				}
			}
		}
		if wrong > all/4 {
			t.Errorf("%d of %d blocks are wrong", wrong, all)
		}
		p, err := m.PoolBlock(mem.VA(freed) + 0x100)
		if known && !mem.IsMissing(err) && (err != nil || !p.Free || p.Size < 0x800) {
			t.Errorf("the free block: %+v, %v", p, err)
		}
		if p, err = m.PoolBlock(mem.VA(big) + 0x4321); symbols && poolTables(s) && (err != nil || p.Kept != kernel.KeptBig || p.Tag != "Big " || p.Pool != kernel.NonPaged) {
			t.Errorf("the big block: %+v, %v", p, err)
		}
		p, err = m.PoolBlock(mem.VA(overrun) + 0x100)
		if err != nil || p.Tag != "OOOO" || p.Address != mem.VA(overrun) || p.After == nil || p.After.Intact || !strings.HasPrefix(p.After.Text, "OOOO") {
			t.Errorf("the overrun block: %+v, %v; behind it %+v", p, err, p.After)
		}
	})
}

func TestLab_Drivers(t *testing.T) {
	var irps []uint64
	eachLabObjects(t, func(t *testing.T, s *lab.System) {
		irps = nil
		thread := s.Process("notmyfault64.exe").Threads[0]
		disk := s.Driver("disk").Devices[0]
		for disk.Attached != nil {
			disk = disk.Attached
		}
		for _, q := range []struct {
			top *lab.DeviceObject
			lab.Request
		}{
			{s.Driver("MYFAULT").Devices[0], lab.Request{Major: 14, IOCTL: 0x83360018, Thread: thread, User: true}},
			{disk, lab.Request{Major: 3, Thread: thread, Current: 1}},
		} {
			irp, err := s.AddIRP(q.top, q.Request)
			if err != nil {
				t.Fatal(err)
			}
			irps = append(irps, irp)
		}
	}, func(t *testing.T, s *lab.System, m *kernel.Machine, symbols bool) {
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
			if r.Address != mem.VA(irps[i]) || r.Thread != mem.VA(thread.Address) || r.Major != want.major || len(r.Locations) != want.locations ||
				!ok || !h.Current || !h.Pending() || want.driver != "" && h.Driver != want.driver {
				t.Errorf("request %d: %+v", i, r)
			}
		}
		if p := requests[0].Locations[0].Parameters; p[2] != 0x83360018 {
			t.Errorf("parameters %x", p)
		}
	})
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

func TestLab_Locks(t *testing.T) {
	var a, b, push uint64
	eachLabObjects(t, func(t *testing.T, s *lab.System) {
		threads := s.Process("System").Threads
		one, two, three := threads[5], threads[6], threads[7]
		a, b = s.Resource("Ntfa"), s.Resource("Ntfb")
		var err error
		if push, err = s.Alloc("Push", 8, false); err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{s.Acquire(a, one, false), s.Acquire(b, two, false), s.WaitForResource(a, two, false), s.WaitForResource(b, one, true),
			s.PushLock(push, three)} {
			if err != nil {
				t.Fatal(err)
			}
		}
	}, func(t *testing.T, s *lab.System, m *kernel.Machine, symbols bool) {
		threads := s.Process("System").Threads
		one, two, three := mem.VA(threads[5].Address), mem.VA(threads[6].Address), mem.VA(threads[7].Address)
		list, err := m.Resources(kernel.Resource.Contended)
		if err != nil || len(list) != 2 || list[0].Address != mem.VA(a) || list[1].Address != mem.VA(b) {
			t.Fatalf("%+v, %v", list, err)
		}
		rings := kernel.Deadlocks(list)
		if len(rings) != 1 || len(rings[0]) != 2 || !slices.Contains(rings[0], kernel.LockWait{Thread: one, Resource: mem.VA(b), Owner: two}) ||
			!slices.Contains(rings[0], kernel.LockWait{Thread: two, Resource: mem.VA(a), Owner: one}) {
			t.Errorf("deadlocks: %v", rings)
		}
		owned, err := m.Resources(kernel.Resource.Owned)
		if err != nil || len(owned) != 4 || !owned[0].Exclusive || owned[1].Exclusive || len(owned[1].Owners) != 2 {
			t.Errorf("owned: %+v, %v", owned, err)
		}
		p, err := m.PushLock(mem.VA(push))
		if err != nil || !p.Exclusive || len(p.Waiters) != 1 || p.Waiters[0].Thread != three || !p.Waiters[0].Exclusive {
			t.Errorf("push lock: %+v, %v", p, err)
		}
	})
}

func TestLab_VirtualMemory(t *testing.T) {
	eachLabObjects(t, func(t *testing.T, s *lab.System) {
		if err := s.SetMemory(12345, 234567, 345678); err != nil {
			t.Fatal(err)
		}
	}, func(t *testing.T, s *lab.System, m *kernel.Machine, symbols bool) {
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
	})
}
