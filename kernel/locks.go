package kernel

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"bugcheck/dump"
	"bugcheck/internal/le"
	"bugcheck/mem"
)

// Layouts of locks, 64-bit: dt nt!_ERESOURCE, _OWNER_ENTRY, _EX_PUSH_LOCK and
// _KWAIT_CHAIN_ENTRY in the public symbols of 17763 to 22621, and of 26100 as far as
// ntdiff/headers has them; _EX_PUSH_LOCK_WAIT_BLOCK in those of 9200 and 9600
// (ntdiff/headers), which newer ones leave out. Flags: wdm.h, ReactOS.
const (
	resourceOwners     = 0x10 // OwnerTable
	resourceActive     = 0x18 // ActiveCount
	resourceFlag       = 0x1a
	resourceShared     = 0x20 // SharedWaiters
	resourceExclusive  = 0x28 // ExclusiveWaiters
	resourceOwner      = 0x30 // OwnerEntry
	resourceContention = 0x44
	resourceNShared    = 0x48
	resourceNExclusive = 0x4c
	resourceSize       = 0x68
	ownedExclusive     = 0x80 // ResourceOwnedExclusive

	ownerEntrySize = 0x10
	ownerCount     = 0x8 // OwnerCount, bits 3 to 31; of the table's first entry TableSize

	chainThread = 0x10 // KWAIT_CHAIN_ENTRY.Thread

	pushLocked, pushWaiting, pushWaking, pushMultiple = 0x1, 0x2, 0x4, 0x8
	pushBlockNext                                     = 0x18
	pushBlockShareCount                               = 0x30
	pushBlockFlags                                    = 0x34
	pushBlockSize                                     = 0x40
	pushExclusive                                     = 0x1
	eventWaiters                                      = 0x8  // DISPATCHER_HEADER.WaitListHead
	waitBlockThread                                   = 0x18 // KWAIT_BLOCK.Thread

	maxResources = 1 << 20 // each open file of NTFS has two
	maxOwners    = 4096
	maxWaiters   = 4096
	maxLockWaits = 1 << 20 // owners and waiters of all locks
)

// Resource is an ERESOURCE: a lock that one thread holds or several share.
type Resource struct {
	Address          mem.VA
	Exclusive        bool // one thread holds it alone
	Owners           []LockOwner
	ExclusiveWaiters LockWaiters
	SharedWaiters    LockWaiters
	Contention       uint32 // how often a thread had to wait
}

// LockOwner is a thread that holds a lock.
type LockOwner struct {
	Thread mem.VA // ETHREAD; an address with both low bits set is no thread but what a driver put there
	Count  uint32 // how often it has the lock
}

// LockWaiters are the threads that wait for a lock.
type LockWaiters struct {
	Count   uint32   // as the lock says
	Threads []mem.VA // as far as they were found
}

// Contended reports that threads wait for the lock that others hold.
func (r Resource) Contended() bool {
	return len(r.Owners) > 0 && r.ExclusiveWaiters.Count+r.SharedWaiters.Count > 0
}

// Owned reports that a thread holds the lock.
func (r Resource) Owned() bool { return len(r.Owners) > 0 }

// Resources lists the system's ERESOURCEs that keep wants. What was read is returned
// beside the errors.
func (m *Machine) Resources(keep func(Resource) bool) ([]Resource, error) {
	head, err := m.kernelVariable("ExpSystemResourcesList", kdbgResources)
	if err != nil {
		return nil, fmt.Errorf("resources: %w", err)
	}
	if m.Arch == dump.X86 {
		return nil, fmt.Errorf("resources: 32-bit locks are not decoded")
	}
	entries, err := m.ring(m.Memory, head, maxResources)
	if err != nil {
		err = fmt.Errorf("resources, list at %v: %w", head, err)
	}
	var list []Resource
	threads := 0
	for _, entry := range entries {
		if threads > maxLockWaits {
			return list, errors.Join(err, fmt.Errorf("resource at %v: more than %d owners and waiters before it", entry, maxLockWaits))
		}
		r, errRead := m.Resource(entry) // ERESOURCE.SystemResourcesList is its first field
		err = firstError(err, errRead)
		threads += len(r.Owners) + len(r.ExclusiveWaiters.Threads) + len(r.SharedWaiters.Threads)
		if keep(r) {
			list = append(list, r)
		}
	}
	return list, err
}

