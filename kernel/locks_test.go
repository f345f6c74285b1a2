package kernel

import (
	"reflect"
	"strings"
	"testing"

	"bugcheck/mem"
)

const (
	resourcesHead = worldData + 0x3000
	lockA         = mem.VA(0xffffa00d_40000000)
	lockB         = mem.VA(0xffffa00d_40001000)
	lockC         = mem.VA(0xffffa00d_40002000)
	ownersAt      = mem.VA(0xffffa00d_41000000)
	stackAt       = mem.VA(0xffffbd80_00000000)
	thread1       = mem.VA(0xffffa00d_50000080)
	thread2       = mem.VA(0xffffa00d_50001080)
	thread3       = mem.VA(0xffffa00d_50002080)
)

// resource writes an ERESOURCE without waiters; an owner that is not alone stands in
// its table.
func (w world) resource(va mem.VA, exclusive bool, owners ...mem.VA) {
	w.write(va+0x10, make([]byte, 0x58))
	w.u16(va+0x18, uint16(len(owners)))
	if exclusive {
		w.u16(va+0x1a, 0x80)
	}
	w.u32(va+0x44, 7)
	if len(owners) > 0 {
		w.words(va+0x30, owners[0], 1<<3|1)
	}
	if len(owners) > 1 {
		w.words(va+0x10, ownersAt)
		w.words(ownersAt, 0, mem.VA(len(owners)+1)) // the last is free
		for i, o := range owners[1:] {
			w.words(ownersAt+0x10+mem.VA(0x10*i), o, 2<<3)
		}
		w.words(ownersAt+0x10*mem.VA(len(owners)), 0, 0)
	}
}

// waiters writes a ring of KWAIT_CHAIN_ENTRYs for a resource's exclusive waiters.
func (w world) waiters(va, at mem.VA, threads ...mem.VA) {
	w.u32(va+0x4c, uint32(len(threads)))
	w.words(va+0x28, at)
	var entries []mem.VA
	for i, t := range threads {
		w.words(at+mem.VA(0x40*i)+0x10, t)
		entries = append(entries, at+mem.VA(0x40*i))
	}
	w.ring(entries...)
}

// lockWorld: A is held by thread 1 and wanted by 2 and 3, B held by 2 and wanted by 1,
// C shared by all, and one that nobody has.
func lockWorld() world {
	w := world{}
	w.ring(resourcesHead, lockA, lockB, lockC, lockC+0x100)
	w.resource(lockA, true, thread1)
	w.waiters(lockA, stackAt, thread2, thread3)
	w.resource(lockB, true, thread2)
	w.waiters(lockB, stackAt+0x1000, thread1)
	w.resource(lockC, false, thread1, thread2, thread3)
	w.resource(lockC+0x100, false)
	w.words(lockC+0x130, thread3, 1<<3) // its last owner
	return w
}

var resourcesList = map[int]mem.VA{kdbgResources: resourcesHead}

func TestResources(t *testing.T) {
	m := lockWorld().machine("19041", resourcesList)
	a := Resource{Address: lockA, Exclusive: true, Owners: []LockOwner{{thread1, 1}}, ExclusiveWaiters: LockWaiters{2, []mem.VA{thread2, thread3}}, Contention: 7}
	b := Resource{Address: lockB, Exclusive: true, Owners: []LockOwner{{thread2, 1}}, ExclusiveWaiters: LockWaiters{1, []mem.VA{thread1}}, Contention: 7}
	c := Resource{Address: lockC, Owners: []LockOwner{{thread1, 1}, {thread2, 2}, {thread3, 2}}, Contention: 7}
	for _, tt := range []struct {
		name string
		keep func(Resource) bool
		want []Resource
	}{
		{"contended", Resource.Contended, []Resource{a, b}},
		{"owned", Resource.Owned, []Resource{a, b, c}},
		{"all", func(Resource) bool { return true }, []Resource{a, b, c, {Address: lockC + 0x100, Contention: 7}}},
	} {
		if got, err := m.Resources(tt.keep); err != nil || !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %+v, %v\nwant %+v", tt.name, got, err, tt.want)
		}
	}
	want := [][]LockWait{{{thread1, lockB, thread2}, {thread2, lockA, thread1}}}
	if got := Deadlocks([]Resource{a, b, c}); !reflect.DeepEqual(got, want) {
		t.Errorf("Deadlocks: %v, want %v", got, want)
	}
}

func TestResources_Torn(t *testing.T) {
	for _, tt := range []struct {
		name string
		harm func(w world)
		want int // contended
		err  string
	}{
		{"no head", func(w world) { delete(w, resourcesHead) }, 0, "fffff804`10403000 is not in the dump"},
		{"a cycle", func(w world) { w.words(lockB, lockA) }, 2, "the list comes back to ffffa00d`40000000"},
		{"a missing lock", func(w world) { delete(w, lockB) }, 1, "ffffa00d`40001000 is not in the dump"},
		{"missing waiters", func(w world) { delete(w, stackAt) }, 2, "resource at ffffa00d`40000000: waiters: ffffbd80`00000000 is not in the dump"},
		{"waiters in a knot", func(w world) { w.words(stackAt+0x40, stackAt+0x40) }, 2, "waiters: entry at ffffbd80`00000040 comes again"},
		{"a missing owner table", func(w world) { delete(w, ownersAt) }, 2, "resource at ffffa00d`40002000: owner table: ffffa00d`41000008 is not in the dump"},
		{"an owner table too long", func(w world) { w.words(ownersAt+8, 0x7fffffff) }, 2, "2147483647 entries are too many"},
		{"an owner table over the page", func(w world) { w.words(ownersAt+8, 0x200) }, 2, "owner table: ffffa00d`41001000 is not in the dump"},
	} {
		w := lockWorld()
		tt.harm(w)
		got, err := w.machine("19041", resourcesList).Resources(Resource.Contended)
		if len(got) != tt.want || err == nil || !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %d locks, %v; want %d and %q", tt.name, len(got), err, tt.want, tt.err)
		}
	}
	if _, err := lockWorld().machine("19041", nil).Resources(Resource.Owned); err == nil || !strings.Contains(err.Error(), "ExpSystemResourcesList") {
		t.Errorf("no list: %v", err)
	}
}

