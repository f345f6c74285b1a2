package lab

// buildLocks makes ExpSystemResourcesList: resources that nobody has, one with an owner, one
// that readers share.
func (s *System) buildLocks() {
	s.list(s.variable("ExpSystemResourcesList", 16), nil)
	for i := 0; i < 12; i++ {
		s.Resource("Ntfr")
	}
	system, services := s.Process("System"), s.Process("services.exe")
	r := s.Resource("CmRr")
	s.fail(s.Acquire(r, system.Threads[3], false))
	r = s.Resource("Ntfx")
	s.fail(s.Acquire(r, system.Threads[4], true))
	s.fail(s.Acquire(r, services.Threads[1], true))
	s.variable("CmpRegistryLock", 8)
}

// Resource makes an ERESOURCE in nonpaged pool, at the end of ExpSystemResourcesList.
// dt nt!_ERESOURCE, 0x68 bytes, the same on all 64-bit builds.
func (s *System) Resource(tag string) uint64 {
	va := s.alloc(tag, 0x68, false)
	s.put(va, make([]byte, 0x68))
	s.fail(s.InsertTail(s.variable("ExpSystemResourcesList", 16), va))
	return va
}

// Acquire gives a thread a resource that nobody has, or, shared, one more share of it.
// OwnerEntry at 0x30 holds the exclusive owner or the first reader, OwnerTable at 0x10 the
// others; a count of owners stands from bit 3 on.
func (s *System) Acquire(resource uint64, t *EThread, shared bool) error {
	entries := s.peek(resource+0x40) & 0xffffffff
	s.half(resource+0x40, uint32(entries+1))
	entry := resource + 0x30
	if entries > 0 { // entry 0 of the table tells its size
		table := s.peek(resource + 0x10)
		if table == 0 {
			table = s.alloc("Ownt", 8*16, false)
			s.put(table, make([]byte, 8*16))
			s.half(table+8, 8)
			s.word(resource+0x10, table)
		}
		entry = table + 16*entries
	}
	s.word(entry, t.Address)
	s.word(entry+8, 1<<3)
	flag := uint32(0)
	if !shared {
		flag = 0x80 // ResourceOwnedExclusive
	}
	s.half(resource+0x18, uint32(entries+1)|flag<<16)
	return s.err
}

// WaitForResource lets a thread wait for a resource that another has: SharedWaiters (0x20) or
// ExclusiveWaiters (0x28), a KWAIT_CHAIN, leads to a ring of KWAIT_CHAIN_ENTRYs on the stacks
// of those who wait: ListEntry, Thread 0x10, Event 0x18.
func (s *System) WaitForResource(resource uint64, t *EThread, shared bool) error {
	at, number := uint64(0x28), uint64(0x4c)
	if shared {
		at, number = 0x20, 0x48
	}
	entry := (t.KernelStack + 0x60) &^ 0xf
	var w buf
	w.grow(0x30)
	w.put64s(0, entry, entry, t.Address)
	w.put8(0x18, 1) // a synchronization event, not signalled
	w.put8(0x1a, 6)
	w.put64s(0x20, entry+0x20, entry+0x20)
	s.put(entry, w.b)
	if first := s.peek(resource + at); first == 0 {
		s.word(resource+at, entry)
	} else {
		s.fail(s.InsertTail(first, entry))
	}
	n := uint32(s.peek(resource+number&^7)>>(number&7*8)) + 1
	s.half(resource+number, n)
	s.half(resource+0x44, n) // ContentionCount
	return s.Wait(t, entry+0x18, waitResource)
}

// PushLock makes a pushlock that is held exclusively and that a thread waits for: bits
// Locked 1 and Waiting 2, and the wait block on the thread's stack (0x40 bytes: WakeEvent,
// Next 0x18, Last 0x20, Previous 0x28, ShareCount 0x30, Flags 0x34), which names no owner.
func (s *System) PushLock(at uint64, waiter *EThread) error {
	block := (waiter.KernelStack + 0x60) &^ 0xf
	var w buf
	w.grow(0x40)
	w.put8(0, 1)
	w.put8(2, 6)
	w.put64s(8, block+8, block+8)
	w.put64(0x20, block)
	w.put32s(0x30, 0, 3)
	s.put(block, w.b)
	s.word(at, block|3)
	return s.Wait(waiter, block, waitPushLock)
}