// Resource reads an ERESOURCE, its owners and its waiters. What was read is returned
// beside the error.
func (m *Machine) Resource(va mem.VA) (Resource, error) {
	r := Resource{Address: va}
	if m.Arch == dump.X86 {
		return r, fmt.Errorf("resource at %v: 32-bit locks are not decoded", va)
	}
	b, err := mem.Read(m.Memory, va, resourceSize)
	if err != nil {
		return r, fmt.Errorf("resource at %v: %w", va, err)
	}
	r.Contention = le.U32(b, resourceContention)
	r.SharedWaiters.Count, r.ExclusiveWaiters.Count = le.U32(b, resourceNShared), le.U32(b, resourceNExclusive)
	if le.U16(b, resourceActive) == 0 { // free: the owner entries are the last owners'
		return r, nil
	}
	r.Exclusive = le.U16(b, resourceFlag)&ownedExclusive != 0
	r.addOwner(b[resourceOwner:])
	var errOwners, errShared, errExclusive error
	if !r.Exclusive || len(r.Owners) == 0 {
		errOwners = m.ownerTable(&r, mem.VA(le.U64(b, resourceOwners)))
	}
	if r.SharedWaiters.Count > 0 {
		r.SharedWaiters.Threads, errShared = m.waitChain(mem.VA(le.U64(b, resourceShared)))
	}
	if r.ExclusiveWaiters.Count > 0 {
		r.ExclusiveWaiters.Threads, errExclusive = m.waitChain(mem.VA(le.U64(b, resourceExclusive)))
	}
	if err := firstError(errOwners, errShared, errExclusive); err != nil {
		return r, fmt.Errorf("resource at %v: %w", va, err)
	}
	return r, nil
}

// addOwner adds the OWNER_ENTRY at the start of b.
func (r *Resource) addOwner(b []byte) {
	if thread, count := mem.VA(le.U64(b, 0)), le.U32(b, ownerCount)>>3; thread != 0 && count != 0 {
		r.Owners = append(r.Owners, LockOwner{Thread: thread, Count: count})
	}
}

// ownerTable adds the owners in a table of OWNER_ENTRYs; its first holds its size.
func (m *Machine) ownerTable(r *Resource, table mem.VA) error {
	if table == 0 {
		return nil
	}
	n, err := mem.ReadU32(m.Memory, table+ownerCount)
	if err != nil {
		return fmt.Errorf("owner table: %w", err)
	}
	if n > maxOwners {
		return fmt.Errorf("owner table at %v: %d entries are too many", table, n)
	}
	if n < 2 {
		return nil
	}
	b := m.readUpTo(table+ownerEntrySize, int(n-1)*ownerEntrySize)
	missing := table + ownerEntrySize + mem.VA(len(b))
	whole := len(b) == int(n-1)*ownerEntrySize
	for ; len(b) >= ownerEntrySize; b = b[ownerEntrySize:] {
		r.addOwner(b)
	}
	if !whole {
		return fmt.Errorf("owner table: %w", &mem.Fault{Address: missing, Reason: mem.NotInDump})
	}
	return nil
}

// waitChain lists the threads of a ring of KWAIT_CHAIN_ENTRYs, which stand on their
// stacks. Up to 14393 another structure stands there: no thread is found then.
func (m *Machine) waitChain(first mem.VA) ([]mem.VA, error) {
	if first == 0 || m.Field("_KWAIT_CHAIN_ENTRY", "Thread") != chainThread {
		return nil, nil
	}
	var list []mem.VA
	seen := map[mem.VA]bool{}
	for entry := first; entry != 0 && (entry != first || len(seen) == 0); {
		if seen[entry] || len(seen) == maxWaiters {
			return list, fmt.Errorf("waiters: entry at %v comes again, or is one of more than %d", entry, maxWaiters)
		}
		seen[entry] = true
		b, err := mem.Read(m.Memory, entry, chainThread+8)
		if err != nil {
			return list, fmt.Errorf("waiters: %w", err)
		}
		list = append(list, mem.VA(le.U64(b, chainThread)))
		entry = mem.VA(le.U64(b, 0))
	}
	return list, nil
}

// PushLock is an EX_PUSH_LOCK. It does not say who holds it.
type PushLock struct {
	Address   mem.VA
	Locked    bool
	Exclusive bool   // one thread holds it alone; else Shared do
	Shared    uint64 // threads that share it; zero: not known, or none
	Waking    bool   // a thread is passing it on
	Waiters   []PushLockWaiter
}