// TestResource_OldWaiters: where the layout of waiters is not known only their number is.
func TestResource_OldWaiters(t *testing.T) {
	m := lockWorld().machine("19041", nil)
	m.structures.table = nil
	r, err := m.Resource(lockA)
	if err != nil || r.ExclusiveWaiters.Count != 2 || r.ExclusiveWaiters.Threads != nil {
		t.Errorf("%+v, %v", r, err)
	}
}

func TestDeadlocks(t *testing.T) {
	lock := func(at mem.VA, owner mem.VA, waiters ...mem.VA) Resource {
		return Resource{Address: at, Owners: []LockOwner{{owner, 1}}, SharedWaiters: LockWaiters{uint32(len(waiters)), waiters}}
	}
	for _, tt := range []struct {
		name string
		list []Resource
		want [][]LockWait
	}{
		{"none", []Resource{lock(10, 1, 2, 3)}, nil},
		{"a chain", []Resource{lock(10, 1, 2), lock(11, 2, 3)}, nil},
		{"itself", []Resource{lock(10, 1, 1)}, [][]LockWait{{{1, 10, 1}}}},
		{"three", []Resource{lock(10, 1, 2), lock(11, 2, 3), lock(12, 3, 1)}, [][]LockWait{{{1, 12, 3}, {3, 11, 2}, {2, 10, 1}}}},
		{"who waits for a ring is not in it", []Resource{lock(10, 2, 3), lock(11, 3, 2), lock(12, 2, 1)}, [][]LockWait{{{2, 11, 3}, {3, 10, 2}}}},
		{"two", []Resource{lock(10, 1, 2), lock(11, 2, 1), lock(12, 5, 6), lock(13, 6, 5)},
			[][]LockWait{{{1, 11, 2}, {2, 10, 1}}, {{5, 13, 6}, {6, 12, 5}}}},
		{"by the second owner", []Resource{{Address: 10, Owners: []LockOwner{{7, 1}, {1, 1}}, ExclusiveWaiters: LockWaiters{1, []mem.VA{2}}}, lock(11, 2, 1)},
			[][]LockWait{{{1, 11, 2}, {2, 10, 1}}}},
	} {
		if got := Deadlocks(tt.list); !reflect.DeepEqual(got, tt.want) {
			t.Errorf("%s: %v, want %v", tt.name, got, tt.want)
		}
	}
}

func TestPushLock(t *testing.T) {
	const lock, block1, block2 = lockA, stackAt, stackAt + 0x100
	queue := func(w world, value mem.VA) {
		w.words(lock, value)
		w.words(block1+0x8, stackAt+0x200) // its event's waiter
		w.words(stackAt+0x218, thread1)
		w.words(block1+0x18, block2)
		w.u32(block1+0x30, 0, 3)
		w.words(block2+0x8, block2+0x8) // it spins
		w.words(block2+0x18, 0)
		w.u32(block2+0x30, 2, 2)
	}
	waiters := []PushLockWaiter{{block1, thread1, true}, {block2, 0, false}}
	for _, tt := range []struct {
		name  string
		build func(w world)
		want  PushLock
		err   string
	}{
		{"free", func(w world) { w.words(lock, 0) }, PushLock{}, ""},
		{"exclusive", func(w world) { w.words(lock, 1) }, PushLock{Locked: true, Exclusive: true}, ""},
		{"shared", func(w world) { w.words(lock, 3<<4|1) }, PushLock{Locked: true, Shared: 3}, ""},
		{"a queue", func(w world) { queue(w, block1|3) }, PushLock{Locked: true, Exclusive: true, Waiters: waiters}, ""},
		{"a queue for one that is shared", func(w world) { queue(w, block1|0xf) }, PushLock{Locked: true, Shared: 2, Waking: true, Waiters: waiters}, ""},
		{"a queue in itself", func(w world) { queue(w, block1|3); w.words(block2+0x18, block1) },
			PushLock{Locked: true, Exclusive: true, Waiters: waiters}, "wait block at ffffbd80`00000000 comes again"},
		{"torn", func(w world) { w.words(lock, 0x1003) }, PushLock{Locked: true, Exclusive: true}, "wait block: 00000000`00001000 is not in the dump"},
		{"missing", func(w world) {}, PushLock{}, "push lock at ffffa00d`40000000: ffffa00d`40000000 is not in the dump"},
	} {
		w := world{}
		tt.build(w)
		tt.want.Address = lock
		got, err := w.machine("19041", nil).PushLock(lock)
		if !reflect.DeepEqual(got, tt.want) || (err == nil) != (tt.err == "") || err != nil && !strings.Contains(err.Error(), tt.err) {
			t.Errorf("%s: %+v, %v\nwant %+v, %q", tt.name, got, err, tt.want, tt.err)
		}
	}
}
