package lab

// Pool of 17763: each page is cut into blocks; a block's header tells its own size and that
// of the block before it; free blocks are on the lists of the POOL_DESCRIPTOR.

// buildDescriptors makes the two POOL_DESCRIPTORs with their empty lists.
func (s *System) buildDescriptors() {
	for i, name := range []string{"NonPagedPoolDescriptor", "ExpPagedPoolDescriptor"} {
		k := &s.pool.kinds[i]
		size := s.layout.Size("_POOL_DESCRIPTOR")
		k.heap = s.variable(name, size)
		if k.paged { // an array of pointers
			k.heap = s.take(&s.regions.extra, size)
			s.word(s.variable(name, 16*8), k.heap)
			s.half(s.variable("ExpNumberOfPagedPools", 4), 0)
		}
		r := s.record("_POOL_DESCRIPTOR", k.heap)
		r.set32("PoolType", uint32(i))
		if o := r.off("ListHeads"); o >= 0 {
			for c := uint64(0); c < 256; c++ {
				head := k.heap + uint64(o) + 16*c
				r.put64s(o+16*int(c), head, head)
			}
		}
		r.write()
	}
	vector := s.variable("PoolVector", 3*8)
	s.word(vector, s.pool.kinds[0].heap)
	s.word(vector+8, s.pool.kinds[1].heap)
}

// listHead returns the address of the list of free blocks of a size.
func (s *System) listHead(k *poolKind, size uint64) uint64 {
	off, _ := s.layout.Field("_POOL_DESCRIPTOR", "ListHeads")
	return k.heap + off + 16*(size/16-1)
}

// allocBlock returns the address behind the header of a block of at least size bytes, and
// how large it is.
func (s *System) allocBlock(k *poolKind, size uint64, tag string) (va, n uint64) {
	at, room, ok := k.fit(size)
	previous := uint64(0)
	if ok {
		s.unlink(at + poolHeader)
		previous = s.peek(at) & 0xff * 16
	} else {
		at, room = s.pages(k, 0x1000), 0x1000
	}
	if room-size < 2*poolHeader {
		size = room
	}
	s.put(at, header(previous, size, k.paged, true, tag))
	if room > size {
		s.freeTo(k, at+size, size, room-size)
	}
	return at + poolHeader, size
}

// freeTo makes a free block at an address, behind a block of previous bytes.
func (s *System) freeTo(k *poolKind, at, previous, size uint64) {
	s.put(at, header(previous, size, k.paged, false, "Free"))
	head := s.listHead(k, size)
	s.insertHead(head, at+poolHeader)
	k.keep(at, size)
	s.previousSize(at+size, size)
}

// previousSize tells the block at an address, if it is in the same page, how long the block
// before it is.
func (s *System) previousSize(at, size uint64) {
	if at%0x1000 != 0 {
		s.put(at, []byte{byte(size / 16)})
	}
}

// freeBlock frees a block and joins it with free neighbours in its page. A page that holds
// nothing more is given back.
func (s *System) freeBlock(k *poolKind, va uint64) {
	at := va - poolHeader
	word := s.peek(at)
	size := word >> 16 & 0xff * 16
	previous := word & 0xff * 16
	tag := word >> 32
	if next := at + size; next%0x1000 != 0 {
		n := s.peek(next) >> 16 & 0xff * 16
		if k.drop(next, n) {
			s.unlink(next + poolHeader)
			size += n
		}
	}
	if at%0x1000 != 0 && k.drop(at-previous, previous) {
		s.unlink(at - previous + poolHeader)
		at -= previous
		size += previous
		previous = s.peek(at) & 0xff * 16
	}
	if size == 0x1000 {
		s.Space.Unmap(at, size)
		return
	}
	s.freeTo(k, at, previous, size)
	s.half(at+4, uint32(tag)) // the tag stays to be seen
}

// insertHead links an entry in behind a list's head.
func (s *System) insertHead(head, link uint64) {
	first := s.peek(head)
	s.word(link, first)
	s.word(link+8, head)
	s.word(first+8, link)
	s.word(head, link)
}

// unlink takes an entry out of its list.
func (s *System) unlink(link uint64) {
	next, previous := s.peek(link), s.peek(link+8)
	s.word(next+8, previous)
	s.word(previous, next)
}