// PushLockWaiter is a thread in the queue of a push lock, the newest first.
type PushLockWaiter struct {
	Block     mem.VA // EX_PUSH_LOCK_WAIT_BLOCK, on the thread's stack
	Thread    mem.VA // KTHREAD; zero: not found, it may be spinning
	Exclusive bool
}

// PushLock reads the push lock at va and its queue. What was read is returned beside
// the error.
func (m *Machine) PushLock(va mem.VA) (PushLock, error) {
	l := PushLock{Address: va}
	if m.Arch == dump.X86 {
		return l, fmt.Errorf("push lock at %v: 32-bit locks are not decoded", va)
	}
	v, err := mem.ReadU64(m.Memory, va)
	if err != nil {
		return l, fmt.Errorf("push lock at %v: %w", va, err)
	}
	l.Locked, l.Waking = v&pushLocked != 0, v&pushWaking != 0
	if v&pushWaiting == 0 {
		l.Shared = v >> 4
		l.Exclusive = l.Locked && l.Shared == 0
		return l, nil
	}
	l.Exclusive = l.Locked && v&pushMultiple == 0
	seen := map[mem.VA]bool{}
	for block := mem.VA(v &^ 0xf); block != 0; {
		if seen[block] || len(seen) == maxWaiters {
			return l, fmt.Errorf("push lock at %v: wait block at %v comes again, or is one of more than %d", va, block, maxWaiters)
		}
		seen[block] = true
		b, err := mem.Read(m.Memory, block, pushBlockSize)
		if err != nil {
			return l, fmt.Errorf("push lock at %v: wait block: %w", va, err)
		}
		l.Waiters = append(l.Waiters, PushLockWaiter{Block: block, Thread: m.eventWaiter(block, b), Exclusive: le.U32(b, pushBlockFlags)&pushExclusive != 0})
		if n := int32(le.U32(b, pushBlockShareCount)); v&pushMultiple != 0 && n > 0 {
			l.Shared = uint64(n) // the oldest block has the count
		}
		block = mem.VA(le.U64(b, pushBlockNext))
	}
	return l, nil
}

// eventWaiter is the thread that waits for the event at the start of b; zero: none.
func (m *Machine) eventWaiter(event mem.VA, b []byte) mem.VA {
	wait := mem.VA(le.U64(b, eventWaiters))
	if wait == event+eventWaiters || wait == 0 {
		return 0
	}
	thread, _ := mem.ReadVA(m.Memory, wait+waitBlockThread) // zero says that it is not there
	return thread
}

// LockWait is a thread that waits for a lock, and one of those that hold it.
type LockWait struct{ Thread, Resource, Owner mem.VA }

// Deadlocks finds the rings of threads each of which waits for what the next holds,
// the last for what the first does.
func Deadlocks(list []Resource) [][]LockWait {
	waits := map[mem.VA][]LockWait{} // by the thread that waits
	n := 0
	for _, r := range list {
		for _, thread := range append(slices.Clone(r.ExclusiveWaiters.Threads), r.SharedWaiters.Threads...) {
			for _, o := range r.Owners {
				if n++; n > maxLockWaits {
					break
				}
				waits[thread] = append(waits[thread], LockWait{thread, r.Address, o.Thread})
			}
		}
	}
	threads := make([]mem.VA, 0, len(waits))
	for t := range waits {
		threads = append(threads, t)
	}
	slices.SortFunc(threads, func(a, b mem.VA) int { return cmp.Compare(a, b) })
	var rings [][]LockWait
	done := map[mem.VA]bool{}
	for _, t := range threads {
		if ring := ringFrom(t, waits, done); ring != nil {
			rings = append(rings, ring)
		}
	}
	return rings
}

// ringFrom follows the waits from a thread on, each thread once over all calls, until
// one of the path comes again: the ring is the path from there on.
func ringFrom(start mem.VA, waits map[mem.VA][]LockWait, done map[mem.VA]bool) []LockWait {
	var path []LockWait
	onPath := map[mem.VA]int{}
	next := map[mem.VA]int{} // how many of a thread's waits were followed
	for at := start; ; {
		if i, ok := onPath[at]; ok {
			for thread := range onPath {
				done[thread] = true
			}
			return path[i:]
		}
		if !done[at] && next[at] < len(waits[at]) {
			w := waits[at][next[at]]
			next[at]++
			onPath[at] = len(path)
			path = append(path, w)
			at = w.Owner
			continue
		}
		done[at] = true
		if len(path) == 0 {
			return nil
		}
		at = path[len(path)-1].Thread
		path = path[:len(path)-1]
		delete(onPath, at)
	}
}
